"""The structured log: one JSON object per line on standard error."""

import json
import logging
import os
import sys
import threading
import traceback
from datetime import UTC, datetime
from pathlib import Path


class JsonFormatter(logging.Formatter):
    """Writes a record as JSON: time, level, logger, process, message and the record's own fields."""

    def format(self, record: logging.LogRecord) -> str:
        """Return one line without a line break in it."""
        entry = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "process": os.getpid(),
            "message": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            # The class and the places, not the message: it may quote a text.
            kind, _, trace = record.exc_info
            entry["error"] = kind.__name__ if kind else ""
            entry["at"] = [f"{Path(frame.filename).name}:{frame.lineno}" for frame in traceback.extract_tb(trace)]
        return json.dumps(entry, ensure_ascii=False)


def configure_logging() -> None:
    """Send every logger's lines, and what ends a process or a thread, to standard error as JSON."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO)
    # Its warnings are one line per bad request: whoever sends them could fill the disk.
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)
    logging.getLogger("uvicorn.access").disabled = True
    sys.excepthook = lambda kind, error, trace: root.critical("The process has failed.", exc_info=(kind, error, trace))
    threading.excepthook = lambda args: root.critical(
        "A thread has failed.", exc_info=(args.exc_type, args.exc_value or args.exc_type(), args.exc_traceback)
    )
    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)
