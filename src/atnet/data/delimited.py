"""Read CSV and its relatives: any one-character separator, quoted line breaks, byte-order mark, any text encoding."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from atnet.config import DataConfig
from atnet.data.columns import check_columns, required_columns
from atnet.data.delimited_layout import DelimitedLayout, delimited_layout
from atnet.data.encodings import encoding_error
from atnet.data.quoting import QuoteFault, QuoteScanner, Suspect
from atnet.data.raw_bytes import no_rows_error, open_bytes
from atnet.data.scanned_stream import ScannedStream, is_transparent
from atnet.errors import DataFileError

BLOCK_BYTES = 1 << 24
"""A row must fit into a block; a larger one means that a quote was left open, or that this is not a table of texts."""
MAX_KEY_VALUES = 1_000
QUOTING_ADVICE = (
    'Double the quotes inside a text (""), or set data.quoting: none in params.yaml if quotes are text in it.'
)


@dataclass(frozen=True, slots=True)
class DelimitedTable:
    """The required columns, and how the file was read."""

    table: pa.Table
    separator: str
    quoting: str
    """standard or none."""
    lines: int
    """Lines that are not empty, without the header; more than rows if cells contain line breaks."""


def read_delimited(path: Path, data: DataConfig, extra: Sequence[str] = ()) -> DelimitedTable:
    """Read the required columns, all as strings; an empty cell is an empty string.

    Raises:
        ConfigurationError: if `data.separator` is not one character.
        DataFileError: if the bytes do not match the encoding, a row has more or fewer values than the header has
            columns, or a quote cannot be read to the letter.
        DataContractError: if a column is missing.
    """
    layout = delimited_layout(path, data)
    if "\ufffd" in "".join(layout.header):
        raise encoding_error(path, data.encoding)
    check_columns(layout.header, data.columns, source=path, extra=extra)
    names = required_columns(data.columns, extra)
    if data.quoting == "none":
        return _read(path, data, layout, names, quoted=False)[0]
    try:
        read, scanner = _read(path, data, layout, names, quoted=True)
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
        return _read(path, data, layout, names, quoted=False, otherwise=error)[0]
    raise error


def quote_error(path: Path, fault: QuoteFault) -> DataFileError:
    """Return the error for a quote that cannot be read to the letter, with its line."""
    line = f"that opens in line {fault.line:,}"
    messages = {
        "open": f"the quote {line} is never closed, so it would swallow the rows below it.",
        "text after the closing quote": f"the quoted cell {line} has text after its closing quote.",
        "backslash": f"the quoted cell {line} has a quote escaped by a backslash.",
        "too long": f"a row is longer than {BLOCK_BYTES >> 20} MiB, most likely because a quote is never closed: the "
        f"one {line}.",
        "records": f"the quoted cell {line} contains whole records, so the quote is probably text. If the cell is "
        "right, set data.quoting: standard.",
    }
    return DataFileError(f"{path}: {messages[fault.fault]} {QUOTING_ADVICE}")


class _ParseError(Exception):
    """The parser failed; the scanner has seen the whole file."""

    def __init__(self, error: DataFileError, scanner: QuoteScanner) -> None:
        super().__init__(str(error))
        self.error, self.scanner = error, scanner


def _read(
    path: Path,
    data: DataConfig,
    layout: DelimitedLayout,
    names: Sequence[str],
    *,
    quoted: bool,
    otherwise: DataFileError | None = None,
) -> tuple[DelimitedTable, QuoteScanner]:
    """Parse the file once, with or without quoting.

    Raises:
        _ParseError: if the parser fails with quoting.
        DataFileError: if it fails without; `otherwise` if that is given.
    """
    scanner = QuoteScanner(layout.separator.encode(), len(layout.header))
    with open_bytes(path) as source:
        stream = ScannedStream(source, scanner, data.encoding)
        try:
            table = _parse(path, stream, data.encoding, layout, names, quoted=quoted)
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


def _parse(
    path: Path, stream: ScannedStream, encoding: str, layout: DelimitedLayout, names: Sequence[str], *, quoted: bool
) -> pa.Table:
    ragged_rows: list[Any] = []

    def reject_row(row: Any) -> str:
        ragged_rows.append(row)
        return "error"

    read_as = encoding if is_transparent(encoding) else "utf8"
    read = pa.csv.ReadOptions(
        use_threads=False, encoding=read_as, block_size=BLOCK_BYTES, skip_rows=layout.skipped_rows
    )
    parse = pa.csv.ParseOptions(
        delimiter=layout.separator,
        quote_char='"' if quoted else False,
        newlines_in_values=quoted,
        invalid_row_handler=reject_row,
    )
    convert = pa.csv.ConvertOptions(
        include_columns=list(names), column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False
    )
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
    return DataFileError(f"{path} cannot be read as CSV ({reason}). Save it again, or set data.format in params.yaml.")


def _records_fault(
    scanner: QuoteScanner, table: pa.Table, data: DataConfig, layout: DelimitedLayout
) -> QuoteFault | None:
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
