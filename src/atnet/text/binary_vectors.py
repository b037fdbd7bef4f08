"""Word vectors in a binary file: word2vec binary, and a matrix with a vocabulary beside it."""

import gzip
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from atnet.errors import DataFileError
from atnet.text.vector_streams import open_unpacked, read_bytes, require_finite

FLOAT_BYTES = 4
BLOCK_BYTES = 1 << 20
MAX_WORD_BYTES = 4096
"""A longer word means that the file has another format."""


class BinaryVectors:
    """A word2vec binary file: a header line, then each word, a space, and its values as little-endian float32."""

    def __init__(self, path: Path, *, dimensions: int, words: int) -> None:
        """Take the numbers from the header."""
        self._path, self._dimensions, self._words = path, dimensions, words
        self._record = 0

    @property
    def dimensions(self) -> int:
        """Values per vector."""
        return self._dimensions

    def records(self) -> Iterator[tuple[bytes, bytes]]:
        """Yield word and values of each record; see `VectorStream`."""
        size = self._dimensions * FLOAT_BYTES
        with open_unpacked(self._path) as file:
            read_bytes(file, self._path, -1)
            buffer, start = b"", 0
            for number in range(1, self._words + 1):
                self._record = number
                while (end := buffer.find(b" ", start)) < 0 or len(buffer) < end + 1 + size:
                    block = read_bytes(file, self._path, max(BLOCK_BYTES, size))
                    if not block or (end < 0 and len(buffer) - start > MAX_WORD_BYTES):
                        raise self._damaged(ended=not block)
                    buffer, start = buffer[start:] + block, 0
                yield buffer[start:end].lstrip(b"\n"), buffer[end + 1 : end + 1 + size]
                start = end + 1 + size

    def parse(self, values: Any) -> np.ndarray:
        """Parse the bytes of a vector; see `VectorStream`."""
        return require_finite(np.frombuffer(values, "<f4").astype(np.float32), f"{self._path}, word {self._record}")

    def check_end(self) -> None:
        """Check that a file that is not compressed is long enough; see `VectorStream`."""
        with open_unpacked(self._path) as file:
            if isinstance(file, gzip.GzipFile):
                return
        # At least a byte and a space per word.
        if self._path.stat().st_size < self._words * (self._dimensions * FLOAT_BYTES + 2):
            raise DataFileError(
                f"{self._path} is too short for the {self._words:,} words of {self._dimensions} values that its header "
                "states: it was cut short. Download it again."
            )

    def _damaged(self, *, ended: bool) -> DataFileError:
        what = "ends at" if ended else "has no word at"
        return DataFileError(
            f"{self._path} {what} word {self._record:,}, but its header says {self._words:,} words of "
            f"{self._dimensions} values: it was cut short or damaged. Download it again."
        )


class MatrixVectors:
    """A matrix on disk, of which only the requested rows are read, and its words."""

    def __init__(self, path: Path, matrix: np.ndarray, words: list[bytes]) -> None:
        """Take a memory-mapped (V, D) matrix and V words.

        Raises:
            DataFileError: if they have different lengths.
        """
        if len(matrix) != len(words):
            raise DataFileError(
                f"{path} has {len(matrix):,} rows, but its vocabulary has {len(words):,} words. They do not belong "
                "together; write both again."
            )
        self._path, self._matrix, self._words = path, matrix, words

    @property
    def dimensions(self) -> int:
        """Values per vector."""
        return int(self._matrix.shape[1])

    def records(self) -> Iterator[tuple[bytes, int]]:
        """Yield each word with its row; see `VectorStream`."""
        for row, word in enumerate(self._words):
            yield word, row

    def check_end(self) -> None:
        """Do nothing: NumPy has checked the size; see `VectorStream`."""

    def parse(self, values: Any) -> np.ndarray:
        """Read a row; see `VectorStream`."""
        return require_finite(np.asarray(self._matrix[values], dtype=np.float32), f"{self._path}, row {values + 1}")
