"""One reading of a delimited file from start to end, in batches, with or without quoting."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv

from atnet.config import DataConfig
from atnet.data.columns import required_columns
from atnet.data.delimited_layout import DelimitedLayout
from atnet.data.encodings import encoding_error
from atnet.data.quote_faults import KeyValues, QuotingError, quoting_error, records_fault
from atnet.data.quoting import MAX_CELL_BYTES, QuoteScanner
from atnet.data.raw_bytes import open_bytes
from atnet.data.scanned_stream import LongRowError, ScannedStream
from atnet.errors import DataFileError


@dataclass(slots=True)
class DelimitedReading:
    """Reads a file once; what the scanner has seen is complete after the last batch."""

    path: Path
    data: DataConfig
    layout: DelimitedLayout
    block_bytes: int
    """Size of the blocks in which the file is read; a longer row is a block of its own."""
    quoted: bool
    quoting_fault: QuotingError | None = None
    """Why the file is read without quoting; the error if it cannot be read without it either."""
    scanner: QuoteScanner = field(init=False)

    def __post_init__(self) -> None:
        """Start a scanner."""
        self.scanner = QuoteScanner(self.layout.separator.encode(), len(self.layout.header))

    @property
    def lines(self) -> int:
        """Lines that are not empty, without the header."""
        return self.scanner.lines - self.layout.skipped_rows - 1

    @property
    def quoting(self) -> str:
        """Return how quotes are read: standard or none."""
        return "standard" if self.quoted else "none"

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Parse the file; every column is a string.

        Raises:
            QuotingError: after the last batch, if a quote cannot be read to the letter.
            DataFileError: if the bytes do not match the encoding, or a row has too many or too few values.
        """
        keys = KeyValues.of(self.data.columns)
        with open_bytes(self.path) as source:
            stream = ScannedStream(source, self.scanner, self.data.encoding)
            try:
                for batch in self._parse(stream):
                    keys.add(batch)
                    yield batch
            except DataFileError as error:
                stream.drain()
                self.scanner.finish()
                if self.quoted and self.scanner.fault is not None:
                    raise quoting_error(self.path, self.scanner.fault) from error
                raise (self.quoting_fault or error) from None
        self.scanner.finish()
        fault = self.scanner.fault
        if self.data.quoting == "auto":
            fault = fault or records_fault(self.scanner.suspects, keys, self.layout.header)
        if self.quoted and fault is not None:
            raise quoting_error(self.path, fault)

    def _parse(self, stream: ScannedStream) -> Iterator[pa.RecordBatch]:
        rows = 0
        try:
            for number, block in enumerate(stream.record_blocks(self.block_bytes, quoted=self.quoted)):
                table = self._parse_block(block, rows, first=number == 0)
                rows += table.num_rows
                yield from table.combine_chunks().to_batches()
        except UnicodeDecodeError:
            raise encoding_error(self.path, self.data.encoding) from None
        except LongRowError:
            raise DataFileError(
                f"{self.path}: a row is longer than {MAX_CELL_BYTES >> 20} MiB. Shorten its text, or set data.format "
                "in params.yaml if the file is not CSV."
            ) from None

    def _parse_block(self, block: bytes, rows: int, *, first: bool) -> pa.Table:
        """Parse whole records; the first block begins with the header. `rows` are the data rows before the block."""
        ragged_rows: list[Any] = []

        def reject_row(row: Any) -> str:
            ragged_rows.append(row)
            return "error"

        columns = required_columns(self.data.columns)
        read = pa.csv.ReadOptions(
            use_threads=False,
            block_size=len(block) + 1,
            skip_rows=self.layout.skipped_rows if first else 0,
            column_names=None if first else self.layout.header,
        )
        parse = pa.csv.ParseOptions(
            delimiter=self.layout.separator,
            quote_char='"' if self.quoted else False,
            newlines_in_values=self.quoted,
            invalid_row_handler=reject_row,
        )
        convert = pa.csv.ConvertOptions(
            include_columns=columns, column_types=dict.fromkeys(columns, pa.string()), strings_can_be_null=False
        )
        try:
            return pa.csv.read_csv(_native(block), read_options=read, parse_options=parse, convert_options=convert)
        except pa.ArrowInvalid as error:
            reason = str(error).splitlines()[0]
            # Only empty lines, or a header without a line break.
            if "Empty CSV" in reason:
                return pa.schema([(name, pa.string()) for name in columns]).empty_table()
            raise self._parse_error(reason, ragged_rows, rows - 1 if first else rows) from error

    def _parse_error(self, reason: str, ragged_rows: list[Any], rows_before: int) -> DataFileError:
        if ragged_rows:
            row = ragged_rows[0]
            return DataFileError(
                f"{self.path}: data row {rows_before + row.number:,} has {row.actual_columns} values, but the header "
                f"has {row.expected_columns} columns: {row.text[:80]!r}. Quote the texts that contain the separator or "
                "a line break, or set data.separator in params.yaml."
            )
        if "UTF8" in reason:
            return encoding_error(self.path, self.data.encoding)
        return DataFileError(
            f"{self.path} cannot be read as CSV ({reason}). Save it again, or set data.format in params.yaml."
        )


def _native(block: bytes) -> pa.BufferReader:
    """Return a copy in Arrow's own memory.

    Arrow reads ahead in a thread of its own, which may release what it has read at any time. A Python object that is
    released while the interpreter ends would abort the process.
    """
    sink = pa.BufferOutputStream()
    sink.write(block)
    return pa.BufferReader(sink.getvalue())
