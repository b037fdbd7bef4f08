"""The columns of a data file as strings, spilled to disk so that they can be read several times in batches."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pyarrow as pa

from atnet.config import DataConfig
from atnet.data.columns import required_columns
from atnet.data.delimited import pass_delimited
from atnet.data.encodings import check_encoding
from atnet.data.raw_bytes import GZIP_MAGIC, no_rows_error
from atnet.data.reader import BATCH_BYTES, READERS, SourceFile, detect_format
from atnet.data.source_warnings import SourceWarnings

COMPRESSION = 5
"""A compressed file is taken to be at most this many times smaller than its contents."""


@dataclass(frozen=True, slots=True)
class RawTable:
    """A data file that has been read once."""

    path: Path
    """An uncompressed Arrow IPC file of the required columns."""
    source: SourceFile

    def batches(self, columns: Sequence[str] | None = None) -> Iterator[pd.DataFrame]:
        """Read columns, all as strings, indexed by row position from 1; None: all columns."""
        row = 1
        # Not memory-mapped: what has been read would count as this process's memory.
        with pa.OSFile(str(self.path)) as file, pa.ipc.open_file(file, options=self._options(columns)) as reader:
            for number in range(reader.num_record_batches):
                frame: pd.DataFrame = reader.get_batch(number).to_pandas()
                yield frame.set_axis(pd.RangeIndex(row, row + len(frame)), axis="index")
                row += len(frame)

    def _options(self, columns: Sequence[str] | None) -> pa.ipc.IpcReadOptions:
        with pa.OSFile(str(self.path)) as file, pa.ipc.open_file(file) as reader:
            names = reader.schema.names
        included = None if columns is None else [names.index(name) for name in columns]
        return pa.ipc.IpcReadOptions(included_fields=included)


def spill_raw_columns(path: Path, data: DataConfig, spilled: Path) -> RawTable:
    """Read the columns that `data.columns` names and write them to an Arrow file.

    Raises the same errors as `reader.read_raw_columns`.
    """
    check_encoding(data.encoding)
    file_format = detect_format(path, data)
    writer = _SpillWriter(spilled, data, file_format)
    lines = separator = quoting = None
    if file_format == "csv":
        reading = pass_delimited(path, data, writer.write)
        lines, separator, quoting = reading.lines, reading.layout.separator, reading.quoting
    else:
        writer.write(READERS[file_format](path, data, batch_bytes=BATCH_BYTES))
        lines = writer.rows if file_format == "jsonl" else None
    if writer.rows == 0:
        raise no_rows_error(path)
    source = SourceFile(file_format, writer.rows, lines, separator, quoting, writer.warnings.messages())
    return RawTable(spilled, source)


def needed_disk(path: Path) -> int:
    """Estimate an upper bound on the bytes needed to validate a data file: its columns once, and the valid rows."""
    if not path.is_file():
        return 0
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(4)
    is_compressed = start.startswith((GZIP_MAGIC, b"PAR1"))
    return 2 * size * (COMPRESSION if is_compressed else 1)


class _SpillWriter:
    """Writes batches to a file, from the start each time `write` is called."""

    def __init__(self, path: Path, data: DataConfig, file_format: str) -> None:
        self._path, self._data, self._format = path, data, file_format
        self._schema = pa.schema([(name, pa.string()) for name in required_columns(data.columns)])
        self._start()

    def write(self, batches: Iterator[pa.RecordBatch]) -> None:
        """Write all batches."""
        self._start()
        with pa.OSFile(str(self._path), "wb") as file, pa.ipc.new_file(file, self._schema) as writer:
            for batch in batches:
                if batch.num_rows == 0:
                    continue
                writer.write_batch(batch)
                self.warnings.add(batch.to_pandas())
                self.rows += batch.num_rows

    def _start(self) -> None:
        self.warnings, self.rows = SourceWarnings(self._data, self._format), 0
