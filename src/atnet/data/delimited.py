"""Read CSV and its relatives: any one-character separator, quoted line breaks, byte-order mark, any text encoding."""

import codecs
import csv
import io
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from atnet.config import DataConfig
from atnet.data.columns import check_columns, required_columns
from atnet.data.encodings import canonical_name, encoding_error
from atnet.data.quoting import QuoteFault, QuoteScanner, Suspect
from atnet.data.raw_bytes import no_rows_error, open_bytes
from atnet.errors import ConfigurationError, DataFileError

SEPARATORS = (",", ";", "\t", "|")
HEAD_BYTES = 1 << 16
BLOCK_BYTES = 1 << 24
"""A row must fit into a block; a larger one means that a quote was left open, or that this is not a table of texts."""
ASCII_TRANSPARENT = ("utf-8", "ascii", "iso8859", "cp125", "cp437", "cp85", "cp86", "koi8", "mac")
"""Encodings in which the bytes of quotes, separators and line breaks mean nothing else."""
EXCEL_SEPARATOR = re.compile(r'"?sep=([^\r\n])"?\r?\n')
"""First line that Excel reads and does not show."""
MAX_KEY_VALUES = 1_000
QUOTING_ADVICE = 'Double the quotes inside a text (""), or set data.quoting: none in params.yaml if quotes are plain text in this file.'


@dataclass(frozen=True, slots=True)
class DelimitedTable:
    """The required columns, and how the file was read."""

    table: pa.Table
    separator: str
    quoting: str
    """standard or none."""
    lines: int
    """Lines that are not empty, without the header; more than rows if cells contain line breaks."""


@dataclass(frozen=True, slots=True)
class _Layout:
    """What the first lines of a file tell."""

    separator: str
    header: list[str]
    skipped_rows: int
    """1 if the first line is Excel's `sep=`."""


def read_delimited(path: Path, data: DataConfig) -> DelimitedTable:
    """Read the required columns, all as strings; an empty cell is an empty string.

    Raises:
        ConfigurationError: if `data.separator` is not one character.
        DataFileError: if the bytes do not match the encoding, a row has more or fewer values than the header has
            columns, or a quote cannot be read to the letter.
        DataContractError: if a column is missing.
    """
    layout = _layout(path, data)
    if "\ufffd" in "".join(layout.header):
        raise encoding_error(path, data.encoding)
    check_columns(layout.header, data.columns, source=path)
    if data.quoting == "none":
        return _read(path, data, layout, quoted=False)[0]
    try:
        read, scanner = _read(path, data, layout, quoted=True)
        fault = scanner.fault or (_records_fault(scanner, read.table, data, layout) if data.quoting == "auto" else None)
        if fault is None:
            return read
        error = quote_error(path, fault)
    except _ParseError as failed:
        scanner, fault = failed.scanner, failed.scanner.fault
        if fault is None:
            raise failed.error from failed
        error = quote_error(path, fault)
    if data.quoting == "auto" and layout.separator == "\t" and not scanner.closed_cells:
        # Tab-separated files are often written without any quoting.
        return _read(path, data, layout, quoted=False, otherwise=error)[0]
    raise error


def quote_error(path: Path, fault: QuoteFault) -> DataFileError:
    """Return the error for a quote that cannot be read to the letter, with its line."""
    where = f"{path}: the quoted cell that opens in line {fault.line:,}"
    messages = {
        "open": f"{path}: the quote that opens in line {fault.line:,} is never closed, so it would swallow the rows "
        f"below it. {QUOTING_ADVICE}",
        "text after the closing quote": f"{where} has text after its closing quote. {QUOTING_ADVICE}",
        "backslash": f"{where} has a quote escaped by a backslash. {QUOTING_ADVICE}",
        "too long": f"{path}: a row is longer than {BLOCK_BYTES >> 20} MiB, most likely because a quote is never closed: "
        f"the one that opens in line {fault.line:,}. {QUOTING_ADVICE}",
        "records": f"{where} contains whole records, so the quote is probably text. {QUOTING_ADVICE} "
        "If the cell is right, set data.quoting: standard.",
    }
    return DataFileError(messages[fault.fault])


class _ParseError(Exception):
    """The parser failed; the scanner has seen the whole file."""

    def __init__(self, error: DataFileError, scanner: QuoteScanner) -> None:
        super().__init__(str(error))
        self.error, self.scanner = error, scanner


class _ScannedStream(io.RawIOBase):
    """A stream of UTF-8 or ASCII-transparent bytes that passes what is read through a scanner."""

    def __init__(self, source: IO[bytes], scanner: QuoteScanner, encoding: str) -> None:
        super().__init__()
        self._source, self._scanner = source, scanner
        self._decoder = None if _is_transparent(encoding) else codecs.getincrementaldecoder(encoding)()
        self._pending = b""
        self._at_start = True

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        """Read up to `size` bytes."""
        chunk = self._source.read(size) if self._decoder is None else self._decode(size)
        if self._at_start and chunk:
            self._at_start, chunk = False, chunk.removeprefix(codecs.BOM_UTF8)
        self._scanner.feed(chunk)
        return chunk

    def _decode(self, size: int) -> bytes:
        assert self._decoder is not None
        while not self._pending:
            raw = self._source.read(size)
            self._pending = self._decoder.decode(raw, final=not raw).encode()
            if not raw:
                break
        # The parser must not get more bytes than it has asked for.
        chunk, self._pending = self._pending[:size], self._pending[size:]
        return chunk

    def drain(self) -> None:
        """Scan the rest of the source."""
        try:
            while self.read(BLOCK_BYTES):
                pass
        except UnicodeDecodeError:
            return


def _is_transparent(encoding: str) -> bool:
    return canonical_name(encoding).replace("_", "-").startswith(ASCII_TRANSPARENT)


def _layout(path: Path, data: DataConfig) -> _Layout:
    with open_bytes(path) as stream:
        start = stream.read(HEAD_BYTES)
    head = codecs.getincrementaldecoder(data.encoding)("replace").decode(start).removeprefix("\ufeff").lstrip("\r\n")
    excel = EXCEL_SEPARATOR.match(head)
    head = head[excel.end() :] if excel else head

    def header(separator: str) -> list[str]:
        quoting: Any = csv.QUOTE_NONE if data.quoting == "none" else csv.QUOTE_MINIMAL
        return next(csv.reader(io.StringIO(head, newline=""), delimiter=separator, quoting=quoting), [])

    separator = _separator(path, data, header, excel.group(1) if excel else None)
    return _Layout(separator, header(separator), skipped_rows=1 if excel else 0)


def _separator(path: Path, data: DataConfig, header: Callable[[str], list[str]], excel: str | None) -> str:
    configured = data.separator
    if configured == "auto":
        if excel is not None:
            return excel
        # Only the header decides: texts are full of commas. Ties go to the first; in a .tsv file that is the tab.
        order = ("\t", *SEPARATORS) if ".tsv" in (suffix.lower() for suffix in path.suffixes) else SEPARATORS
        required = set(required_columns(data.columns))
        return max(order, key=lambda candidate: _header_score(header(candidate), required))
    if len(configured) != 1 or not configured.isascii() or configured in '"\r\n':
        raise ConfigurationError(
            f"data.separator is {configured!r}: it must be auto or one plain character such as ';' (a tab is \"\\t\")."
        )
    return configured


def _header_score(header: list[str], required: set[str]) -> tuple[int, int]:
    return len(required.intersection(header)), len(header)


def _read(
    path: Path, data: DataConfig, layout: _Layout, *, quoted: bool, otherwise: DataFileError | None = None
) -> tuple[DelimitedTable, QuoteScanner]:
    """Parse the file once, with or without quoting.

    Raises:
        _ParseError: if the parser fails with quoting.
        DataFileError: if it fails without; `otherwise` if that is given.
    """
    scanner = QuoteScanner(layout.separator.encode(), len(layout.header))
    with open_bytes(path) as source:
        stream = _ScannedStream(source, scanner, data.encoding)
        try:
            table = _parse(path, stream, data, layout, quoted=quoted)
        except DataFileError as error:
            stream.drain()
            scanner.finish()
            if quoted:
                raise _ParseError(error, scanner) from error
            raise (otherwise or error) from None
    scanner.finish()
    lines = scanner.lines - layout.skipped_rows - 1
    quoting = "standard" if quoted else "none"
    return DelimitedTable(table, layout.separator, quoting, lines), scanner


def _parse(path: Path, stream: _ScannedStream, data: DataConfig, layout: _Layout, *, quoted: bool) -> pa.Table:
    ragged_rows: list[Any] = []

    def reject_row(row: Any) -> str:
        ragged_rows.append(row)
        return "error"

    columns = required_columns(data.columns)
    encoding = data.encoding if _is_transparent(data.encoding) else "utf8"
    read = pa.csv.ReadOptions(
        use_threads=False, encoding=encoding, block_size=BLOCK_BYTES, skip_rows=layout.skipped_rows
    )
    parse = pa.csv.ParseOptions(
        delimiter=layout.separator,
        quote_char='"' if quoted else False,
        newlines_in_values=quoted,
        invalid_row_handler=reject_row,
    )
    convert = pa.csv.ConvertOptions(
        include_columns=columns, column_types=dict.fromkeys(columns, pa.string()), strings_can_be_null=False
    )
    try:
        return pa.csv.read_csv(stream, read_options=read, parse_options=parse, convert_options=convert)
    except UnicodeDecodeError:
        raise encoding_error(path, data.encoding) from None
    except pa.ArrowInvalid as error:
        raise _csv_error(path, data.encoding, str(error).splitlines()[0], ragged_rows) from error


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
    return DataFileError(f"{path} cannot be read as CSV ({reason}). Save it again, or set data.format in params.yaml.")


def _records_fault(scanner: QuoteScanner, table: pa.Table, data: DataConfig, layout: _Layout) -> QuoteFault | None:
    """Return the first quoted cell whose lines all look like records of the table."""
    if not scanner.suspects:
        return None
    keys: dict[int, Callable[[str], bool]] = {}
    for name in (data.columns.label, data.columns.split):
        distinct = [] if name is None else pc.unique(table[name]).to_pylist()
        if name is not None and len(distinct) <= MAX_KEY_VALUES:
            values = frozenset(str(value).strip() for value in distinct)
            keys[layout.header.index(name)] = values.__contains__
    if data.columns.rating is not None:
        keys[layout.header.index(data.columns.rating)] = _is_number
    records = (suspect for suspect in scanner.suspects if _holds_records(suspect, keys))
    first = next(records, None)
    return None if first is None else QuoteFault(first.line, "records")


def _holds_records(suspect: Suspect, keys: dict[int, Callable[[str], bool]]) -> bool:
    """Return whether every line has plausible values in the key columns."""
    return bool(keys) and all(
        plausible(record[column]) for record in suspect.records for column, plausible in keys.items()
    )


def _is_number(value: str) -> bool:
    try:
        float(value)
    except ValueError:
        return False
    return True
