"""Read CSV and its relatives: any one-character separator, quoted line breaks, byte-order mark, any text encoding."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa

from atnet.config import DataConfig
from atnet.data.columns import check_columns, required_columns
from atnet.data.delimited_layout import delimited_layout
from atnet.data.delimited_reading import DelimitedReading
from atnet.data.encodings import encoding_error
from atnet.data.quote_faults import QuotingError

BLOCK_BYTES = 1 << 24


@dataclass(frozen=True, slots=True)
class DelimitedTable:
    """The required columns, and how the file was read."""

    table: pa.Table
    separator: str
    quoting: str
    """standard or none."""
    lines: int
    """Lines that are not empty, without the header; more than rows if cells contain line breaks."""


def read_delimited(path: Path, data: DataConfig) -> DelimitedTable:
    """Read the required columns, all as strings; an empty cell is an empty string.

    Raises:
        ConfigurationError: if `data.separator` is not one character.
        DataFileError: if the bytes do not match the encoding, a row has more or fewer values than the header has
            columns, or a quote cannot be read to the letter.
        DataContractError: if a column is missing.
    """
    schema = pa.schema([(name, pa.string()) for name in required_columns(data.columns)])
    tables: list[pa.Table] = []
    reading = pass_delimited(path, data, lambda batches: tables.append(pa.Table.from_batches(batches, schema)))
    return DelimitedTable(tables[-1], reading.layout.separator, reading.quoting, reading.lines)


def pass_delimited(
    path: Path, data: DataConfig, consume: Callable[[Iterator[pa.RecordBatch]], None]
) -> DelimitedReading:
    """Pass the batches of a file to a function, a second time if the first reading shows that it is not quoted.

    Returns:
        The reading that succeeded. Raises the same errors as `read_delimited`.
    """
    reading = _open(path, data, BLOCK_BYTES)
    try:
        consume(reading.batches())
    except QuotingError as error:
        reading = _without_quoting(reading, error)
        consume(reading.batches())
    return reading


def stream_delimited(path: Path, data: DataConfig, *, batch_bytes: int) -> Iterator[pa.RecordBatch]:
    """Read what `read_delimited` reads, in batches; raises the same errors.

    Args:
        path: of the file.
        data: how it is read.
        batch_bytes: size of the blocks in which the file is read.
    """
    reading = _open(path, data, batch_bytes)
    if _may_be_unquoted(reading):
        # Batches cannot be taken back, so the file is read once before to see whether it is quoted.
        try:
            for _ in reading.batches():
                pass
            reading = replace(reading)
        except QuotingError as error:
            reading = _without_quoting(reading, error)
    yield from reading.batches()


def _open(path: Path, data: DataConfig, block_bytes: int) -> DelimitedReading:
    layout = delimited_layout(path, data)
    if "\ufffd" in "".join(layout.header):
        raise encoding_error(path, data.encoding)
    check_columns(layout.header, data.columns, source=path)
    return DelimitedReading(path, data, layout, block_bytes, quoted=data.quoting != "none")


def _may_be_unquoted(reading: DelimitedReading) -> bool:
    # Tab-separated files are often written without any quoting.
    return reading.data.quoting == "auto" and reading.layout.separator == "\t"


def _without_quoting(reading: DelimitedReading, error: QuotingError) -> DelimitedReading:
    """Return a reading in which quotes are text, if no cell of the file shows that it is quoted.

    Raises:
        QuotingError: the given one otherwise.
    """
    if _may_be_unquoted(reading) and not reading.scanner.closed_cells:
        return replace(reading, quoted=False, quoting_fault=error)
    raise error
