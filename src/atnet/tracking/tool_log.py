"""Logs of MLflow and its libraries: written to a file that error messages refer to, not to the terminal."""

import logging
import os
from logging.handlers import RotatingFileHandler
from pathlib import Path

from atnet.files import STATE
from atnet.redaction import redact

LOG_FILE = STATE / "logs" / "mlflow.log"
LOGGERS = ("mlflow", "alembic", "sqlalchemy", "urllib3")
MAX_BYTES = 1_000_000
FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


class _LogFile(RotatingFileHandler):
    """Creates the file with the first record. A file that cannot be written must not fail the command."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, maxBytes=MAX_BYTES, backupCount=1, encoding="utf-8", delay=True)
        self.setFormatter(logging.Formatter(FORMAT))

    def format(self, record: logging.LogRecord) -> str:
        """Return the record without secrets."""
        return redact(super().format(record))

    def handleError(self, record: logging.LogRecord) -> None:
        """Ignore that the record could not be written."""

    def _open(self):  # type: ignore[no-untyped-def]
        Path(self.baseFilename).parent.mkdir(parents=True, exist_ok=True)
        return super()._open()


def log_to_file(project: Path) -> None:
    """Send the libraries' log records to the project's log file instead of the terminal."""
    path = project / LOG_FILE
    current = _log_file()
    if current is not None and Path(current.baseFilename) == path:
        return
    handler = _LogFile(path)
    for name in LOGGERS:
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [handler], False
        logger.setLevel(logging.WARNING)


def log_error(error: BaseException) -> str | None:
    """Write an error with its traceback to the log file and return the file's path; None if it cannot be written."""
    handler = _log_file()
    if handler is None:
        return None
    logging.getLogger(LOGGERS[0]).error("%s", type(error).__name__, exc_info=error)
    path = Path(handler.baseFilename)
    if not path.is_file():
        return None
    return os.path.relpath(path) if path.is_relative_to(Path.cwd()) else str(path)


def _log_file() -> _LogFile | None:
    handlers = logging.getLogger(LOGGERS[0]).handlers
    return next((handler for handler in handlers if isinstance(handler, _LogFile)), None)
