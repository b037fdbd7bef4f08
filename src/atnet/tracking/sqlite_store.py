"""MLflow's SQLite database: created completely or not at all, and probed with a short timeout."""

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import sqlalchemy
from filelock import FileLock
from mlflow.store.db.utils import _initialize_tables

from atnet.storage import whole_file

LOCK_SECONDS = 120
"""Creating the tables takes a few seconds; a second process waits for the first."""
MLFLOW_TABLE = "experiments"
"""A table that identifies MLflow's database."""


class ForeignDatabaseError(sqlite3.DatabaseError):
    """The database belongs to another program."""


def ensure_database(path: Path, timeout_seconds: int) -> None:
    """Create the database with MLflow's tables if it does not exist, otherwise check that it can be written.

    MLflow commits some 50 migrations one by one: a kill between two of them would leave a database that never opens
    again. So the tables are created in a temporary file, under a lock, and the file is renamed when it is complete.

    Raises:
        ForeignDatabaseError: if it has tables, but not those of MLflow, which would add its own.
        sqlite3.Error, sqlalchemy.exc.SQLAlchemyError: if the database is locked, read-only or damaged.
        OSError: if its folder cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if _is_empty(path):
        with FileLock(path.with_name(f"{path.name}.lock"), timeout=LOCK_SECONDS):
            if _is_empty(path):
                _create(path)
    _require_writable(path, timeout_seconds)
    _require_mlflow(path, timeout_seconds)


def _is_empty(path: Path) -> bool:
    return not path.exists() or path.stat().st_size == 0


def _create(path: Path) -> None:
    _remove_partial_files(path)
    with whole_file(path) as partial:
        engine = sqlalchemy.create_engine(sqlalchemy.URL.create("sqlite", database=str(partial)))
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
    with closing(sqlite3.connect(path, timeout=timeout_seconds, isolation_level=None)) as connection:
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        connection.execute("BEGIN IMMEDIATE")
        # A write that is rolled back: BEGIN alone succeeds on a file that the system will not let us change.
        connection.execute(f"PRAGMA user_version = {int(version)}")
        connection.execute("ROLLBACK")


def _require_mlflow(path: Path, timeout_seconds: int) -> None:
    with closing(sqlite3.connect(path, timeout=timeout_seconds)) as connection:
        names = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if names and MLFLOW_TABLE not in names:
        raise ForeignDatabaseError(f"has the tables {', '.join(sorted(names)[:3])}")
