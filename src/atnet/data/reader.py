"""Read the labeled texts: CSV, JSON Lines or Parquet, compressed with gzip or not."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import pandas as pd
import pyarrow as pa

from atnet.config import DataConfig
from atnet.data.columns import required_columns, to_canonical
from atnet.data.delimited import read_delimited, stream_delimited
from atnet.data.encodings import canonical_name, check_encoding, encoding_advice, wide_encoding
from atnet.data.file_types import PARQUET_MAGIC, starts_like_json_lines, unsupported_type_error
from atnet.data.raw_bytes import CHUNK_BYTES, no_rows_error, open_bytes
from atnet.data.records import stream_json_lines, stream_parquet
from atnet.data.source_warnings import SourceWarnings
from atnet.errors import DataContractError, DataFileError

Format = Literal["csv", "jsonl", "parquet"]
FORMATS: Mapping[str, Format] = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "jsonl",
    ".parquet": "parquet",
    ".pq": "parquet",
}
BATCH_BYTES = 1 << 24


class FormatReader(Protocol):
    """Reads a format in batches."""

    def __call__(self, path: Path, data: DataConfig, *, batch_bytes: int) -> Iterator[pa.RecordBatch]:
        """Read the required columns, all as strings."""


READERS: Mapping[Format, FormatReader] = {
    "csv": stream_delimited,
    "jsonl": stream_json_lines,
    "parquet": stream_parquet,
}


@dataclass(frozen=True, slots=True)
class SourceFile:
    """How the data file was read."""

    format: Format
    rows: int
    lines: int | None
    """Lines of a CSV or JSON Lines file that are not empty, without a header; None for Parquet."""
    separator: str | None
    """None if the file is not CSV."""
    quoting: str | None
    """standard or none; None if the file is not CSV."""
    warnings: tuple[str, ...]
    """What is probably wrong with the file, with the next step."""

    def describe(self) -> dict[str, Any]:
        """Return the facts, ready for JSON."""
        facts = {"format": self.format, "rows": self.rows, "separator": self.separator, "quoting": self.quoting}
        return {**facts, "lines": self.lines, "line_breaks_in_cells": self.line_breaks, "warnings": [*self.warnings]}

    @property
    def line_breaks(self) -> int:
        """Lines that do not start a row, because a quoted cell contains a line break."""
        return 0 if self.lines is None else self.lines - self.rows


@dataclass(frozen=True, slots=True)
class LabeledTexts:
    """The canonical table, indexed by row position from 1, and how its file was read."""

    table: pd.DataFrame
    source: SourceFile


def read_labeled_texts(path: Path, data: DataConfig) -> LabeledTexts:
    """Read the data file into the canonical table (see `atnet.schema`).

    Raises:
        ConfigurationError: if `data.encoding` or `data.separator` is invalid.
        DataFileError: if the file is missing, empty, cut short or not of the configured format.
        DataContractError: if a column is missing or has invalid values.
    """
    raw, source = read_raw_columns(path, data)
    try:
        return LabeledTexts(to_canonical(raw, data.columns), source)
    except DataContractError as error:
        raise DataContractError(f"{path}: {error}") from error


def read_raw_columns(path: Path, data: DataConfig) -> tuple[pd.DataFrame, SourceFile]:
    """Read the columns that `data.columns` names, under the names they have in the file, all as strings.

    CSV has no nulls: an empty cell is an empty string. Raises the same errors as `read_labeled_texts`.
    """
    check_encoding(data.encoding)
    file_format = detect_format(path, data)
    lines = separator = quoting = None
    if file_format == "csv":
        read = read_delimited(path, data)
        table, lines, separator, quoting = read.table, read.lines, read.separator, read.quoting
    else:
        schema = pa.schema([(name, pa.string()) for name in required_columns(data.columns)])
        table = pa.Table.from_batches(READERS[file_format](path, data, batch_bytes=BATCH_BYTES), schema)
        lines = table.num_rows if file_format == "jsonl" else None
    if table.num_rows == 0:
        raise no_rows_error(path)
    warnings = SourceWarnings(data, file_format)
    frame: pd.DataFrame = table.to_pandas()
    warnings.add(frame)
    return frame, SourceFile(file_format, len(frame), lines, separator, quoting, warnings.messages())


def stream_raw_columns(path: Path, data: DataConfig, *, batch_bytes: int = BATCH_BYTES) -> Iterator[pa.RecordBatch]:
    """Read what `read_raw_columns` reads in batches of about `batch_bytes`; a file without rows has none.

    An error in a later part of the file is raised only when the batches before it have been read.
    """
    check_encoding(data.encoding)
    return READERS[detect_format(path, data)](path, data, batch_bytes=batch_bytes)


def detect_format(path: Path, data: DataConfig) -> Format:
    """Return the format of a file, from `data.format`, its first bytes and its name.

    Raises:
        DataFileError: if it is missing, empty, or not a table of texts.
    """
    with open_bytes(path) as stream:
        start = stream.read(CHUNK_BYTES)
    if not start.removeprefix(b"\xef\xbb\xbf").strip():
        raise DataFileError(f"{path} is empty. Add the labeled texts, or set data.path to another file.")
    error = unsupported_type_error(path, start)
    if error is not None:
        raise error
    if start.startswith(PARQUET_MAGIC) and data.format == "auto":
        return "parquet"
    if data.format != "parquet":
        _check_width(path, start, data.encoding)
    if data.format != "auto":
        return data.format
    if starts_like_json_lines(start):
        return "jsonl"
    suffixes = [suffix.lower() for suffix in path.suffixes if suffix.lower() not in (".gz", ".gzip")]
    return FORMATS.get(suffixes[-1], "csv") if suffixes else "csv"


def _check_width(path: Path, start: bytes, encoding: str) -> None:
    """Check that the file has two or four bytes per character if and only if the encoding has.

    Raises:
        DataFileError: with the encoding to set.
    """
    is_wide = wide_encoding(start) is not None
    if is_wide != canonical_name(encoding).startswith(("utf-16", "utf-32")) and (is_wide or b"\0" not in start):
        raise DataFileError(f"{path} is not {encoding}. {encoding_advice(path, encoding)}")
