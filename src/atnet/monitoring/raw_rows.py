"""The user's data file with all its columns, to be rewritten with corrected labels and new rows."""

import csv
import gzip
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from atnet.config import DataConfig
from atnet.data.raw_bytes import GZIP_MAGIC, open_bytes
from atnet.data.reader import SourceFile, read_raw_columns
from atnet.errors import MonitoringError
from atnet.storage import whole_file


@dataclass(frozen=True, slots=True)
class RawRows:
    """A data file's rows under its own column names."""

    rows: list[dict[str, Any]]
    columns: list[str]
    source: SourceFile
    encoding: str
    compressed: bool
    """Whether it is compressed with gzip."""
    schema: pa.Schema | None
    """Schema of a Parquet file."""


def read_raw(path: Path, data: DataConfig) -> RawRows:
    """Read all columns of a data file.

    Raises:
        DataError: as the pipeline's own reader does.
        MonitoringError: if reading all columns changes the rows, so that rewriting the file would damage it.
    """
    frame, source = read_raw_columns(path, data)
    with path.open("rb") as file:
        compressed = file.read(len(GZIP_MAGIC)) == GZIP_MAGIC
    with open_bytes(path) as stream:
        content = stream.read()
    schema = None
    if source.format == "parquet":
        table = pq.read_table(io.BytesIO(content))
        rows, columns, schema = table.to_pylist(), table.column_names, table.schema
    elif source.format == "jsonl":
        rows = [json.loads(line) for line in _decode(content, data.encoding).splitlines() if line.strip()]
        columns = list(dict.fromkeys(key for row in rows for key in row))
    else:
        rows, columns = _csv_rows(_decode(content, data.encoding), source)
    raw = RawRows(rows, columns, source, data.encoding, compressed, schema)
    texts = frame[data.columns.text].tolist()
    if [_text(row.get(data.columns.text)) for row in raw.rows] != [_text(text) for text in texts]:
        raise MonitoringError(
            f"{path} cannot be rewritten without damage: reading all its columns gives different rows. Save it as "
            "plain CSV, JSON Lines or Parquet, and read the review again."
        )
    return raw


def write_raw(path: Path, raw: RawRows, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write rows in the format of the file they came from, completely or not at all.

    Raises:
        MonitoringError: if a text cannot be written without quotes.
    """
    if raw.source.format == "parquet":
        buffer = io.BytesIO()
        pq.write_table(pa.Table.from_pylist([dict(row) for row in rows], schema=raw.schema), buffer)
        content = buffer.getvalue()
    elif raw.source.format == "jsonl":
        content = "".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in rows).encode(raw.encoding)
    else:
        content = _csv_text(path, raw, rows).encode(raw.encoding)
    with whole_file(path) as partial:
        partial.write_bytes(gzip.compress(content, mtime=0) if raw.compressed else content)


def _csv_rows(text: str, source: SourceFile) -> tuple[list[dict[str, Any]], list[str]]:
    frame = pd.read_csv(
        io.StringIO(text),
        sep=source.separator,
        quoting=_quoting(source),
        dtype=str,
        keep_default_na=False,
        na_filter=False,
    )
    columns = [str(name) for name in frame.columns]
    return [dict(zip(columns, row, strict=True)) for row in frame.itertuples(index=False, name=None)], columns


def _csv_text(path: Path, raw: RawRows, rows: Sequence[Mapping[str, Any]]) -> str:
    assert raw.source.separator is not None
    frame = pd.DataFrame(rows, columns=raw.columns)
    try:
        text = frame.to_csv(index=False, sep=raw.source.separator, quoting=_quoting(raw.source), lineterminator="\n")
    except csv.Error as error:
        raise MonitoringError(
            f"{path} is written without quotes, and a new text contains the separator or a line break. Save the file "
            "as CSV with quotes and read the review again."
        ) from error
    return str(text)


def _quoting(source: SourceFile) -> Literal[0, 3]:
    return csv.QUOTE_NONE if source.quoting == "none" else csv.QUOTE_MINIMAL


def _decode(content: bytes, encoding: str) -> str:
    return content.decode(encoding).removeprefix("\ufeff")


def _text(value: Any) -> str:
    return "" if value is None else str(value)
