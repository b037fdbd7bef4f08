"""Read CSV and its relatives: any one-character separator, quoted line breaks, byte-order mark, any text encoding."""

import codecs
import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv

from atnet.config import DataConfig
from atnet.data.columns import check_columns, required_columns
from atnet.data.encodings import encoding_error
from atnet.data.raw_bytes import CHUNK_BYTES, open_bytes
from atnet.errors import ConfigurationError, DataFileError

SEPARATORS = (",", ";", "\t", "|")
HEAD_BYTES = 1 << 16


def stream_delimited(path: Path, data: DataConfig, *, batch_bytes: int) -> Iterator[pa.RecordBatch]:
    """Read the required columns in batches, all as strings; an empty cell is an empty string.

    Args:
        path: of the file.
        data: how it is read.
        batch_bytes: size of the blocks in which the file is parsed. A row must fit into one; a larger row means that a
            quote was left open, or that this is not a table of texts.

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
    rows, last_value = 0, ""
    columns = list(dict.fromkeys([*required, last]))
    for batch in _parse(path, data.encoding, separator, columns, batch_bytes):
        if batch.num_rows:
            rows += batch.num_rows
            last_value = batch[last][-1].as_py() if header.count(last) == 1 else ""
            yield batch.select(required)
    _check_last_quote(path, last_value, rows)


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


def _parse(path: Path, encoding: str, separator: str, columns: list[str], block_bytes: int) -> Iterator[pa.RecordBatch]:
    ragged_rows: list[Any] = []

    def reject_row(row: Any) -> str:
        ragged_rows.append(row)
        return "error"

    read = pa.csv.ReadOptions(use_threads=False, encoding=encoding, block_size=block_bytes)
    parse = pa.csv.ParseOptions(delimiter=separator, newlines_in_values=True, invalid_row_handler=reject_row)
    convert = pa.csv.ConvertOptions(
        include_columns=columns, column_types=dict.fromkeys(columns, pa.string()), strings_can_be_null=False
    )
    with open_bytes(path) as stream:
        try:
            with pa.csv.open_csv(stream, read_options=read, parse_options=parse, convert_options=convert) as batches:
                yield from batches
        except UnicodeDecodeError:
            raise encoding_error(path, encoding) from None
        except pa.ArrowInvalid as error:
            reason = str(error).splitlines()[0]
            # The parser does not accept a header without a line break.
            if "Empty CSV" in reason:
                return
            if "straddling" in reason:
                raise _long_row_error(path, block_bytes) from error
            raise _csv_error(path, encoding, reason, ragged_rows) from error


def _csv_error(path: Path, encoding: str, reason: str, ragged_rows: list[Any]) -> DataFileError:
    if ragged_rows:
        row = ragged_rows[0]
        return DataFileError(
            f"{path}: data row {row.number - 1:,} has {row.actual_columns} values, but the header has "
            f"{row.expected_columns} columns: {row.text[:80]!r}. Quote the texts that contain the separator or a line "
            "break, or set data.separator in params.yaml."
        )
    if "UTF8" in reason:
        return encoding_error(path, encoding)
    return DataFileError(f"{path} cannot be read as CSV ({reason}). Save it again, or set data.format in params.yaml.")


def _long_row_error(path: Path, block_bytes: int) -> DataFileError:
    return DataFileError(
        f"{path}: a row is longer than {block_bytes >> 20} MiB, most likely because a quote is never closed. "
        "Close it, or double the quotes inside a text."
    )


def _check_last_quote(path: Path, last_value: str, rows: int) -> None:
    # A line break can occur only inside quotes, so the file must then end with one; an open quote swallows rows.
    if "\n" not in last_value:
        return
    tail = b""
    with open_bytes(path) as stream:
        while chunk := stream.read(CHUNK_BYTES):
            tail = (tail + chunk)[-CHUNK_BYTES:]
    if not tail.rstrip(b"\r\n\t \0").endswith(b'"'):
        raise DataFileError(
            f"{path}: a quote opened in data row {rows:,}, the last row read, is never closed. "
            "Close it, or double the quotes inside a text."
        )
