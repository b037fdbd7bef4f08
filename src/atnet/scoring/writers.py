"""Write scored rows as Parquet, CSV or JSON Lines in bounded memory; in CSV, nested columns are JSON."""

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, Protocol, cast

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from atnet.errors import ConfigurationError

ROW_GROUP_ROWS = 30_000
NESTED = ("probabilities", "explanation")
SUFFIXES = {".parquet": "parquet", ".pq": "parquet", ".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl"}


class RowWriter(Protocol):
    """Writes batches of rows to a stream."""

    def write(self, batch: pa.RecordBatch) -> None:
        """Write a batch."""

    def close(self) -> None:
        """Write what is left; the stream stays open."""


class ParquetRows:
    """Writes Parquet in row groups of about ROW_GROUP_ROWS."""

    def __init__(self, stream: IO[bytes], schema: pa.Schema) -> None:
        self._writer = pq.ParquetWriter(stream, schema, compression="zstd")
        self._schema = schema
        self._batches: list[pa.RecordBatch] = []

    def write(self, batch: pa.RecordBatch) -> None:
        """Write a batch."""
        self._batches.append(batch)
        if sum(waiting.num_rows for waiting in self._batches) >= ROW_GROUP_ROWS:
            self._flush()

    def close(self) -> None:
        """Write what is left and the footer."""
        self._flush()
        self._writer.close()

    def _flush(self) -> None:
        if self._batches:
            self._writer.write_table(pa.Table.from_batches(self._batches, self._schema))
            self._batches = []


class CsvRows:
    """Writes CSV with a header."""

    def __init__(self, stream: IO[bytes], schema: pa.Schema) -> None:
        flat = pa.schema([pa.field(f.name, pa.string()) if f.name in NESTED else f for f in schema])
        self._schema = flat
        self._writer = pa.csv.CSVWriter(stream, flat)

    def write(self, batch: pa.RecordBatch) -> None:
        """Write a batch."""
        columns = [pa.array(json_values(batch[n])) if n in NESTED else batch[n] for n in batch.schema.names]
        self._writer.write_batch(pa.record_batch(columns, schema=self._schema))

    def close(self) -> None:
        """Write what is left."""
        self._writer.close()


class JsonRows:
    """Writes one JSON object per line."""

    def __init__(self, stream: IO[bytes], schema: pa.Schema) -> None:
        self._stream = stream
        self._names = schema.names

    def write(self, batch: pa.RecordBatch) -> None:
        """Write a batch."""
        lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in plain_rows(batch, self._names)]
        self._stream.write("".join(lines).encode("utf-8"))

    def close(self) -> None:
        """Do nothing: every line has been written."""


PlainWriter = type[ParquetRows] | type[CsvRows] | type[JsonRows]
WRITERS: dict[str, PlainWriter] = {
    "parquet": ParquetRows,
    "csv": CsvRows,
    "jsonl": JsonRows,
}


class GzipRows:
    """Compresses what another writer writes."""

    def __init__(
        self, stream: IO[bytes], writer: type[ParquetRows] | type[CsvRows] | type[JsonRows], schema: pa.Schema
    ):
        # No date and no name in the header: the same rows are the same bytes.
        self._packed = gzip.GzipFile("", "wb", compresslevel=6, fileobj=stream, mtime=0)
        self._writer = writer(cast(IO[bytes], self._packed), schema)

    def write(self, batch: pa.RecordBatch) -> None:
        """Write a batch."""
        self._writer.write(batch)

    def close(self) -> None:
        """Write what is left."""
        self._writer.close()
        self._packed.close()


def plain_rows(batch: pa.RecordBatch, names: list[str]) -> Iterator[dict[str, Any]]:
    """Yield rows as dictionaries ready for JSON."""
    columns = [_plain(batch[name]) for name in names]
    for values in zip(*columns, strict=True):
        yield dict(zip(names, values, strict=True))


def json_values(column: pa.Array) -> list[str | None]:
    """Return the values of a nested column as JSON."""
    return [None if value is None else json.dumps(value, ensure_ascii=False) for value in _plain(column)]


def _plain(column: pa.Array) -> list[Any]:
    if pa.types.is_map(column.type):
        return [None if pairs is None else dict(pairs) for pairs in column.to_pylist()]
    if pa.types.is_timestamp(column.type):
        return [None if value is None else value.isoformat() for value in column.to_pylist()]
    values: list[Any] = column.to_pylist()
    return values


def output_format(path: Path) -> str:
    """Return the format that a file name asks for.

    Raises:
        ConfigurationError: if its suffix is unknown.
    """
    suffixes = [suffix.lower() for suffix in path.suffixes]
    packed = suffixes[-1:] == [".gz"]
    name = SUFFIXES.get(suffixes[-2] if packed and len(suffixes) > 1 else (suffixes or [""])[-1])
    if name is None or (packed and name == "parquet"):
        raise ConfigurationError(
            f"{path}: the name must end in .parquet, .csv, .jsonl, .csv.gz or .jsonl.gz, which determines the format."
        )
    return name


def open_writer(stream: IO[bytes], path: Path, schema: pa.Schema) -> RowWriter:
    """Return a writer in the format of a file name, compressed if it ends in .gz."""
    writer = WRITERS[output_format(path)]
    return GzipRows(stream, writer, schema) if path.suffix.lower() == ".gz" else writer(stream, schema)
