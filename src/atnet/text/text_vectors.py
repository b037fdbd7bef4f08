"""Word vectors in a text file: GloVe, word2vec text, fastText `.vec`."""

import gzip
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from atnet.errors import DataFileError
from atnet.text.vector_streams import START_BYTES, is_number, open_unpacked, read_lines, require_finite


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
            for line in read_lines(file, self._path):
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
        return require_finite(vector, f"{self._path}, line {self._line}")

    def check_end(self) -> None:
        """Check the last line of a file that is not compressed; see `VectorStream`."""
        size = self._path.stat().st_size
        with open_unpacked(self._path) as file:
            if isinstance(file, gzip.GzipFile):
                return
            file.seek(max(0, size - START_BYTES))
            last = file.read().rstrip().rpartition(b"\n")[2]
        fields = last.rsplit(None, self._dimensions)
        if len(fields) <= self._dimensions or not all(map(is_number, fields[1:])):
            raise DataFileError(
                f"{self._path}: the last line is not a word and {self._dimensions} numbers: the file was cut short. "
                "Download it again."
            )

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


def _ends_with_number(word: bytes) -> bool:
    """Return whether a word that contains a space ends with a decimal number: then the line has too many values."""
    last = word.split()[-1]
    return last != word and is_number(last) and b"." in last
