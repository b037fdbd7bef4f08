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
import pyarrow.parquet as pq

from atnet.config import DataConfig
from atnet.data.columns import check_columns, wanted_columns
from atnet.data.raw_bytes import encoding_fault, open_bytes
from atnet.errors import DataContractError, DataFileError

BATCH_LINES = 100_000
BATCH_CHARACTERS = BATCH_BYTES = 1 << 24
"""Where the texts are long, a batch ends before it has all its lines."""
BUFFER_BYTES = 1 << 20
"""Read of a Parquet column at once; without it, a row group's whole column would be."""
DECODER = json.JSONDecoder(parse_int=str, parse_float=str, parse_constant=str)
"""Keeps numbers as they were written. Made once: json.loads would make one per line."""


def stream_json_lines(path: Path, data: DataConfig) -> Iterator[pa.RecordBatch]:
    """Read one object per line, in batches; numbers keep the digits they were written with, a missing key is null.

    Raises:
        DataFileError: naming the line that is not a JSON object.
        DataContractError: if a value is a list or an object or, after the last batch, if no line had a wanted key.
    """
    wanted = wanted_columns(data.columns)
    schema = pa.schema([(name, pa.string()) for name in wanted])
    found: dict[str, None] = {}
    yield from _json_batches(path, data.encoding, schema, found)
    if found:
        check_columns(list(found), data.columns, source=path)


def _json_batches(path: Path, encoding: str, schema: pa.Schema, found: dict[str, None]) -> Iterator[pa.RecordBatch]:
    rows: list[list[str | None]] = []
    characters = 0
    # utf-8-sig takes the byte-order mark off where there is one.
    decoding = "utf-8-sig" if encoding.lower().replace("_", "-") in ("utf-8", "utf8") else encoding
    with open_bytes(path) as stream:
        try:
            for number, line in enumerate(io.TextIOWrapper(stream, encoding=decoding, newline="\n"), start=1):
                if not line.strip():
                    continue
                record = _record(path, number, line)
                if not record.keys() <= found.keys():
                    found.update(dict.fromkeys(record))
                rows.append([_string(path, number, name, record.get(name)) for name in schema.names])
                characters += len(line)
                if len(rows) == BATCH_LINES or characters > BATCH_CHARACTERS:
                    yield _batch(rows, schema)
                    rows, characters = [], 0
        except UnicodeDecodeError:
            raise encoding_fault(path, encoding) from None
    if rows:
        yield _batch(rows, schema)


def _batch(rows: list[list[str | None]], schema: pa.Schema) -> pa.RecordBatch:
    columns = zip(*rows, strict=True)
    return pa.record_batch([pa.array(column, pa.string()) for column in columns], schema=schema)


def _record(path: Path, number: int, line: str) -> dict[str, Any]:
    try:
        record = DECODER.decode(line)
    except ValueError as error:
        raise DataFileError(f"{path}: line {number:,} is not JSON ({error}). Mend or delete that line.") from error
    if not isinstance(record, dict):
        raise DataFileError(
            f"{path}: line {number:,} is no JSON object. JSON Lines holds one object per line: "
            'write {"text": …, "label": …} on each.'
        )
    return record


def _string(path: Path, number: int, name: str, value: Any) -> str | None:
    if value is None:
        return None
    if isinstance(value, str):
        # A lone half of a surrogate pair is no character; the replacement character is counted by validate.
        return value if value.isascii() else value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, bool):
        return "true" if value else "false"
    raise DataContractError(f"{path}: line {number:,}: {name!r} is a {type(value).__name__}, not a text or number.")


def stream_parquet(path: Path, data: DataConfig) -> Iterator[pa.RecordBatch]:
    """Read the wanted columns of a Parquet file in batches, cast to strings.

    Raises:
        DataFileError: if the file is damaged or no Parquet.
        DataContractError: if a column is missing or holds lists, objects or bytes.
    """
    wanted = wanted_columns(data.columns)
    try:
        with open_bytes(path) as stream, _seekable(stream) as seekable:
            source = pq.ParquetFile(seekable, buffer_size=BUFFER_BYTES)
            check_columns(source.schema_arrow.names, data.columns, source=path)
            for batch in source.iter_batches(_batch_rows(source.metadata), columns=wanted):
                columns = [_cast(path, name, batch[name]) for name in wanted]
                yield pa.record_batch(columns, names=wanted)
    except (pa.ArrowException, OSError) as error:
        reason = str(error).splitlines()[0]
        raise DataFileError(
            f"{path} is damaged or not a Parquet file ({reason}). Copy or write it again, "
            "or set data.format in params.yaml."
        ) from error


@contextlib.contextmanager
def _seekable(stream: IO[bytes]) -> Iterator[IO[bytes]]:
    """Unpack a gzip file to disk: Parquet is read from its end."""
    if not isinstance(stream, gzip.GzipFile):
        yield stream
        return
    with tempfile.TemporaryFile() as unpacked:
        shutil.copyfileobj(stream, unpacked, BATCH_BYTES)
        unpacked.seek(0)
        yield unpacked


def _batch_rows(metadata: pq.FileMetaData) -> int:
    """Return how many rows take up about BATCH_BYTES."""
    size = sum(int(metadata.row_group(group).total_byte_size) for group in range(metadata.num_row_groups))
    rows = int(metadata.num_rows)
    return max(1, min(BATCH_LINES, BATCH_BYTES * rows // max(size, 1)))


def _cast(path: Path, name: str, column: pa.Array) -> pa.Array:
    try:
        return column.cast(pa.string())
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise DataContractError(
            f"{path}: column {name!r} holds {column.type}, which is no text. Write it as strings or numbers."
        ) from error
