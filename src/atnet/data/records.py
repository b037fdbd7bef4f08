"""Read JSON Lines and Parquet into columns of strings."""

import gzip
import io
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from atnet.config import DataConfig
from atnet.data.columns import check_columns, required_columns
from atnet.data.encodings import encoding_error
from atnet.data.raw_bytes import open_bytes
from atnet.errors import DataContractError, DataFileError

BATCH_LINES = 100_000


def _constant(name: str) -> str | None:
    """Return what stands for NaN or an infinity, which JSON does not have: pandas and others write NaN for missing."""
    return None if name == "NaN" else name


DECODER = json.JSONDecoder(parse_int=str, parse_float=str, parse_constant=_constant)
"""Keeps numbers as they are written. Created once: json.loads would create one for each line."""


def read_json_lines(path: Path, data: DataConfig, extra: Sequence[str] = ()) -> pa.Table:
    """Read one object per line; numbers keep the digits they are written with, a missing key and NaN are null.

    Raises:
        DataFileError: with the number of the line that is not a JSON object.
        DataContractError: if no line has a required key, or a value is a list or an object.
    """
    required = required_columns(data.columns, extra)
    schema = pa.schema([(name, pa.string()) for name in required])
    keys: dict[str, None] = {}
    batches = list(_json_batches(path, data.encoding, schema, keys))
    if batches:
        check_columns(list(keys), data.columns, source=path, extra=extra)
    return pa.Table.from_batches(batches, schema=schema)


def _json_batches(path: Path, encoding: str, schema: pa.Schema, keys: dict[str, None]) -> Iterator[pa.RecordBatch]:
    """Yield the lines in batches; add each key that occurs to `keys`, in the order of its first occurrence."""
    rows: list[list[str | None]] = []
    # utf-8-sig skips the byte-order mark if there is one.
    decoding = "utf-8-sig" if encoding.lower().replace("_", "-") in ("utf-8", "utf8") else encoding
    with open_bytes(path) as stream:
        try:
            for number, line in enumerate(io.TextIOWrapper(stream, encoding=decoding, newline="\n"), start=1):
                if not line.strip():
                    continue
                record = _parse_line(path, number, line)
                if not record.keys() <= keys.keys():
                    keys.update(dict.fromkeys(record))
                rows.append([_to_string(path, number, name, record.get(name)) for name in schema.names])
                if len(rows) == BATCH_LINES:
                    yield _batch(rows, schema)
                    rows = []
        except UnicodeDecodeError:
            raise encoding_error(path, encoding) from None
    if rows:
        yield _batch(rows, schema)


def _batch(rows: list[list[str | None]], schema: pa.Schema) -> pa.RecordBatch:
    columns = zip(*rows, strict=True)
    return pa.record_batch([pa.array(column, pa.string()) for column in columns], schema=schema)


def _parse_line(path: Path, number: int, line: str) -> dict[str, Any]:
    try:
        record = DECODER.decode(line)
    except ValueError as error:
        raise DataFileError(f"{path}: line {number:,} is not JSON ({error}). Fix or delete that line.") from error
    if not isinstance(record, dict):
        raise DataFileError(
            f"{path}: line {number:,} is not a JSON object. JSON Lines has one object per line: "
            'write {"text": …, "label": …} on each.'
        )
    return record


def _to_string(path: Path, number: int, name: str, value: Any) -> str | None:
    if value is None:
        return None
    if isinstance(value, str):
        # An unpaired surrogate is not a character; validate counts the replacement characters.
        return value if value.isascii() else value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, bool):
        return "true" if value else "false"
    raise DataContractError(f"{path}: line {number:,}: {name!r} is a {type(value).__name__}, not a text or number.")


def read_parquet(path: Path, data: DataConfig, extra: Sequence[str] = ()) -> pa.Table:
    """Read the required columns of a Parquet file, cast to strings; NaN is null.

    Raises:
        DataFileError: if the file is damaged or not Parquet.
        DataContractError: if a column is missing or contains lists, objects or bytes.
    """
    names = required_columns(data.columns, extra)
    try:
        with open_bytes(path) as stream:
            # Parquet is read from its end, so a compressed file must be unpacked first.
            file = pq.ParquetFile(io.BytesIO(stream.read()) if isinstance(stream, gzip.GzipFile) else stream)
            check_columns(file.schema_arrow.names, data.columns, source=path, extra=extra)
            table = file.read(columns=names)
    except (pa.ArrowException, OSError) as error:
        reason = str(error).splitlines()[0]
        raise DataFileError(
            f"{path} is damaged or not a Parquet file ({reason}). Copy or write it again, "
            "or set data.format in params.yaml."
        ) from error
    return pa.table([_cast(path, name, table[name]) for name in names], names=names)


def _cast(path: Path, name: str, column: pa.ChunkedArray) -> pa.ChunkedArray:
    try:
        values = column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column
        if pa.types.is_floating(values.type):
            values = pc.if_else(pc.is_nan(values), None, values)
        return values.cast(pa.string())
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise DataContractError(
            f"{path}: column {name!r} contains {column.type}, not text. Write it as strings or numbers."
        ) from error
