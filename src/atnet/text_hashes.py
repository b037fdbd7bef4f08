"""Sets of text hashes (see `schema.text_hash`) as sorted 64-bit numbers: eight bytes for each text."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from atnet.errors import DataFileError

DIGITS = 16
READ_AT_ONCE = 1 << 18
"""Hashes that are strings at a time while a file is read."""


@dataclass(frozen=True, slots=True, eq=False)
class TextHashes:
    """A set of text hashes; in its methods a name is a hash as 16 hexadecimal digits."""

    values: NDArray[np.uint64]
    """Ascending, each once."""

    @classmethod
    def of(cls, names: Iterable[str] = ()) -> "TextHashes":
        """Build the set of these names, which may be repeated."""
        return cls(np.unique(_numbers(names)))

    @classmethod
    def union(cls, sets: Iterable["TextHashes"]) -> "TextHashes":
        """Return the values that are in any of the sets."""
        return cls(np.unique(np.concatenate([np.zeros(0, np.uint64), *(hashes.values for hashes in sets)])))

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
        numbers = _numbers(names)
        if len(self.values) == 0:
            return np.zeros(len(numbers), np.bool_)
        nearest = np.searchsorted(self.values, numbers).clip(max=len(self.values) - 1)
        return np.asarray(self.values[nearest] == numbers, dtype=np.bool_)

    def count_missing_in(self, other: "TextHashes") -> int:
        """Count the values that the other set does not have."""
        return len(np.setdiff1d(self.values, other.values, assume_unique=True))

    def __contains__(self, name: str) -> bool:
        return bool(self.contains([name])[0])

    def __or__(self, other: "TextHashes") -> "TextHashes":
        return TextHashes.union([self, other])

    def __len__(self) -> int:
        return len(self.values)


def _numbers(names: Iterable[str]) -> NDArray[np.uint64]:
    """Convert names to numbers.

    Raises:
        ValueError: if a name is not a text hash.
    """
    names = list(names)
    if any(len(name) != DIGITS for name in names):
        raise ValueError(f"a text hash has {DIGITS} hexadecimal digits")
    return np.frombuffer(bytes.fromhex("".join(names)), ">u8").astype(np.uint64)
