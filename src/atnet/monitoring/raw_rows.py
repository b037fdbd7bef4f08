"""The user's data file with all its columns, to be written again with labels corrected and rows added."""

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
from atnet.data.canonical import wanted_columns
from atnet.data.delimited import SEPARATORS
from atnet.data.rawfile import GZIP_MAGIC, open_bytes
from atnet.data.source import FORMATS, PARQUET_MAGIC, read_source
from atnet.errors import MonitoringError
from atnet.storage import whole_file

Format = Literal["csv", "jsonl", "parquet"]


@dataclass(frozen=True, slots=True)
class RawRows:
    """A data file's rows under its own column names."""

    rows: list[dict[str, Any]]
    columns: list[str]
    format: Format
    separator: str
    """Of CSV."""
    encoding: str
    packed: bool
    """With gzip."""
    schema: pa.Schema | None
    """Of Parquet."""


def read_raw(path: Path, data: DataConfig) -> RawRows:
    """Read all columns of a data file.

    Raises:
        DataError: as the pipeline's own reader does.
        MonitoringError: if the file reads differently with all its columns, so that writing it again would damage it.
    """
    texts = read_source(path, data)[data.columns.text].tolist()
    with path.open("rb") as file:
        packed = file.read(len(GZIP_MAGIC)) == GZIP_MAGIC
    with open_bytes(path) as stream:
        content = stream.read()
    kind = _format(path, data, content)
    if kind == "parquet":
        table = pq.read_table(io.BytesIO(content))
        found = RawRows(table.to_pylist(), table.column_names, kind, "", data.encoding, packed, table.schema)
    elif kind == "jsonl":
        lines = [json.loads(line) for line in _decode(content, data.encoding).splitlines() if line.strip()]
        columns = list(dict.fromkeys(key for line in lines for key in line))
        found = RawRows(lines, columns, kind, "", data.encoding, packed, None)
    else:
        found = _read_csv(_decode(content, data.encoding), data, packed)
    if [_text(row.get(data.columns.text)) for row in found.rows] != [_text(text) for text in texts]:
        raise MonitoringError(
            f"{path} cannot be written again without damage: its rows read differently with all columns. Save it as "
            "plain CSV, JSON Lines or Parquet, and read the review again."
        )
    return found


def write_raw(path: Path, raw: RawRows, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write rows in the form of the file they came from, whole or not at all."""
    if raw.format == "parquet":
        buffer = io.BytesIO()
        pq.write_table(pa.Table.from_pylist([dict(row) for row in rows], schema=raw.schema), buffer)
        content = buffer.getvalue()
    elif raw.format == "jsonl":
        lines = (json.dumps(row, ensure_ascii=False) for row in rows)
        content = "".join(f"{line}\n" for line in lines).encode(raw.encoding)
    else:
        text = pd.DataFrame(rows, columns=raw.columns).to_csv(index=False, sep=raw.separator, lineterminator="\n")
        content = text.encode(raw.encoding)
    with whole_file(path) as beside:
        beside.write_bytes(gzip.compress(content, mtime=0) if raw.packed else content)


def _format(path: Path, data: DataConfig, content: bytes) -> Format:
    if data.format != "auto":
        return data.format
    if content.startswith(PARQUET_MAGIC):
        return "parquet"
    suffixes = [suffix.lower() for suffix in path.suffixes if suffix.lower() not in (".gz", ".gzip")]
    return FORMATS.get(suffixes[-1], "csv") if suffixes else "csv"


def _read_csv(text: str, data: DataConfig, packed: bool) -> RawRows:
    separator = data.separator
    if separator == "auto":
        wanted = set(wanted_columns(data.columns))
        separator = max(SEPARATORS, key=lambda one: len(wanted.intersection(_header(text, one))))
    frame = pd.read_csv(io.StringIO(text), sep=separator, dtype=str, keep_default_na=False, na_filter=False)
    rows: list[dict[str, Any]] = [{str(key): value for key, value in row.items()} for row in frame.to_dict("records")]
    return RawRows(rows, [str(name) for name in frame.columns], "csv", separator, data.encoding, packed, None)


def _header(text: str, separator: str) -> list[str]:
    return next(csv.reader(io.StringIO(text, newline=""), delimiter=separator), [])


def _decode(content: bytes, encoding: str) -> str:
    return content.decode(encoding).removeprefix("\ufeff")


def _text(value: Any) -> str:
    return "" if value is None else str(value)
