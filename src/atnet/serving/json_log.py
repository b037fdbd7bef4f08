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
    """Formats a record as JSON: time, level, logger, process, message and the record's own fields."""

    def format(self, record: logging.LogRecord) -> str:
        """Return one line, without a line break in it."""
        entry = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "process": os.getpid(),
            "message": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            # The class and the places in the code, not the message: it may quote a text.
            kind, _, trace = record.exc_info
            entry["error"] = kind.__name__ if kind else ""
            entry["at"] = [f"{Path(frame.filename).name}:{frame.lineno}" for frame in traceback.extract_tb(trace)]
        return json.dumps(entry, ensure_ascii=False)


def log_as_json() -> None:
    """Send all log messages, and uncaught errors of the process and its threads, to standard error as JSON."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO)
    # The command line's handler would print the project's messages a second time.
    logging.getLogger("atnet").handlers.clear()
    # Its warnings are one line per bad request: any client could fill the disk.
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)
    logging.getLogger("uvicorn.access").disabled = True
    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)
    sys.excepthook = lambda kind, error, trace: root.critical("The process failed.", exc_info=(kind, error, trace))
    threading.excepthook = lambda args: root.critical(
        "A thread failed.", exc_info=(args.exc_type, args.exc_value or args.exc_type(), args.exc_traceback)
    )
