"""SQL tables as users specify them, and database errors as messages without passwords."""

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError

from atnet.errors import ConfigurationError, StoreError
from atnet.scoring.options import TABLE_MARK

FROM_ENVIRONMENT = "env:"
POSTGRESQL = "postgresql"
POSTGRESQL_DRIVER = "postgresql+psycopg"
SQLITE_SECONDS = 60
"""How long to wait for a SQLite file that another process is writing to."""


@dataclass(frozen=True, slots=True)
class Table:
    """A table of a database."""

    engine: sa.Engine
    schema: str | None
    name: str

    @property
    def address(self) -> str:
        """Return the address for messages: without the password."""
        name = f"{self.schema}.{self.name}" if self.schema else self.name
        return f"{self.engine.url.render_as_string(hide_password=True)}{TABLE_MARK}{name}"

    @property
    def is_postgresql(self) -> bool:
        """Return whether the database is PostgreSQL."""
        return self.engine.dialect.name == POSTGRESQL

    def exists(self) -> bool:
        """Return whether the table exists; a SQLite file is not created by asking."""
        path = self.engine.url.database
        if self.engine.dialect.name == "sqlite" and path and not Path(path).exists():
            return False
        with database_errors(self):
            return sa.inspect(self.engine).has_table(self.name, self.schema)


def open_table(address: str) -> Table:
    """Parse `URL::TABLE`, `URL::SCHEMA.TABLE` or `env:NAME::TABLE`; nothing is connected yet.

    Raises:
        ConfigurationError: if the address or its variable cannot be used, or the driver is missing.
    """
    location, _, name = address.rpartition(TABLE_MARK)
    if location.startswith(FROM_ENVIRONMENT):
        location = _from_environment(location.removeprefix(FROM_ENVIRONMENT))
    schema, _, table = name.rpartition(".")
    try:
        url = sa.make_url(location)
    except ArgumentError:
        raise ConfigurationError(
            "The part before :: is not a database URL. Write sqlite:///file.db::table, "
            "postgresql://user@host/database::table, or env:NAME::table with the URL in the variable NAME."
        ) from None
    if url.drivername == POSTGRESQL:
        url = url.set(drivername=POSTGRESQL_DRIVER)
    if not table:
        raise ConfigurationError(
            f"{url.render_as_string(hide_password=True)}:: has no table name. Add it after the ::."
        )
    return Table(_engine(url), schema or None, table)


@contextlib.contextmanager
def database_errors(table: Table) -> Iterator[None]:
    """Turn an error of the database into one message without statements, texts or passwords.

    Raises:
        StoreError: with the database's own reason.
    """
    driver = table.engine.dialect.loaded_dbapi
    try:
        yield
    except (SQLAlchemyError, driver.Error) as error:
        reason = str(getattr(error, "orig", None) or error).strip().splitlines()[0]
        raise StoreError(
            f"{table.address} cannot be used ({reason}). Check that the database can be reached."
        ) from error


def _engine(url: sa.URL) -> sa.Engine:
    arguments = {"timeout": SQLITE_SECONDS} if url.get_backend_name() == "sqlite" else {}
    try:
        return sa.create_engine(url, connect_args=arguments, hide_parameters=True)
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            f"The database driver {error.name} is not installed. For PostgreSQL: `pip install 'psycopg[binary]'`, "
            "the extra `sql` of this package."
        ) from None
    except NoSuchModuleError:
        raise ConfigurationError(
            f"{url.drivername!r} is not a database that SQLAlchemy supports. Use sqlite:/// or postgresql://."
        ) from None


def _from_environment(name: str) -> str:
    try:
        return os.environ[name]
    except KeyError:
        raise ConfigurationError(f"The environment variable {name} is not set. Set it to a database URL.") from None
