"""Texts in a SQL table: copied to a file in one query, so that no transaction is open while they are scored."""

import contextlib
import difflib
import hashlib
import tempfile
from collections.abc import Iterator
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import sqlalchemy as sa

from atnet.config import DataConfig
from atnet.errors import ConfigurationError, DataContractError, DataFileError
from atnet.scoring.partitions import Partition, PartitionInput
from atnet.scoring.sql_tables import Table, database_errors

BATCH_ROWS = 2_000
MAX_PARTITIONS = 10_000
NULL = "null"
"""Name of the partition of rows whose partition column is null."""
COPIED = pa.schema([("id", pa.string()), ("text", pa.string())])


class TableSource:
    """A table, or its rows by the value of a partition column."""

    def __init__(self, table: Table, data: DataConfig, partition_column: str | None) -> None:
        """Read the table's columns.

        Raises:
            DataFileError: if the table does not exist.
            DataContractError: if a column is missing.
            StoreError: if the database does not answer.
        """
        self._table = table
        columns = _columns(table)
        self._text = _column(columns, data.columns.text, "--text-column", table)
        self._id = _optional_column(columns, data.columns.id, "--id-column", table)
        self._partition = _optional_column(columns, partition_column, "--partition-column", table)
        named = {"text": "text", "id": "id" if data.columns.id else None}
        self._data = data.model_copy(update={"format": "parquet", "columns": data.columns.model_copy(update=named)})
        self._values: dict[str, Any] = {}

    def partitions(self) -> list[Partition]:
        """List the values of the partition column; without one, the table is one partition.

        Raises:
            ConfigurationError: if the column has too many values to be one of partitions.
            StoreError: if the database does not answer.
        """
        if self._partition is None:
            return [Partition(self._table.name)]
        query = sa.select(self._partition).distinct().limit(MAX_PARTITIONS + 1)
        with database_errors(self._table), self._table.engine.connect() as connection:
            values = list(connection.scalars(query))
        if len(values) > MAX_PARTITIONS:
            raise ConfigurationError(
                f"The column {self._partition.name!r} of {self._table.address} has over {MAX_PARTITIONS:,} values. "
                "Choose one with few values, such as a date without a time."
            )
        self._values = {_partition_name(value): value for value in values}
        if len(self._values) < len(values):
            raise ConfigurationError(
                f"Different values of the column {self._partition.name!r} of {self._table.address} have the same "
                "text form. Choose another partition column."
            )
        return [Partition(name) for name in sorted(self._values)]

    def digest(self, partition: Partition) -> str:
        """Return the SHA-256 of a partition's ids and texts."""
        digest = hashlib.sha256()
        for batch in self._batches(partition):
            digest.update(batch.serialize())
        return digest.hexdigest()

    @contextlib.contextmanager
    def open(self, partition: Partition) -> Iterator[PartitionInput]:
        """Provide a copy of a partition's rows, ordered by id.

        Raises:
            DataContractError: if a value is not a text or number.
            StoreError: if the database does not answer.
        """
        with tempfile.TemporaryDirectory(prefix="atnet-rows-") as folder:
            path, digest = Path(folder, "rows.parquet"), hashlib.sha256()
            with pq.ParquetWriter(path, COPIED, compression="zstd") as writer:
                for batch in self._batches(partition):
                    digest.update(batch.serialize())
                    writer.write_batch(batch)
            yield PartitionInput(path, self._data, digest.hexdigest())

    def _batches(self, partition: Partition) -> Iterator[pa.RecordBatch]:
        ids = [] if self._id is None else [self._id]
        # The text too: rows with the same id keep their order.
        query = sa.select(*ids, self._text).order_by(*ids, self._text)
        if self._partition is not None:
            query = query.where(self._partition == self._value(partition))
        with database_errors(self._table), self._table.engine.connect() as connection:
            rows = connection.execution_options(yield_per=BATCH_ROWS).execute(query)
            for part in rows.partitions():
                columns = [[_as_text(value, self._table) for value in values] for values in zip(*part, strict=True)]
                yield pa.record_batch([columns[0] if ids else [None] * len(part), columns[-1]], schema=COPIED)

    def _value(self, partition: Partition) -> Any:
        if partition.name not in self._values:
            self.partitions()
        try:
            return self._values[partition.name]
        except KeyError:
            raise DataFileError(f"{self._table.address} has no rows of {partition.name} any more.") from None


def _columns(table: Table) -> dict[str, sa.Column[Any]]:
    if not table.exists():
        raise DataFileError(f"The table {table.address} does not exist. Check the name and the database.")
    with database_errors(table):
        reflected = sa.Table(table.name, sa.MetaData(), schema=table.schema, autoload_with=table.engine)
    return {column.name: column for column in reflected.columns}


def _column(columns: dict[str, sa.Column[Any]], name: str, option: str, table: Table) -> sa.Column[Any]:
    if name in columns:
        return columns[name]
    similar = difflib.get_close_matches(name, columns, n=1, cutoff=0.5)
    hint = f" Did you mean {similar[0]!r}?" if similar else ""
    raise DataContractError(
        f"{table.address} has no column {name!r} (its columns: {', '.join(columns)}).{hint} Correct {option}."
    )


def _optional_column(
    columns: dict[str, sa.Column[Any]], name: str | None, option: str, table: Table
) -> sa.Column[Any] | None:
    return None if name is None else _column(columns, name, option, table)


def _partition_name(value: Any) -> str:
    if value is None:
        return NULL
    return value.isoformat() if isinstance(value, date | datetime) else str(value)


def _as_text(value: Any, table: Table) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bytes | bytearray | memoryview | list | dict):
        raise DataContractError(
            f"{table.address} has a {type(value).__name__} where a text or id is needed. Choose other columns with "
            "--text-column and --id-column, or cast it in a view."
        )
    return str(value)
