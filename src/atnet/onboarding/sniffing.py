"""Detect how a file must be read: format, encoding, separator, quoting."""

import codecs
import csv
import io
from collections import Counter
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import pandas as pd

from atnet.config import DataConfig
from atnet.data.all_columns import read_all_columns
from atnet.data.delimited_layout import EXCEL_SEPARATOR, HEAD_BYTES, SEPARATORS, delimited_layout
from atnet.data.encodings import check_encoding, encoding_advice, likely_encoding
from atnet.data.file_types import PARQUET_MAGIC
from atnet.data.raw_bytes import open_bytes
from atnet.data.reader import SourceFile, detect_format
from atnet.errors import ConfigurationError, DataContractError, DataFileError

COMPARED_RECORDS = 50
"""Records whose number of values shows the separator."""
MAX_NAME_WORDS = 6
"""A longer first value of a column is a text, not a name."""
READING_OPTIONS = {
    "csv": "--quoting none, --separator, --encoding, --format",
    "jsonl": "--encoding, --format",
    "parquet": "--format",
}
"""Format -> the options of `atnet init` that change how the file is read."""


@dataclass(frozen=True, slots=True)
class SniffedFile:
    """All columns of a file, as strings, and the settings that read it."""

    table: pd.DataFrame
    source: SourceFile
    data: DataConfig
    """Section `data`, with the format, encoding, separator and quoting of the file."""


@dataclass(frozen=True, slots=True)
class ReadingOptions:
    """The user's options for reading the file; None: detect it."""

    format: str | None = None
    encoding: str | None = None
    separator: str | None = None
    quoting: str | None = None


def sniff_file(path: Path, data: DataConfig, options: ReadingOptions) -> SniffedFile:
    """Read all columns of a file.

    Args:
        path: the file.
        data: settings whose path and columns are not used.
        options: what is known already.

    Raises:
        DataError: if the file cannot be read, with the option to type.
        ConfigurationError: if an option has a value that does not exist.
    """
    if options.encoding is not None:
        check_encoding(options.encoding, "--encoding")
    neutral = {"format": options.format or "auto", "quoting": options.quoting or "auto", "separator": "auto"}
    data = data.model_copy(update={**neutral, "encoding": options.encoding or _encoding(path)})
    file_format = detect_format(path, data)
    if file_format == "csv":
        data = data.model_copy(update={"separator": options.separator or _separator_setting(path, data)})
    try:
        table, source = read_all_columns(path, data)
    except ConfigurationError:
        raise
    except DataFileError as error:
        raise DataFileError(f"{error} Options: {READING_OPTIONS[file_format]}.") from error
    if file_format == "csv":
        _require_header(path, table)
    return SniffedFile(table, source, data)


def _encoding(path: Path) -> str:
    # A damaged Parquet file has no encoding either: reading it has the message.
    if path.suffix.lower() == ".parquet":
        return "utf-8"
    with open_bytes(path) as stream:
        if stream.read(len(PARQUET_MAGIC)) == PARQUET_MAGIC:
            return "utf-8"
    encoding = likely_encoding(path)
    if encoding is None:
        raise DataFileError(f"{path}: {encoding_advice(path, 'utf-8')} The option is --encoding NAME.")
    return encoding


def _separator_setting(path: Path, data: DataConfig) -> str:
    """Return auto if the header alone shows the separator, or the separator that fits the records."""
    found = likely_separator(path, data)
    return "auto" if delimited_layout(path, data).separator == found else found


def likely_separator(path: Path, data: DataConfig) -> str:
    """Return the separator with which most records have as many values as the header."""
    with open_bytes(path) as stream:
        start = stream.read(HEAD_BYTES)
    head = codecs.getincrementaldecoder(data.encoding)("replace").decode(start).removeprefix("\ufeff").lstrip("\r\n")
    excel = EXCEL_SEPARATOR.match(head)
    if excel:
        return excel.group(1)
    return max(SEPARATORS, key=lambda separator: _separator_score(head, separator, quoted=data.quoting != "none"))


def _separator_score(head: str, separator: str, *, quoted: bool) -> tuple[bool, float, int]:
    quoting: Any = csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE
    reader = csv.reader(io.StringIO(head, newline=""), delimiter=separator, quoting=quoting)
    try:
        sizes = [len(record) for record in islice(reader, COMPARED_RECORDS) if record]
    except csv.Error:
        return False, 0.0, 0
    columns = sizes[0] if sizes else 0
    # The last record may be cut off.
    others = sizes[1:-1] or sizes[1:] or sizes
    return columns > 1, round(Counter(others)[columns] / max(len(others), 1), 1), columns


def _require_header(path: Path, table: pd.DataFrame) -> None:
    """Check that the first line has names and not values.

    Raises:
        DataContractError: with a line to add.
    """
    for name in table.columns:
        repeated = int((table[name] == name).sum())
        is_value = repeated > 1 and table[name].nunique() <= max(len(table) // 10, 2)
        if is_value or len(str(name).split()) > MAX_NAME_WORDS:
            raise DataContractError(
                f"{path} seems to have no header: its first line has the value {str(name)[:60]!r}. Add a first line "
                f"that names the {len(table.columns)} columns, for example text and label."
            )
