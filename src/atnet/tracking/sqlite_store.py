"""MLflow's SQLite database: created completely or not at all, and probed without waiting for long."""

import os
import sqlite3
from pathlib import Path

import sqlalchemy
from filelock import FileLock
from mlflow.store.db.utils import _initialize_tables

from atnet.storage import whole_file

LOCK_SECONDS = 120
"""Creating the tables takes a few seconds; a second process waits for the first."""


def ensure_database(path: Path, timeout_seconds: int) -> None:
    """Create the database with MLflow's tables if it does not exist, otherwise check that it can be written.

    MLflow commits some 50 migrations one by one: a kill between two of them would leave a database that never opens
    again. So the tables are created in a temporary file, under a lock, and the file is renamed when it is complete.

    Raises:
        sqlite3.Error, sqlalchemy.exc.SQLAlchemyError: if the database is locked, read-only or damaged.
        OSError: if its folder cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        with FileLock(path.with_name(f".{path.name}.lock"), timeout=LOCK_SECONDS):
            if not path.exists():
                _create(path)
    _require_writable(path, timeout_seconds)


def _create(path: Path) -> None:
    _remove_partial_files(path)
    with whole_file(path) as partial:
        engine = sqlalchemy.create_engine(f"sqlite:///{partial}")
        try:
            _initialize_tables(engine)  # type: ignore[no-untyped-call]
        finally:
            engine.dispose()


def _remove_partial_files(path: Path) -> None:
    # Left by killed processes; the lock is held, so no other process is writing one.
    for partial in path.parent.glob(f".{path.name}.*.part*"):
        partial.unlink(missing_ok=True)


def _require_writable(path: Path, timeout_seconds: int) -> None:
    """Acquire SQLite's write lock for a moment, waiting for it at most `timeout_seconds`."""
    if not os.access(path, os.W_OK):
        raise sqlite3.OperationalError("attempt to write a readonly database")
    connection = sqlite3.connect(path, timeout=timeout_seconds, isolation_level=None)
    try:
        connection.execute("BEGIN IMMEDIATE")
        # A write that is rolled back: BEGIN alone succeeds on a file that the system will not let us change.
        connection.execute("PRAGMA user_version = 0")
        connection.execute("ROLLBACK")
    finally:
        connection.close()
