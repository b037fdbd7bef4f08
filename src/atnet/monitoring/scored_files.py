"""Read a file that `atnet score` wrote: rows with predictions, named as in the service's prediction log."""

import gzip
import io
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from atnet.data.file_types import PARQUET_MAGIC, starts_like_json_lines
from atnet.data.raw_bytes import open_bytes
from atnet.errors import DataFileError
from atnet.monitoring.logged_predictions import COLUMNS, EMPTY

MARKS = frozenset({"text_sha256", "probabilities", "model_sha256"})
"""Columns by which a scored file is recognized."""
START_BYTES = 1 << 16


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


def read_scored_file(path: Path) -> pa.Table:
    """Read the columns COLUMNS of a scored file; a column that it lacks is null.

    Raises:
        DataFileError: if the file is damaged.
    """
    try:
        with open_bytes(path) as stream:
            content = stream.read()
        if content.startswith(PARQUET_MAGIC):
            return _complete(pq.read_table(io.BytesIO(content)))
        rows = _json_rows(content) if starts_like_json_lines(content[:START_BYTES]) else _csv_rows(content)
        return pa.Table.from_pylist([_row(values) for values in rows], EMPTY.schema)
    except (pa.ArrowException, OSError, EOFError, ValueError, TypeError, gzip.BadGzipFile) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise DataFileError(f"{path} is damaged ({reason}). Score its rows again with `atnet score`.") from error


def _complete(table: pa.Table) -> pa.Table:
    columns = [
        table[name].cast(EMPTY.schema.field(name).type)
        if name in table.column_names
        else pa.nulls(len(table), EMPTY.schema.field(name).type)
        for name in COLUMNS
    ]
    return pa.table(columns, schema=EMPTY.schema)


def _json_rows(content: bytes) -> Iterator[dict[str, Any]]:
    return (json.loads(line) for line in content.decode("utf-8").splitlines() if line.strip())


def _csv_rows(content: bytes) -> Sequence[dict[str, Any]]:
    convert = pa.csv.ConvertOptions(
        column_types={"probabilities": pa.string(), "text": pa.string(), "label": pa.string()},
        strings_can_be_null=True,
        quoted_strings_can_be_null=False,
    )
    parse = pa.csv.ParseOptions(newlines_in_values=True)
    table = pa.csv.read_csv(io.BytesIO(content), parse_options=parse, convert_options=convert)
    rows: list[dict[str, Any]] = table.to_pylist()
    return rows


def _row(values: dict[str, Any]) -> dict[str, Any]:
    row = {name: values.get(name) for name in COLUMNS}
    probabilities = row["probabilities"]
    if isinstance(probabilities, str):
        probabilities = json.loads(probabilities)
    row["probabilities"] = None if probabilities is None else list(probabilities.items())
    return row
