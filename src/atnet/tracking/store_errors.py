"""Messages for errors of the tracking store."""

import re

from atnet.file_system import file_system_message, is_file_system_error
from atnet.redaction import redact
from atnet.tracking.sqlite_store import ForeignDatabaseError
from atnet.tracking.tool_log import log_error

SQLITE = "sqlite:///"
DRIVER_PACKAGES = {
    "psycopg": "psycopg[binary]",
    "psycopg2": "psycopg2-binary",
    "MySQLdb": "mysqlclient",
}
"""Module of a database driver -> the package that provides it, where the names differ."""

INCOMPLETE_SCHEMA = re.compile(r"duplicate column name|_alembic_tmp_|no such (index|table)|table \w+ already exists")
"""Errors of a database whose tables were not all created or migrated."""
MAX_REASON = 300
"""Characters of a store's own error message that are shown."""


def readable(uri: str) -> str:
    """Return a store's address for messages: the path of a SQLite file, or the address without its secrets."""
    return redact(uri.removeprefix(SQLITE))


def missing_driver(uri: str, error: ImportError) -> str:
    """Return the message for a database driver that is not installed."""
    module = (error.name or "").partition(".")[0]
    package = DRIVER_PACKAGES.get(module, module)
    if not package:
        return f"The tracking store {readable(uri)} cannot be used ({error})."
    return (
        f"The tracking store {readable(uri)} needs the database driver {module}, which is not installed. "
        f'Install it in the project\'s environment: `.venv/bin/python -m pip install "{package}"`.'
    )


def explain(uri: str, error: Exception) -> str:
    """Return what happened, and what to do next; the traceback goes to the log file, which the message names."""
    where = f"The tracking store {readable(uri)}"
    if isinstance(error, OSError) and is_file_system_error(error):
        return f"{where} cannot be written: {file_system_message(error)}"
    log_file = log_error(error)
    return _problem(where, error) + (f" Details: {log_file}" if log_file else "")


def _problem(where: str, error: Exception) -> str:
    reason = str(error)
    if "database is locked" in reason:
        return (
            f"{where} is locked by another process. Close the program that uses it (a database browser, a backup, "
            "another command of the project) and run the command again."
        )
    if isinstance(error, ForeignDatabaseError):
        return (
            f"{where} belongs to another program (it {reason}). Set tracking.uri (or MLFLOW_TRACKING_URI) to another "
            "file."
        )
    if INCOMPLETE_SCHEMA.search(reason):
        return (
            f"{where} was not created or upgraded completely ({_first_line(reason)}). Restore a backup, or move the "
            "file aside and run `atnet publish`: it rebuilds the run from the files."
        )
    if "not a database" in reason or "malformed" in reason:
        return (
            f"{where} is not a readable SQLite database. Move the file aside and run `atnet publish`: it rebuilds the "
            "run from the files."
        )
    if "out-of-date database schema" in reason:
        return f"{where} was created by another version of MLflow. Back it up, then run `mlflow db upgrade <its URI>`."
    if "readonly database" in reason:
        return (
            f"{where} is read-only. Give this user write permission to the file and its folder, or set "
            "MLFLOW_TRACKING_URI (or tracking.uri) to another store."
        )
    if "disk is full" in reason:
        return f"{where} cannot be written: the disk is full. Free some space and run the command again."
    cause = _root_cause(error)
    summary = _first_line(str(cause)) or type(cause).__name__
    return f"{where} cannot be used ({summary}). Check that it is running and can be reached from here."


def _root_cause(error: BaseException) -> BaseException:
    # MLflow wraps "Connection refused" in five of its own exceptions.
    while (deeper := error.__cause__ or error.__context__) is not None:
        error = deeper
    return error


def _first_line(reason: str) -> str:
    # Redacted before it is cut: a part of a secret would not be recognized.
    line = redact(reason.strip().splitlines()[0]) if reason.strip() else ""
    return line if len(line) <= MAX_REASON else f"{line[:MAX_REASON]}..."
