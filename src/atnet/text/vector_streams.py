"""Word-vector files as streams of (word, values), whatever their format; the values are parsed only on request.

Formats: GloVe text; word2vec text and fastText `.vec`, with a header line; word2vec binary; each of these compressed
with gzip or not. A matrix in `.npy` or safetensors, with a vocabulary file beside it.
"""

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, Protocol, cast

import numpy as np

from atnet.errors import DataFileError

START_BYTES = 1 << 16
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

    def check_end(self) -> None:
        """Check, without reading the file whole, that it was not cut short.

        Raises:
            DataFileError: if it was.
        """


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
    return cast(IO[bytes], gzip.open(path, "rb")) if is_gzip else path.open("rb")


def read_start(path: Path) -> bytes:
    """Read the first bytes, unpacked.

    Raises:
        DataFileError: if the file is missing or damaged.
    """
    with open_unpacked(path) as file:
        return read_bytes(file, path, START_BYTES)


def read_bytes(file: IO[bytes], path: Path, size: int) -> bytes:
    """Read bytes, or a line for size -1.

    Raises:
        DataFileError: if it is a gzip file that is cut short or damaged.
    """
    try:
        return file.readline() if size < 0 else file.read(size)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise _damaged_gzip(path, error) from error


def read_lines(file: IO[bytes], path: Path) -> Iterator[bytes]:
    """Yield the lines of an open file.

    Raises:
        DataFileError: if it is a gzip file that is cut short or damaged.
    """
    try:
        yield from file
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise _damaged_gzip(path, error) from error


def _damaged_gzip(path: Path, error: Exception) -> DataFileError:
    return DataFileError(f"{path} was cut short or damaged ({error}). Download it again.")


def require_finite(vector: np.ndarray, place: str) -> np.ndarray:
    """Return the vector.

    Raises:
        DataFileError: if a value is infinite or not a number.
    """
    if not np.isfinite(vector).all():
        raise DataFileError(f"{place}: a value is not a finite number. The file is damaged; download it again.")
    return vector


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
    return f"Put your word vectors there, or correct {KEY} in params.yaml; the project does not download any."
