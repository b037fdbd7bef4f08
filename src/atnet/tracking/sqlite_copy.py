"""Copies of MLflow's SQLite database, for backups."""

import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import unquote

LOCATION_COLUMNS = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
)
"""Where MLflow stores the absolute paths of artifacts."""


def copy_database(source: Path, target: Path) -> None:
    """Copy a database with SQLite's backup, which is consistent while other processes write; a file copy is not.

    Raises:
        sqlite3.Error: if a database cannot be read or written.
    """
    with closing(sqlite3.connect(source)) as original, closing(sqlite3.connect(target)) as copy:
        original.backup(copy)
        # The copy is one file, without a write-ahead log.
        copy.execute("PRAGMA journal_mode = DELETE")


def move_artifacts(database: Path, old: Path, new: Path) -> None:
    """Replace the folder of the artifacts in every path that the database contains.

    Raises:
        sqlite3.Error: if the database cannot be written.
    """
    with closing(sqlite3.connect(database)) as connection, connection:
        for before, after in _spellings(old, new):
            for table, column in LOCATION_COLUMNS:
                # A name that is a prefix of another folder's name must not match: the path ends or continues with "/".
                connection.execute(
                    f"UPDATE {table} SET {column} = ? || substr({column}, ?) "
                    f"WHERE {column} = ? OR substr({column}, 1, ?) = ?",
                    (after, len(before) + 1, before, len(before) + 1, f"{before}/"),
                )


def _spellings(old: Path, new: Path) -> list[tuple[str, str]]:
    # A path in which MLflow would decode something is stored as a file: address.
    target = new.as_uri() if unquote(str(new)) != str(new) else str(new)
    return [(str(old), target), (old.as_uri(), target)]
