"""Read CSV and its kin: any one-character separator, quoted line breaks, byte-order mark, any text encoding."""

import codecs
import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv

from atnet.config import DataConfig
from atnet.data.columns import check_columns, wanted_columns
from atnet.data.raw_bytes import CHUNK_BYTES, encoding_fault, open_bytes
from atnet.errors import ConfigurationError, DataFileError

SEPARATORS = (",", ";", "\t", "|")
HEAD_BYTES = 1 << 16
BLOCK_BYTES = 1 << 24
"""A record must fit into a block; a larger one is a quote left open, or not a table of texts."""


def stream_delimited(path: Path, data: DataConfig) -> Iterator[pa.RecordBatch]:
    """Read the wanted columns in batches, all as strings; an empty cell is an empty string.

    Raises:
        ConfigurationError: if `data.separator` is not one character.
        DataFileError: if bytes are not of the stated encoding, a row has more or fewer values than the header
            names columns, or a quote stays open.
        DataContractError: if a column is missing.
    """
    head = _head(path, data.encoding)
    wanted = wanted_columns(data.columns)
    separator = _separator(head, path, data.separator, wanted)
    header = _header(head, separator)
    if "\ufffd" in "".join(header):
        raise encoding_fault(path, data.encoding)
    check_columns(header, data.columns, source=path)
    # The last column is read even when nobody wants it: only there does an open quote show.
    last = header[-1]
    rows, last_value = 0, ""
    for batch in _parse(path, data.encoding, separator, list(dict.fromkeys([*wanted, last]))):
        if batch.num_rows:
            rows += batch.num_rows
            last_value = batch[last][-1].as_py() if header.count(last) == 1 else ""
            yield batch.select(wanted)
    _check_last_quote(path, last_value, rows)


def _head(path: Path, encoding: str) -> str:
    with open_bytes(path) as stream:
        start = stream.read(HEAD_BYTES)
    return codecs.getincrementaldecoder(encoding)("replace").decode(start).removeprefix("\ufeff").lstrip("\r\n")


def _separator(head: str, path: Path, stated: str, wanted: list[str]) -> str:
    if stated == "auto":
        # The header alone decides: texts are full of commas. Ties go to the earlier, a .tsv's tab first.
        order = ("\t", *SEPARATORS) if ".tsv" in (suffix.lower() for suffix in path.suffixes) else SEPARATORS
        return max(order, key=lambda candidate: _fit(_header(head, candidate), wanted))
    if len(stated) != 1 or not stated.isascii() or stated in '"\r\n':
        raise ConfigurationError(
            f"data.separator is {stated!r}: it must be auto or one plain character such as ';' (a tab is \"\\t\")."
        )
    return stated


def _fit(header: list[str], wanted: list[str]) -> tuple[int, int]:
    return len(set(wanted).intersection(header)), len(header)


def _header(head: str, separator: str) -> list[str]:
    return next(csv.reader(io.StringIO(head, newline=""), delimiter=separator), [])


def _parse(path: Path, encoding: str, separator: str, columns: list[str]) -> Iterator[pa.RecordBatch]:
    ragged: list[Any] = []

    def refuse(row: Any) -> str:
        ragged.append(row)
        return "error"

    read = pa.csv.ReadOptions(use_threads=False, encoding=encoding, block_size=BLOCK_BYTES)
    parse = pa.csv.ParseOptions(delimiter=separator, newlines_in_values=True, invalid_row_handler=refuse)
    convert = pa.csv.ConvertOptions(
        include_columns=columns, column_types=dict.fromkeys(columns, pa.string()), strings_can_be_null=False
    )
    with open_bytes(path) as stream:
        try:
            with pa.csv.open_csv(stream, read_options=read, parse_options=parse, convert_options=convert) as batches:
                yield from batches
        except UnicodeDecodeError:
            raise encoding_fault(path, encoding) from None
        except pa.ArrowInvalid as error:
            # A header without a line break is none to the parser.
            if "Empty CSV" in str(error):
                return
            raise _csv_fault(path, encoding, str(error).splitlines()[0], ragged) from error


def _csv_fault(path: Path, encoding: str, reason: str, ragged: list[Any]) -> DataFileError:
    if ragged:
        row = ragged[0]
        return DataFileError(
            f"{path}: data row {row.number - 1:,} has {row.actual_columns} values, the header names "
            f"{row.expected_columns} columns: {row.text[:80]!r}. Quote the texts that hold the separator or a line "
            "break, or set data.separator in params.yaml."
        )
    if "UTF8" in reason:
        return encoding_fault(path, encoding)
    if "straddling" in reason:
        return DataFileError(
            f"{path}: a row is longer than {BLOCK_BYTES >> 20} MiB, most likely because a quote is never closed. "
            "Close it, or double the quotes inside a text."
        )
    return DataFileError(f"{path} cannot be read as CSV ({reason}). Save it again, or set data.format in params.yaml.")


def _check_last_quote(path: Path, last_value: str, rows: int) -> None:
    # A line break can stand only inside quotes, so the file must then end with one; an open quote swallows rows.
    if "\n" not in last_value:
        return
    tail = b""
    with open_bytes(path) as stream:
        while chunk := stream.read(CHUNK_BYTES):
            tail = (tail + chunk)[-CHUNK_BYTES:]
    if not tail.rstrip(b"\r\n\t \0").endswith(b'"'):
        raise DataFileError(
            f"{path}: a quote opened in data row {rows:,}, the last one read, is never closed. "
            "Close it, or double the quotes inside a text."
        )
