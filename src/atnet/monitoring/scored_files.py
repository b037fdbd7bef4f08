"""Read a file that `atnet score` wrote: rows with predictions, named as in the service's prediction log."""

import gzip
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from atnet.data.file_types import PARQUET_MAGIC, starts_like_json_lines
from atnet.data.raw_bytes import open_bytes
from atnet.errors import DataFileError
from atnet.monitoring.logged_predictions import COLUMNS, EMPTY, READ_ROWS, stream_file

MARKS = frozenset({"text_sha256", "probabilities", "model_sha256"})
"""Columns by which a scored file is recognized."""
START_BYTES = 1 << 16
BATCH_BYTES = 1 << 20
"""A batch of JSON Lines or CSV ends at about this size. Arrow reads up to 32 blocks of CSV ahead."""
CSV_TYPES = {
    **{name: pa.string() for name in ("text_sha256", "text", "label", "probabilities", "model_sha256")},
    # Not integers: other programs write 3.0 in a column in which a number is missing.
    **{name: pa.float64() for name in ("version", "tokens", "unknown_word_share")},
}
"""Types in which the columns of a CSV file are read; `probabilities` is JSON."""


def is_scored_file(path: Path) -> bool:
    """Return whether a file has the columns of scored rows.

    Raises:
        DataFileError: if the file is missing or cannot be opened.
    """
    with open_bytes(path) as stream:
        start = stream.read(START_BYTES)
    if start.startswith(PARQUET_MAGIC):
        try:
            return set(pq.read_schema(path).names) >= MARKS
        except (pa.ArrowException, OSError):
            return False
    first = start.split(b"\n", 1)[0].decode("utf-8", "replace")
    return all(f'"{name}"' in first or name in first.split(",") for name in MARKS)


def stream_scored_file(path: Path) -> Iterator[pa.Table]:
    """Read the columns COLUMNS of a scored file in batches; a column that it lacks is null.

    Raises:
        DataFileError: if the file is damaged, when the damaged part is reached.
    """
    try:
        with open_bytes(path) as stream:
            start = stream.read(START_BYTES)
            stream.seek(0)
            if start.startswith(PARQUET_MAGIC):
                yield from stream_file(path)
            elif starts_like_json_lines(start):
                yield from _json_batches(stream)
            else:
                yield from _csv_batches(stream)
    except (pa.ArrowException, OSError, EOFError, ValueError, TypeError, gzip.BadGzipFile) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise DataFileError(f"{path} is damaged ({reason}). Score its rows again with `atnet score`.") from error


def _json_batches(stream: IO[bytes]) -> Iterator[pa.Table]:
    rows: list[dict[str, Any]] = []
    size = 0
    # Not splitlines: a text may contain other line separators than this one.
    for line in io.TextIOWrapper(stream, encoding="utf-8", newline="\n"):
        if not line.strip():
            continue
        rows.append(_row(json.loads(line)))
        size += len(line)
        if len(rows) == READ_ROWS or size > BATCH_BYTES:
            yield pa.Table.from_pylist(rows, EMPTY.schema)
            rows, size = [], 0
    yield pa.Table.from_pylist(rows, EMPTY.schema)


def _csv_batches(stream: IO[bytes]) -> Iterator[pa.Table]:
    convert = pa.csv.ConvertOptions(
        include_columns=list(COLUMNS),
        include_missing_columns=True,
        column_types=CSV_TYPES,
        strings_can_be_null=True,
        quoted_strings_can_be_null=False,
    )
    parse = pa.csv.ParseOptions(newlines_in_values=True)
    read = pa.csv.ReadOptions(block_size=BATCH_BYTES)
    with pa.csv.open_csv(stream, read_options=read, parse_options=parse, convert_options=convert) as batches:
        for batch in batches:
            yield pa.Table.from_pylist([_row(values) for values in batch.to_pylist()], EMPTY.schema)


def _row(values: dict[str, Any]) -> dict[str, Any]:
    row = {name: values.get(name) for name in COLUMNS}
    probabilities = row["probabilities"]
    if isinstance(probabilities, str):
        probabilities = json.loads(probabilities)
    row["probabilities"] = None if probabilities is None else list(probabilities.items())
    return row
