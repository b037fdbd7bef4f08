"""Scored rows in SQL tables: TABLE, TABLE_rejected and TABLE_manifests.

Chunks go to temporary tables, which vanish with the connection. At the end one transaction replaces the rows of the
partition and the model, so readers see the rows of the earlier run or of this one.
"""

import contextlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import sqlalchemy as sa

from atnet.errors import DataContractError
from atnet.scoring.manifest import Manifest
from atnet.scoring.partitions import Partition
from atnet.scoring.scored_rows import REJECTED
from atnet.scoring.sql_tables import Table, database_errors
from atnet.scoring.writers import json_values

Json = sa.JSON(none_as_null=True)
KEY = ("partition", "model_sha256")


class TableDestination:
    """A table that is created if it does not exist."""

    def __init__(self, table: Table) -> None:
        """Describe the tables.

        Raises:
            DataContractError: if a table of this name exists and has other columns.
            StoreError: if the database does not answer.
        """
        self._table = table
        self._tables = _describe(table)
        self._exists = table.exists()
        if self._exists:
            _check_columns(table, self._tables.scored)

    def require_writable(self, partitions: Sequence[Partition]) -> None:
        """Do nothing: a transaction that fails leaves the tables as they were."""

    def manifest(self, partition: Partition) -> Manifest | None:
        """Return the newest manifest of a partition; None if its rows are not all there."""
        if not self._exists:
            return None
        scored, manifests = self._tables.scored, self._tables.manifests
        newest = (
            sa.select(manifests.c.manifest)
            .where(manifests.c.partition == partition.name)
            .order_by(manifests.c.finished.desc())
            .limit(1)
        )
        with database_errors(self._table), self._table.engine.connect() as connection:
            manifest = Manifest.from_json(connection.scalar(newest))
            if manifest is None:
                return None
            rows = (
                sa.select(sa.func.count())
                .select_from(scored)
                .where(*_of(scored, partition.name, manifest.model_sha256))
            )
            return manifest if connection.scalar(rows) == manifest.rows_out else None

    @contextlib.contextmanager
    def open(self, partition: Partition, model_sha256: str) -> Iterator["TableWriter"]:
        """Start to write a partition.

        Raises:
            StoreError: if the database does not answer.
        """
        with database_errors(self._table):
            self._tables.scored.metadata.create_all(self._table.engine)
        with database_errors(self._table), self._table.engine.connect() as connection:
            yield TableWriter(connection, self._table, self._tables, partition.name, model_sha256)


class TableWriter:
    """Writes the rows of one partition and one model."""

    def __init__(
        self, connection: sa.Connection, table: Table, tables: "Tables", partition: str, model_sha256: str
    ) -> None:
        self._connection = connection
        self._table = table
        self._tables = tables
        self._key = {"partition": partition, "model_sha256": model_sha256}
        self._staged = {target: _staging(connection, target) for target in (tables.scored, tables.rejected)}

    def write(self, scored: pa.RecordBatch) -> None:
        """Write scored rows to their temporary table."""
        self._stage(self._tables.scored, scored)

    def reject(self, rejected: pa.RecordBatch) -> None:
        """Write rejected rows to their temporary table."""
        self._stage(self._tables.rejected, rejected)

    def commit(self, manifest: Manifest) -> None:
        """Replace the rows of this partition and model in one transaction."""
        tables = self._tables
        for target in (tables.scored, tables.rejected, tables.manifests):
            self._connection.execute(target.delete().where(*_of(target, **self._key)))
        for target, staged in self._staged.items():
            columns = [column.name for column in staged.columns]
            self._connection.execute(target.insert().from_select(columns, sa.select(*staged.columns)))
        row = {**self._key, "finished": manifest.finished, "manifest": manifest.to_json()}
        self._connection.execute(tables.manifests.insert(), [row])
        self._connection.commit()

    def _stage(self, target: sa.Table, batch: pa.RecordBatch) -> None:
        staged = self._staged[target]
        names = [name for name in batch.schema.names if name not in self._key]
        if self._table.is_postgresql:
            columns = [_column(batch, name, as_json=True) for name in names]
            _copy(self._connection, staged, [*self._key, *names], (list(self._key.values()), columns))
        else:
            columns = [_column(batch, name, as_json=False) for name in names]
            rows = [{**self._key, **dict(zip(names, values, strict=True))} for values in zip(*columns, strict=True)]
            if rows:
                self._connection.execute(staged.insert(), rows)
        self._connection.commit()


@dataclass(frozen=True, slots=True)
class Tables:
    """The tables of a destination."""

    scored: sa.Table
    rejected: sa.Table
    manifests: sa.Table


def _describe(table: Table) -> Tables:
    metadata = sa.MetaData(schema=table.schema)
    key = [("partition", sa.Text), ("model_sha256", sa.String(64))]
    scored = [
        *[
            ("id", sa.Text),
            ("label", sa.Text),
            ("score", sa.Double),
            ("probabilities", Json),
            ("version", sa.BigInteger),
        ],
        *[
            ("row", sa.BigInteger),
            ("time", sa.DateTime(timezone=True)),
            ("text_sha256", sa.String(64)),
            ("text", sa.Text),
        ],
        *[("tokens", sa.Integer), ("unknown_word_share", sa.Double), ("explanation", Json)],
    ]
    rejected = [("row", sa.BigInteger), *[(name, sa.Text) for name in REJECTED.names[1:]]]
    manifests = [("finished", sa.Text), ("manifest", Json)]

    def described(suffix: str, columns: list[tuple[str, Any]]) -> sa.Table:
        name = table.name + suffix
        index = sa.Index(f"{name}_partition", *KEY)
        return sa.Table(name, metadata, *[sa.Column(n, kind) for n, kind in [*key, *columns]], index)

    return Tables(described("", scored), described("_rejected", rejected), described("_manifests", manifests))


def _check_columns(table: Table, expected: sa.Table) -> None:
    with database_errors(table):
        present = {column["name"] for column in sa.inspect(table.engine).get_columns(table.name, table.schema)}
    missing = [column.name for column in expected.columns if column.name not in present]
    if missing:
        raise DataContractError(
            f"The table {table.address} exists and was not created by `atnet score`: it lacks {', '.join(missing)}. "
            "Choose another table."
        )


def _of(target: sa.Table, partition: str, model_sha256: str) -> tuple[sa.ColumnElement[bool], ...]:
    return target.c.partition == partition, target.c.model_sha256 == model_sha256


def _staging(connection: sa.Connection, target: sa.Table) -> sa.Table:
    """Create a temporary table with the columns of another one; it belongs to this connection."""
    columns = [sa.Column(column.name, column.type) for column in target.columns]
    staged = sa.Table(f"{target.name}_staging", sa.MetaData(), *columns, prefixes=["TEMPORARY"])
    # The connection may come back from a pool with the tables of an earlier partition.
    connection.execute(sa.schema.DropTable(staged, if_exists=True))
    connection.execute(sa.schema.CreateTable(staged))
    connection.commit()
    return staged


def _column(batch: pa.RecordBatch, name: str, *, as_json: bool) -> list[Any]:
    values = batch[name]
    if pa.types.is_nested(values.type):
        texts = json_values(values)
        return texts if as_json else [None if text is None else json.loads(text) for text in texts]
    plain: list[Any] = values.to_pylist()
    return plain


def _copy(
    connection: sa.Connection, staged: sa.Table, names: list[str], values: tuple[list[Any], list[list[Any]]]
) -> None:
    """Send rows with PostgreSQL's COPY: fixed values of the first columns, then one list per column."""
    quote = connection.dialect.identifier_preparer.quote
    statement = f"COPY {quote(staged.name)} ({', '.join(quote(name) for name in names)}) FROM STDIN"
    driver = connection.connection.driver_connection
    assert driver is not None
    fixed, columns = values
    with driver.cursor() as cursor, cursor.copy(statement) as copy:
        for row in zip(*columns, strict=True):
            # PostgreSQL has no character for zero.
            copy.write_row([*fixed, *(v.replace("\0", "\ufffd") if isinstance(v, str) else v for v in row)])
