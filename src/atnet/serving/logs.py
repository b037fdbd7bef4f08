"""The structured log: one JSON object per line on standard error."""

import json
import logging
import os
import sys
from datetime import UTC, datetime


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
            # The class and the place, not the message: it may quote a text.
            kind, _, trace = record.exc_info
            entry["error"] = kind.__name__ if kind else ""
            while trace is not None and trace.tb_next is not None:
                trace = trace.tb_next
            if trace is not None:
                entry["at"] = f"{os.path.basename(trace.tb_frame.f_code.co_filename)}:{trace.tb_lineno}"
        return json.dumps(entry, ensure_ascii=False)


def configure_logging() -> None:
    """Send every logger's lines to standard error as JSON."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO)
    # Its warnings are one line per bad request: whoever sends them could fill the disk.
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)
    logging.getLogger("uvicorn.access").disabled = True
    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)
