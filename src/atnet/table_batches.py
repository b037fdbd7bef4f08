"""Read and write Parquet files in batches: memory depends on the size of a batch, not on the number of rows."""

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from atnet.storage import reading, whole_file

BATCH_ROWS = 50_000
"""Rows that are read at once."""
SELECTED_FROM_ROWS = 4_000
"""Rows that are read at once where few of them are kept."""
BUFFER_BYTES = 1 << 20
"""Bytes of a column that are read at once; without a limit, the whole column of a row group is."""
GROUP_ROWS = 1 << 20
"""Rows of a row group, as `storage.write_table` writes it."""
GROUP_BYTES = 1 << 28
"""A row group ends at about this size even if it has fewer rows."""


def read_batches(
    path: Path, columns: list[str] | None = None, *, batch_rows: int = BATCH_ROWS
) -> Iterator[pd.DataFrame]:
    """Read a Parquet file that an earlier stage wrote; each batch is indexed by row position from 0.

    A file without rows has one empty batch.

    Raises:
        DataFileError: if it is missing or damaged.
    """
    rows = 0
    with reading(path, pa.ArrowInvalid, OSError), pq.ParquetFile(path, buffer_size=BUFFER_BYTES) as file:
        for batch in file.iter_batches(batch_rows, columns=columns):
            frame: pd.DataFrame = pa.Table.from_batches([batch]).to_pandas()
            yield frame.set_axis(pd.RangeIndex(rows, rows + len(frame)), axis="index")
            rows += len(frame)
        if rows == 0:
            yield file.schema_arrow.empty_table().select(columns or file.schema_arrow.names).to_pandas()


def read_rows(path: Path, rows: Sequence[int]) -> pd.DataFrame:
    """Read some rows of a Parquet file that an earlier stage wrote, in the order of the file.

    Args:
        rows: positions from 0; the index of the result.

    Raises:
        DataFileError: if it is missing or damaged.
    """
    wanted = np.unique(np.asarray(rows, np.int64))
    with reading(path, pa.ArrowInvalid, OSError), pq.ParquetFile(path, buffer_size=BUFFER_BYTES) as file:
        selected = [file.schema_arrow.empty_table()]
        start = 0
        for batch in file.iter_batches(SELECTED_FROM_ROWS):
            first, last = np.searchsorted(wanted, [start, start + batch.num_rows])
            # Taken rows are copies: the rest of the batch is not kept.
            selected.append(pa.Table.from_batches([batch.take(pa.array(wanted[first:last] - start))]))
            start += batch.num_rows
        frame: pd.DataFrame = pa.concat_tables(selected).to_pandas()
    return frame.set_axis(pd.Index(wanted), axis="index")


@dataclass(frozen=True, slots=True)
class TableShape:
    """The shape of a table, read from the footer of its Parquet file."""

    columns: list[str]
    rows: int
    bytes: int
    """Bytes of the columns in memory."""


@dataclass(frozen=True, slots=True)
class TableSource:
    """A table that can be read more than once, in batches."""

    columns: Sequence[str]
    batches: Callable[[list[str]], Iterable[pd.DataFrame]]
    """Reads the given columns."""

    @classmethod
    def of(cls, table: pd.DataFrame) -> "TableSource":
        """Return a table in memory as one batch."""
        return cls(list(table.columns), lambda columns: [table[columns]])

    @classmethod
    def at(cls, path: Path) -> "TableSource":
        """Return the table of a Parquet file that an earlier stage wrote.

        Raises:
            DataFileError: if it is missing or damaged.
        """
        return cls(table_shape(path).columns, lambda columns: read_batches(path, columns))


def table_shape(path: Path) -> TableShape:
    """Read the shape of a Parquet file that an earlier stage wrote.

    Raises:
        DataFileError: if it is missing or damaged.
    """
    with reading(path, pa.ArrowInvalid, OSError), pq.ParquetFile(path) as file:
        groups = [file.metadata.row_group(group) for group in range(file.metadata.num_row_groups)]
        size = sum(int(group.total_byte_size) for group in groups)
        return TableShape(file.schema_arrow.names, int(file.metadata.num_rows), size)


class TableWriter:
    """Writes a Parquet file in batches, with the bytes of `storage.write_table`.

    A table of more than GROUP_BYTES has more row groups than that function would write.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._waiting: list[pa.Table] = []
        self._rows = self._bytes = 0
        self._writer: pq.ParquetWriter | None = None

    def write(self, frame: pd.DataFrame) -> None:
        """Append rows, without the frame's index; the first batch sets the columns, and may have no rows."""
        table = pa.Table.from_pandas(frame, preserve_index=False)
        while self._rows + table.num_rows > GROUP_ROWS:
            room = GROUP_ROWS - self._rows
            self._append(table.slice(0, room))
            self._flush()
            table = table.slice(room)
        if table.num_rows or (self._writer is None and not self._waiting):
            self._append(table)
        if self._bytes >= GROUP_BYTES:
            self._flush()

    def close(self) -> None:
        """Write the buffered rows and the end of the file."""
        if self._waiting:
            self._flush()
        if self._writer is not None:
            self._writer.close()

    def _append(self, table: pa.Table) -> None:
        self._waiting.append(table)
        self._rows += table.num_rows
        self._bytes += table.nbytes

    def _flush(self) -> None:
        # Pages end at the boundaries of chunks, so a group is written as one chunk.
        table = pa.concat_tables(self._waiting).combine_chunks()
        if self._writer is None:
            self._writer = pq.ParquetWriter(self._path, table.schema, compression="zstd")
        self._writer.write_table(table)
        self._waiting, self._rows, self._bytes = [], 0, 0


@contextlib.contextmanager
def table_writer(path: Path) -> Iterator[TableWriter]:
    """Write a Parquet file in batches, completely or not at all; at least one batch must be written."""
    with whole_file(path) as partial, contextlib.closing(TableWriter(partial)) as writer:
        yield writer
