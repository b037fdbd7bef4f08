"""Read JSON Lines and Parquet into columns of strings."""

import contextlib
import gzip
import io
import json
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from atnet.config import DataConfig
from atnet.data.columns import check_columns, required_columns
from atnet.data.encodings import encoding_error
from atnet.data.raw_bytes import open_bytes
from atnet.errors import DataContractError, DataFileError

BATCH_ROWS = 100_000
BUFFER_BYTES = 1 << 20
"""Bytes of a Parquet column that are read at once; without a limit, the whole column of a row group is."""


def _constant(name: str) -> str | None:
    """Return the value for NaN or an infinity, which JSON does not have: pandas and others write NaN for missing."""
    return None if name == "NaN" else name


DECODER = json.JSONDecoder(parse_int=str, parse_float=str, parse_constant=_constant)
"""Keeps numbers as they are written. Created once: json.loads would create one for each line."""


def stream_json_lines(path: Path, data: DataConfig, *, batch_bytes: int) -> Iterator[pa.RecordBatch]:
    """Read one object per line, in batches; numbers keep their digits, a missing key and NaN are null.

    Args:
        path: of the file.
        data: how it is read.
        batch_bytes: a batch ends at about this size even if it has fewer than BATCH_ROWS.

    Raises:
        DataFileError: with the number of the line that is not a JSON object.
        DataContractError: if a value is a list or an object or, after the last batch, if no line has a required key.
    """
    required = required_columns(data.columns)
    schema = pa.schema([(name, pa.string()) for name in required])
    keys: dict[str, None] = {}
    size, rows = 0, []
    for line, values in _json_rows(path, data.encoding, schema, keys):
        rows.append(values)
        size += len(line)
        if len(rows) == BATCH_ROWS or size > batch_bytes:
            yield _batch(rows, schema)
            size, rows = 0, []
    if rows:
        yield _batch(rows, schema)
    if keys:
        check_columns(list(keys), data.columns, source=path)


def _json_rows(
    path: Path, encoding: str, schema: pa.Schema, keys: dict[str, None]
) -> Iterator[tuple[str, list[str | None]]]:
    """Yield each line with its values; add each key that occurs to `keys`, in the order of its first occurrence."""
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
                yield line, [_to_string(path, number, name, record.get(name)) for name in schema.names]
        except UnicodeDecodeError:
            raise encoding_error(path, encoding) from None


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


def stream_parquet(path: Path, data: DataConfig, *, batch_bytes: int) -> Iterator[pa.RecordBatch]:
    """Read the required columns of a Parquet file in batches, cast to strings; NaN is null.

    Args:
        path: of the file.
        data: how it is read.
        batch_bytes: about the size of a batch, if it has fewer than BATCH_ROWS.

    Raises:
        DataFileError: if the file is damaged or not Parquet.
        DataContractError: if a column is missing or contains lists, objects or bytes.
    """
    required = required_columns(data.columns)
    try:
        with open_bytes(path) as stream, _seekable(stream) as seekable:
            file = pq.ParquetFile(seekable, buffer_size=BUFFER_BYTES)
            check_columns(file.schema_arrow.names, data.columns, source=path)
            for batch in file.iter_batches(_batch_rows(file.metadata, batch_bytes), columns=required):
                columns = [_cast(path, name, batch[name]) for name in required]
                yield pa.record_batch(columns, names=required)
    except (pa.ArrowException, OSError) as error:
        reason = str(error).splitlines()[0]
        raise DataFileError(
            f"{path} is damaged or not a Parquet file ({reason}). Copy or write it again, "
            "or set data.format in params.yaml."
        ) from error


@contextlib.contextmanager
def _seekable(stream: IO[bytes]) -> Iterator[IO[bytes]]:
    """Unpack a gzip file to the disk: Parquet is read from its end."""
    if not isinstance(stream, gzip.GzipFile):
        yield stream
        return
    with tempfile.TemporaryFile() as unpacked:
        shutil.copyfileobj(stream, unpacked, BUFFER_BYTES)
        unpacked.seek(0)
        yield unpacked


def _batch_rows(metadata: pq.FileMetaData, batch_bytes: int) -> int:
    """Return how many rows have about this size together."""
    size = sum(int(metadata.row_group(group).total_byte_size) for group in range(metadata.num_row_groups))
    rows = int(metadata.num_rows)
    return max(1, min(BATCH_ROWS, batch_bytes * rows // max(size, 1)))


def _cast(path: Path, name: str, column: pa.Array) -> pa.Array:
    try:
        values = column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column
        if pa.types.is_floating(values.type):
            values = pc.if_else(pc.is_nan(values), None, values)
        return values.cast(pa.string())
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise DataContractError(
            f"{path}: column {name!r} contains {column.type}, not text. Write it as strings or numbers."
        ) from error
