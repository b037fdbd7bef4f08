"""Word-vector files as streams of (word, values), whatever their format; the values are parsed only on request.

Formats: GloVe text; word2vec text and fastText `.vec`, with a header line; word2vec binary; each of these compressed
with gzip or not. A matrix in `.npy` or safetensors, with a vocabulary file beside it.
"""

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, Protocol

import numpy as np

from atnet.errors import DataFileError

START_BYTES = 1 << 16
FLOAT_BYTES = 4
BLOCK_BYTES = 1 << 20
MAX_WORD_BYTES = 4096
"""A longer word in a binary file means that the file has another format."""
KEY = "vectors.pretrained"


class VectorStream(Protocol):
    """The words and vectors of a file, in the order of the file."""

    @property
    def dimensions(self) -> int:
        """Values per vector."""

    def records(self) -> Iterator[tuple[bytes, Any]]:
        """Yield each word in UTF-8 with its values, unparsed.

        Raises:
            DataFileError: where the file is damaged.
        """

    def parse(self, values: Any) -> np.ndarray:
        """Parse the values of the record yielded last: (D,) float32.

        Raises:
            DataFileError: if they are not finite numbers.
        """


class TextVectors:
    """A text file: a word and its values per line, separated by spaces; a header line is optional."""

    def __init__(self, path: Path, *, dimensions: int, words: int | None) -> None:
        """Take the layout, as `text_layout` returns it; `words` is that of the header, None without one."""
        self._path, self._dimensions, self._words = path, dimensions, words
        self._line = 0

    @property
    def dimensions(self) -> int:
        """Values per vector."""
        return self._dimensions

    def records(self) -> Iterator[tuple[bytes, bytes]]:
        """Yield word and values of each line; see `VectorStream`."""
        has_header = self._words is not None
        count = self._line = 0
        with open_unpacked(self._path) as file:
            for line in _lines(file, self._path):
                self._line += 1
                if has_header and self._line == 1:
                    continue
                body = line.rstrip()
                if not body:
                    continue
                if body.count(b" ") == self._dimensions:
                    word, _, values = body.partition(b" ")
                else:
                    word, values = self._split(body)
                count += 1
                yield word, values
        if self._words is not None and count != self._words:
            raise DataFileError(
                f"{self._path} has {count:,} vectors, but its header says {self._words:,}: it was cut short or "
                "damaged. Download it again."
            )

    def parse(self, values: Any) -> np.ndarray:
        """Parse the values of a line; see `VectorStream`."""
        try:
            vector = np.array(values.split(), dtype=np.float32)
        except ValueError as error:
            value = str(error).partition(":")[2].strip() or "a value"
            raise DataFileError(
                f"{self._path}, line {self._line}: {value} is not a number. Each line must be a word and "
                f"{self._dimensions} numbers."
            ) from None
        return _finite(vector, f"{self._path}, line {self._line}")

    def _split(self, line: bytes) -> tuple[bytes, bytes]:
        """Split a line whose word contains spaces, or whose fields are separated by tabs or several spaces."""
        fields = line.rsplit(None, self._dimensions)
        if len(fields) <= self._dimensions or _ends_with_number(fields[0]):
            raise self._wrong_width(line)
        return fields[0], b" ".join(fields[1:])

    def _wrong_width(self, line: bytes) -> DataFileError:
        values = len(line.split()) - 1
        return DataFileError(
            f"{self._path}, line {self._line} has {values} values after the word, the lines before it have "
            f"{self._dimensions}: the file was cut short or damaged. Download it again."
        )


class BinaryVectors:
    """A word2vec binary file: a header line, then each word, a space, and its values as little-endian float32."""

    def __init__(self, path: Path, *, dimensions: int, words: int) -> None:
        """Take what the header says."""
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
            _read(file, self._path, -1)
            buffer, start = b"", 0
            for number in range(1, self._words + 1):
                self._record = number
                while (end := buffer.find(b" ", start)) < 0 or len(buffer) < end + 1 + size:
                    block = _read(file, self._path, max(BLOCK_BYTES, size))
                    if not block or (end < 0 and len(buffer) - start > MAX_WORD_BYTES):
                        raise self._damaged(ended=not block)
                    buffer, start = buffer[start:] + block, 0
                yield buffer[start:end].lstrip(b"\n"), buffer[end + 1 : end + 1 + size]
                start = end + 1 + size

    def parse(self, values: Any) -> np.ndarray:
        """Parse the bytes of a vector; see `VectorStream`."""
        return _finite(np.frombuffer(values, "<f4").astype(np.float32), f"{self._path}, word {self._record}")

    def _damaged(self, *, ended: bool) -> DataFileError:
        what = "ends at" if ended else "has no word at"
        return DataFileError(
            f"{self._path} {what} word {self._record:,}, but its header says {self._words:,} words of "
            f"{self._dimensions} values: it was cut short or damaged. Download it again."
        )


class MatrixVectors:
    """A matrix on disk, of which only the rows asked for are read, and its words."""

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

    def parse(self, values: Any) -> np.ndarray:
        """Read a row; see `VectorStream`."""
        return _finite(np.asarray(self._matrix[values], dtype=np.float32), f"{self._path}, row {values + 1}")


def open_unpacked(path: Path) -> IO[bytes]:
    """Open a file, through gzip if it is compressed.

    Raises:
        DataFileError: if it is missing or is not a file.
    """
    try:
        with path.open("rb") as file:
            is_gzip = file.read(2) == b"\x1f\x8b"
    except FileNotFoundError:
        raise DataFileError(f"{KEY}: {path} is missing. {_advice(path)}") from None
    return gzip.open(path, "rb") if is_gzip else path.open("rb")


def read_start(path: Path) -> bytes:
    """Read the first bytes, unpacked.

    Raises:
        DataFileError: if the file is missing or damaged.
    """
    with open_unpacked(path) as file:
        return _read(file, path, START_BYTES)


def _read(file: IO[bytes], path: Path, size: int) -> bytes:
    """Read bytes, or a line for size -1."""
    try:
        return file.readline() if size < 0 else file.read(size)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise _damaged_gzip(path, error) from error


def _lines(file: IO[bytes], path: Path) -> Iterator[bytes]:
    try:
        yield from file
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise _damaged_gzip(path, error) from error


def _damaged_gzip(path: Path, error: Exception) -> DataFileError:
    return DataFileError(f"{path} was cut short or damaged ({error}). Download it again.")


def _finite(vector: np.ndarray, place: str) -> np.ndarray:
    if not np.isfinite(vector).all():
        raise DataFileError(f"{place}: a value is not a finite number. The file is damaged; download it again.")
    return vector


def _ends_with_number(word: bytes) -> bool:
    """Return whether a word that contains a space ends with a decimal number: then the line has too many values."""
    last = word.split()[-1]
    return last != word and is_number(last) and b"." in last


def is_number(text: bytes) -> bool:
    """Return whether a field is a number."""
    try:
        float(text)
    except ValueError:
        return False
    return True


def _advice(path: Path) -> str:
    if Path(f"{path}.dvc").exists():
        return f"DVC tracks it: run `dvc checkout {path}`, or `dvc pull {path}`."
    return f"Put your word vectors there, or correct {KEY} in params.yaml; the project downloads none."
