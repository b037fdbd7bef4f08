"""Detect the format of a word-vector file and open it."""

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from atnet.errors import DataFileError
from atnet.text.binary_vectors import FLOAT_BYTES, BinaryVectors, MatrixVectors
from atnet.text.text_vectors import TextVectors
from atnet.text.vector_streams import KEY, VectorStream, is_number, read_start

MATRIX_SUFFIXES = (".npy", ".safetensors")
VOCABULARY_SUFFIXES = (".vocab", ".txt", ".json")
"""Suffixes of the vocabulary file next to a matrix; the rest of its name is the matrix's."""
SAFETENSORS_TYPES = {"F16": "<f2", "F32": "<f4", "F64": "<f8"}
MAX_HEADER_BYTES = 1 << 26
MIN_DIMENSIONS = 2
FOREIGN_STARTS = {
    b"PK\x03\x04": ("a zip archive", "Unpack it and use the path of the file inside."),
    b"BZh": ("compressed with bzip2", "Unpack it."),
    b"\xfd7zXZ": ("compressed with xz", "Unpack it."),
    b"\xba\x16\x4f\x2f": ("a fastText model, not its vectors", "Use the `.vec` file of the same vectors."),
    b"version https://git-lfs": ("a Git LFS pointer, not the file", "Run `git lfs pull`."),
    b"outs:": ("a .dvc file, not the data it tracks", "Use the path without .dvc."),
    b"<!DOCTYPE": ("a web page", "Download the file itself."),
    b"<html": ("a web page", "Download the file itself."),
}


def open_vectors(path: Path) -> VectorStream:
    """Open a word-vector file, or a folder that contains a matrix and its vocabulary.

    Raises:
        DataFileError: if it is missing, empty, damaged at its start or of another format.
    """
    if path.is_dir():
        return open_vectors(_matrix_in(path))
    start = read_start(path)
    if not start.strip():
        raise DataFileError(f"{path} is empty. Set {KEY} to a file of word vectors.")
    for magic, (found, advice) in FOREIGN_STARTS.items():
        if start.startswith(magic):
            raise DataFileError(f"{path} is {found}. {advice}")
    if path.suffix in MATRIX_SUFFIXES:
        return _open_matrix(path)
    return _open_text_or_binary(path, start)


def vector_dependencies(path: Path) -> list[Path]:
    """List the files behind a value of `vectors.pretrained`: a matrix and its vocabulary, or the file itself."""
    matrix = _matrix_in(path) if path.is_dir() else path
    return [matrix, _vocabulary_file(matrix)] if matrix.suffix in MATRIX_SUFFIXES else [matrix]


def _open_text_or_binary(path: Path, start: bytes) -> VectorStream:
    first, _, rest = start.partition(b"\n")
    header = _header(first)
    if header is None:
        return TextVectors(path, dimensions=_dimensions(path, first), words=None)
    words, dimensions = header
    second = rest.partition(b"\n")[0]
    fields = second.rstrip().rsplit(None, dimensions)
    if len(fields) == dimensions + 1 and all(map(is_number, fields[1:])):
        return TextVectors(path, dimensions=dimensions, words=words)
    if _is_binary(rest, dimensions):
        return BinaryVectors(path, dimensions=dimensions, words=words)
    raise DataFileError(
        f"{path}, line 2 has {len(second.split()) - 1} values after the word, but its header says {dimensions}. "
        "The file is damaged or of another format."
    )


def _header(line: bytes) -> tuple[int, int] | None:
    """Return the number of words and of values that a header line states; None if the line is no header."""
    fields = line.split()
    if len(fields) != 2 or not all(field.isdigit() for field in fields):
        return None
    words, dimensions = map(int, fields)
    return (words, dimensions) if words > 0 and dimensions >= MIN_DIMENSIONS else None


def _dimensions(path: Path, line: bytes) -> int:
    """Count the values of the first line of a file without a header."""
    if b"\x00" in line:
        raise DataFileError(f"{path} is a binary file, but not in word2vec format. {_formats()}")
    fields = line.split()
    values = sum(map(is_number, fields[1:]))
    if values < MIN_DIMENSIONS or not all(map(is_number, fields[len(fields) - values :])):
        raise DataFileError(f"{path}, line 1 is not a word and its numbers. {_formats()}")
    return values


def _is_binary(rest: bytes, dimensions: int) -> bool:
    word, space, values = rest.partition(b" ")
    first = values[: dimensions * FLOAT_BYTES]
    complete = bool(space) and len(first) == dimensions * FLOAT_BYTES and 0 < len(word) < 1000
    # Digits and spaces are finite numbers too, if read as float32.
    is_text = all(9 <= byte <= 126 for byte in first)
    return complete and not is_text and bool(np.isfinite(np.frombuffer(first, "<f4")).all())


def _formats() -> str:
    return "See docs/pretrained-vectors.md for the formats that can be read."


def _open_matrix(path: Path) -> MatrixVectors:
    matrix = _safetensors(path) if path.suffix == ".safetensors" else _npy(path)
    if matrix.ndim != 2 or matrix.shape[1] < MIN_DIMENSIONS or not np.issubdtype(matrix.dtype, np.floating):
        raise DataFileError(
            f"{path} has shape {matrix.shape} and type {matrix.dtype}. Word vectors are a matrix of numbers with one "
            "row per word."
        )
    return MatrixVectors(path, matrix, list(_vocabulary(_vocabulary_file(path))))


def _npy(path: Path) -> np.ndarray:
    try:
        matrix: np.ndarray = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise DataFileError(f"{path} is damaged or not a NumPy file ({error}). Write it again.") from error
    return matrix


def _safetensors(path: Path) -> np.ndarray:
    """Map the only matrix of a safetensors file: a length, a JSON header, then the values."""
    try:
        with path.open("rb") as file:
            (size,) = struct.unpack("<Q", file.read(8))
            if size > MAX_HEADER_BYTES:
                raise ValueError("its header is too long")
            header: dict[str, Any] = json.loads(file.read(size))
        tensors = {name: entry for name, entry in header.items() if name != "__metadata__" and len(entry["shape"]) == 2}
        if len(tensors) != 1:
            raise ValueError(f"it has {len(tensors)} matrices, expected one")
        (entry,) = tensors.values()
        if entry["dtype"] not in SAFETENSORS_TYPES:
            raise ValueError(f"its values are {entry['dtype']}, expected {', '.join(SAFETENSORS_TYPES)}")
        offset, shape = 8 + size + entry["data_offsets"][0], tuple(entry["shape"])
        return np.memmap(path, SAFETENSORS_TYPES[entry["dtype"]], "r", offset, shape)
    except (ValueError, KeyError, TypeError, struct.error) as error:
        raise DataFileError(f"{path} is damaged or not a safetensors file ({error}). Write it again.") from error


def _vocabulary(path: Path) -> Iterator[bytes]:
    """Yield the words of a vocabulary: one per line, or a JSON list, or a JSON object of word -> row."""
    if path.suffix == ".json":
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise DataFileError(f"{path} is not JSON ({error}). Write a list of words.") from error
        words = sorted(content, key=content.__getitem__) if isinstance(content, dict) else content
        yield from (str(word).encode() for word in words)
        return
    with path.open("rb") as file:
        yield from (line.rstrip(b"\r\n") for line in file)


def _vocabulary_file(matrix: Path) -> Path:
    for suffix in VOCABULARY_SUFFIXES:
        path = matrix.with_suffix(suffix)
        if path.is_file():
            return path
    names = ", ".join(matrix.with_suffix(suffix).name for suffix in VOCABULARY_SUFFIXES)
    raise DataFileError(f"{matrix} needs its vocabulary next to it, one word per line: {names}.")


def _matrix_in(folder: Path) -> Path:
    files = sorted(path for path in folder.iterdir() if path.suffix in MATRIX_SUFFIXES)
    if len(files) != 1:
        raise DataFileError(
            f"{folder} contains {len(files)} files {' or '.join(MATRIX_SUFFIXES)}, expected one with its vocabulary. "
            f"Set {KEY} to the path of the file."
        )
    return files[0]
