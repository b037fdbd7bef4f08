"""Read CSV and its relatives: any one-character separator, quoted line breaks, byte-order mark, any text encoding."""

import codecs
import csv
import io
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv

from atnet.config import DataConfig
from atnet.data.columns import check_columns, required_columns
from atnet.data.encodings import encoding_error
from atnet.data.raw_bytes import CHUNK_BYTES, no_rows_error, open_bytes
from atnet.errors import ConfigurationError, DataFileError

SEPARATORS = (",", ";", "\t", "|")
HEAD_BYTES = 1 << 16
BLOCK_BYTES = 1 << 24
"""A row must fit into a block; a larger one means that a quote was left open, or that this is not a table of texts."""


def read_delimited(path: Path, data: DataConfig) -> pa.Table:
    """Read the required columns, all as strings; an empty cell is an empty string.

    Raises:
        ConfigurationError: if `data.separator` is not one character.
        DataFileError: if the bytes do not match the encoding, a row has more or fewer values than the header has
            columns, or a quote stays open.
        DataContractError: if a column is missing.
    """
    head = _read_head(path, data.encoding)
    required = required_columns(data.columns)
    separator = _separator(head, path, data.separator, required)
    header = _header(head, separator)
    if "\ufffd" in "".join(header):
        raise encoding_error(path, data.encoding)
    check_columns(header, data.columns, source=path)
    # The last column is always read: an open quote shows only there.
    last = header[-1]
    table = _parse(path, data.encoding, separator, list(dict.fromkeys([*required, last])))
    if header.count(last) == 1:
        _check_last_quote(path, table[last])
    return table.select(required)


def _read_head(path: Path, encoding: str) -> str:
    with open_bytes(path) as stream:
        start = stream.read(HEAD_BYTES)
    return codecs.getincrementaldecoder(encoding)("replace").decode(start).removeprefix("\ufeff").lstrip("\r\n")


def _separator(head: str, path: Path, configured: str, required: list[str]) -> str:
    if configured == "auto":
        # Only the header decides: texts are full of commas. Ties go to the first; in a .tsv file that is the tab.
        order = ("\t", *SEPARATORS) if ".tsv" in (suffix.lower() for suffix in path.suffixes) else SEPARATORS
        return max(order, key=lambda candidate: _header_score(_header(head, candidate), required))
    if len(configured) != 1 or not configured.isascii() or configured in '"\r\n':
        raise ConfigurationError(
            f"data.separator is {configured!r}: it must be auto or one plain character such as ';' (a tab is \"\\t\")."
        )
    return configured


def _header_score(header: list[str], required: list[str]) -> tuple[int, int]:
    return len(set(required).intersection(header)), len(header)


def _header(head: str, separator: str) -> list[str]:
    return next(csv.reader(io.StringIO(head, newline=""), delimiter=separator), [])


def _parse(path: Path, encoding: str, separator: str, columns: list[str]) -> pa.Table:
    ragged_rows: list[Any] = []

    def reject_row(row: Any) -> str:
        ragged_rows.append(row)
        return "error"

    read = pa.csv.ReadOptions(use_threads=False, encoding=encoding, block_size=BLOCK_BYTES)
    parse = pa.csv.ParseOptions(delimiter=separator, newlines_in_values=True, invalid_row_handler=reject_row)
    convert = pa.csv.ConvertOptions(
        include_columns=columns, column_types=dict.fromkeys(columns, pa.string()), strings_can_be_null=False
    )
    with open_bytes(path) as stream:
        try:
            return pa.csv.read_csv(stream, read_options=read, parse_options=parse, convert_options=convert)
        except UnicodeDecodeError:
            raise encoding_error(path, encoding) from None
        except pa.ArrowInvalid as error:
            raise _csv_error(path, encoding, str(error).splitlines()[0], ragged_rows) from error


def _csv_error(path: Path, encoding: str, reason: str, ragged_rows: list[Any]) -> DataFileError:
    if ragged_rows:
        row = ragged_rows[0]
        return DataFileError(
            f"{path}: data row {row.number - 1:,} has {row.actual_columns} values, but the header has "
            f"{row.expected_columns} columns: {row.text[:80]!r}. Quote the texts that contain the separator or a line "
            "break, or set data.separator in params.yaml."
        )
    if "Empty CSV" in reason:
        # The parser does not accept a header without a line break.
        return no_rows_error(path)
    if "UTF8" in reason:
        return encoding_error(path, encoding)
    if "straddling" in reason:
        return DataFileError(
            f"{path}: a row is longer than {BLOCK_BYTES >> 20} MiB, most likely because a quote is never closed. "
            "Close it, or double the quotes inside a text."
        )
    return DataFileError(f"{path} cannot be read as CSV ({reason}). Save it again, or set data.format in params.yaml.")


def _check_last_quote(path: Path, column: pa.ChunkedArray) -> None:
    # A line break can occur only inside quotes, so the file must then end with one; an open quote swallows rows.
    if len(column) == 0 or "\n" not in column[-1].as_py():
        return
    tail = b""
    with open_bytes(path) as stream:
        while chunk := stream.read(CHUNK_BYTES):
            tail = (tail + chunk)[-CHUNK_BYTES:]
    if not tail.rstrip(b"\r\n\t \0").endswith(b'"'):
        raise DataFileError(
            f"{path}: a quote opened in data row {len(column):,}, the last row read, is never closed. "
            "Close it, or double the quotes inside a text."
        )
