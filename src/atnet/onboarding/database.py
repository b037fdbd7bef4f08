"""Import the result of a SQL query with DVC, which can update it later (`atnet refresh`)."""

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from atnet.data.raw_bytes import open_bytes
from atnet.errors import ConfigurationError, DataFileError
from atnet.files import RAW
from atnet.git_dvc import run_dvc
from atnet.onboarding.choices import Choice, OpenQuestion

SQLITE_MAGIC = b"SQLite format 3\0"


@dataclass(frozen=True, slots=True)
class DatabaseQuery:
    """What to read from which database."""

    connection: str
    """An SQLAlchemy address, or the name of a connection in DVC's configuration."""
    sql: str | None
    table: str | None
    name: str
    """Name of the file that is written, and of the connection if an address is given."""


def is_sqlite(path: Path) -> bool:
    """Return whether a file is a SQLite database."""
    with open_bytes(path) as stream:
        return stream.read(len(SQLITE_MAGIC)) == SQLITE_MAGIC


def sqlite_query(path: Path, sql: str | None, table: str | None) -> DatabaseQuery:
    """Return what to read from a SQLite file: the query, the table, or the only table there is.

    Raises:
        OpenQuestion: if there are several tables and none is named.
        DataFileError: if there is no table.
    """
    if sql is None and table is None:
        tables = _tables(path)
        if not tables:
            raise DataFileError(f"{path} is a SQLite database without tables.")
        if len(tables) > 1:
            question = f"{path} has {len(tables)} tables."
            raise OpenQuestion([Choice(question, "--table", tuple(tables))])
        table = tables[0]
    return DatabaseQuery(f"sqlite:///{path.resolve()}", sql, table, table or path.stem)


def import_query(root: Path, query: DatabaseQuery) -> Path:
    """Run the query and write its result as CSV; return the path of the file, relative to the project.

    An address is kept in DVC's local configuration, which git ignores: it may contain a password.

    Raises:
        ConfigurationError: unless exactly one of query and table is given.
        StoreError: if DVC or the database reports an error.
    """
    if (query.sql is None) == (query.table is None):
        raise ConfigurationError("Use either --sql QUERY or --table NAME.")
    connection = query.connection
    if "://" in connection:
        connection = query.name
        run_dvc(["config", "--local", f"db.{connection}.url", query.connection], root)
    target = RAW / f"{query.name}.csv"
    (root / RAW).mkdir(parents=True, exist_ok=True)
    selection = ["--sql", query.sql] if query.sql is not None else ["--table", str(query.table)]
    run_dvc(["import-db", *selection, "--conn", connection, "--out", str(target), "--force"], root)
    return target


def _tables(path: Path) -> list[str]:
    try:
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
            rows = connection.execute("select name from sqlite_master where type in ('table', 'view') order by name")
            return [str(name) for (name,) in rows if not str(name).startswith("sqlite_")]
    except sqlite3.Error as error:
        raise DataFileError(f"{path} cannot be read as a SQLite database ({error}).") from error
