"""Lists of numbers or bytes that wait on disk until an Arrow array is made of them, without a copy in memory.

Letters in array names: N lists.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

MAX_SMALL_OFFSET = 2**31 - 1
"""Values of an Arrow array whose offsets have 32 bits; with more they have 64."""
CHUNK_LISTS = 50_000
"""Lists that are cut at once."""


class SpilledLists:
    """Lists of one type, written to a file in batches; their lengths stay in memory, four bytes each."""

    def __init__(self, path: Path, dtype: type[np.generic]) -> None:
        self._path, self._dtype = path, np.dtype(dtype)
        self._lengths: list[NDArray[np.int32]] = []
        self._file = path.open("wb")

    def append(self, values: NDArray[np.generic], lengths: NDArray[np.generic]) -> None:
        """Append lists: their values concatenated, and the length of each."""
        self._file.write(np.ascontiguousarray(values, self._dtype).data)
        self._lengths.append(lengths.astype(np.int32))

    def append_strings(self, strings: pa.StringArray) -> None:
        """Append the bytes of strings without nulls."""
        offsets = np.frombuffer(strings.buffers()[1], np.int32)[strings.offset : strings.offset + len(strings) + 1]
        values = np.frombuffer(strings.buffers()[2] or b"", np.uint8)[offsets[0] : offsets[-1]]
        self.append(values, np.diff(offsets))

    def close(self) -> None:
        """Write what is buffered."""
        self._file.close()

    @property
    def lengths_N(self) -> NDArray[np.int32]:
        """Return the length of each list."""
        return np.concatenate([np.zeros(0, np.int32), *self._lengths])

    def truncated(self, max_length: int) -> "SpilledLists":
        """Return the starts of the lists; the same lists if none is longer."""
        lengths_N = self.lengths_N
        if not (lengths_N > max_length).any():
            return self
        cut = SpilledLists(self._path.with_suffix(".cut"), self._dtype.type)
        for values, lengths in self._chunks(lengths_N):
            offsets = np.append(0, lengths.cumsum()).astype(np.int64)
            lists = pa.LargeListArray.from_arrays(pa.array(offsets), pa.array(values))
            cut.append(pc.list_slice(lists, 0, max_length).flatten().to_numpy(), np.minimum(lengths, max_length))
        cut.close()
        return cut

    def list_array(self) -> pa.Array:
        """Return the lists as an Arrow array whose values are mapped from the file."""
        offsets, size = self._offsets()
        values = pa.Array.from_buffers(pa.from_numpy_dtype(self._dtype), size, [None, self._mapped(size)])
        kind = pa.ListArray if offsets.dtype == np.int32 else pa.LargeListArray
        return kind.from_arrays(pa.array(offsets), values)

    def string_array(self) -> pa.Array:
        """Return the lists as an Arrow array of strings whose bytes are mapped from the file."""
        offsets, size = self._offsets()
        kind = pa.string() if offsets.dtype == np.int32 else pa.large_string()
        return pa.Array.from_buffers(kind, len(offsets) - 1, [None, pa.py_buffer(offsets), self._mapped(size)])

    def _offsets(self) -> tuple[NDArray[np.signedinteger], int]:
        offsets = np.append(0, self.lengths_N.cumsum(dtype=np.int64))
        size = int(offsets[-1])
        return (offsets.astype(np.int32) if size <= MAX_SMALL_OFFSET else offsets), size

    def _mapped(self, size: int) -> pa.Buffer:
        # An empty file cannot be mapped.
        return pa.memory_map(str(self._path)).read_buffer() if size else pa.py_buffer(b"")

    def _chunks(self, lengths_N: NDArray[np.int32]) -> Iterator[tuple[NDArray[np.generic], NDArray[np.int32]]]:
        with self._path.open("rb") as file:
            for start in range(0, len(lengths_N), CHUNK_LISTS):
                lengths = lengths_N[start : start + CHUNK_LISTS]
                yield np.fromfile(file, self._dtype, int(lengths.sum())), lengths
