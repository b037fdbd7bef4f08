"""Sets of text hashes (see `schema.text_hash`) as sorted 64-bit numbers: eight bytes for each text."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from atnet.errors import DataFileError

DIGITS = 16
READ_AT_ONCE = 1 << 18
"""Hashes held as strings at a time while a file is read or written."""


@dataclass(frozen=True, slots=True, eq=False)
class TextHashes:
    """A set of text hashes; in its methods, a name is a hash written as 16 hexadecimal digits."""

    values: NDArray[np.uint64]
    """Distinct values in ascending order."""

    @classmethod
    def of(cls, names: Iterable[str] = ()) -> "TextHashes":
        """Build the set of these names, which may be repeated."""
        return cls(_sorted_once(_numbers(names)))

    @classmethod
    def union(cls, sets: Iterable["TextHashes"]) -> "TextHashes":
        """Return the values that are in any of the sets."""
        return cls(_sorted_once(np.concatenate([np.zeros(0, np.uint64), *(hashes.values for hashes in sets)])))

    @classmethod
    def read(cls, path: Path) -> "TextHashes":
        """Read a text file with one name per line.

        Raises:
            DataFileError: if a line is not a text hash.
        """
        try:
            with path.open(encoding="utf-8") as file:
                names = (name for line in file for name in line.split())
                return cls.union(cls.of(batch) for batch in iter(lambda: list(islice(names, READ_AT_ONCE)), []))
        except ValueError as error:
            raise DataFileError(
                f"{path} is damaged: each line must be a text hash of {DIGITS} hexadecimal digits. Run `atnet publish` "
                "in the project the model was trained in, or restore the file from a backup."
            ) from error

    def contains(self, names: Iterable[str]) -> NDArray[np.bool_]:
        """Return for each name whether it is in the set."""
        return _occur_in(_numbers(names), self.values)

    def count_missing_in(self, other: "TextHashes") -> int:
        """Count the values that the other set does not have."""
        return len(self) - int(_occur_in(self.values, other.values).sum())

    def names(self) -> Iterator[str]:
        """Yield the names in ascending order."""
        return (f"{value:016x}" for start in range(0, len(self), READ_AT_ONCE) for value in self._part(start))

    def _part(self, start: int) -> list[int]:
        part: list[int] = self.values[start : start + READ_AT_ONCE].tolist()
        return part

    def __contains__(self, name: str) -> bool:
        return bool(self.contains([name])[0])

    def __or__(self, other: "TextHashes") -> "TextHashes":
        return TextHashes.union([self, other])

    def __len__(self) -> int:
        return len(self.values)


def _sorted_once(numbers: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Sort the array in place and return its distinct numbers."""
    # Not np.unique, which takes about 50 bytes for each number.
    numbers.sort()
    is_first = np.ones(len(numbers), np.bool_)
    is_first[1:] = numbers[1:] != numbers[:-1]
    return numbers[is_first]


def _occur_in(numbers: NDArray[np.uint64], values: NDArray[np.uint64]) -> NDArray[np.bool_]:
    """Return which numbers are among the values, which are sorted."""
    if len(values) == 0:
        return np.zeros(len(numbers), np.bool_)
    nearest = np.searchsorted(values, numbers).clip(max=len(values) - 1)
    return np.asarray(values[nearest] == numbers, dtype=np.bool_)


def _numbers(names: Iterable[str]) -> NDArray[np.uint64]:
    """Convert names to numbers.

    Raises:
        ValueError: if a name is not a text hash.
    """
    names = list(names)
    if any(len(name) != DIGITS for name in names):
        raise ValueError(f"a text hash has {DIGITS} hexadecimal digits")
    return np.frombuffer(bytes.fromhex("".join(names)), ">u8").astype(np.uint64)
