"""Read an input once before it is scored: check that all of it can be read, count its rows, find repeated ids."""

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from atnet.config import DataConfig
from atnet.errors import DataContractError
from atnet.scoring.partitions import count
from atnet.scoring.text_batches import stream_texts

HELD_HASHES = 1 << 20
"""Hashes in memory; beyond it they go to files, which are then sorted one at a time."""
FILES = 64
MAX_DUPLICATES = 100_000
"""Maximum number of distinct repeated ids to process: the first ones are listed, and only this many can be numbered."""
NAMED = 5
NUMBERED = r"#\d+$"


@dataclass(slots=True)
class RepeatedId:
    """An id that occurs in several rows."""

    rows: list[int]
    """The first two of them."""
    occurrences: int = 0


@dataclass(frozen=True, slots=True)
class InputFacts:
    """What is known about an input before it is scored."""

    rows: int
    repeated: dict[str, RepeatedId] = field(default_factory=dict)
    """Ids that occur more than once, in the order of their first row."""

    def number_ids(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Append #2, #3, ... to the further occurrences of repeated ids."""
        counts = dict.fromkeys(self.repeated, 0)
        for batch in batches:
            ids = batch["id"].to_pylist()
            for position, name in enumerate(ids):
                if name in counts:
                    counts[name] += 1
                    if counts[name] > 1:
                        ids[position] = f"{name}#{counts[name]}"
            yield batch.set_column(1, "id", pa.array(ids, pa.string()))


def check_input(path: Path, data: DataConfig, *, number_duplicates: bool) -> InputFacts:
    """Read a whole input.

    Raises:
        DataFileError: if it cannot be read to its end.
        DataContractError: if a column is missing or ids occur more than once and may not, or cannot, be numbered.
    """
    hashes, rows, numbered = HashFiles(), 0, 0
    with hashes:
        for batch in stream_texts(path, data):
            rows += batch.num_rows
            hashes.add(_hash(batch["id"]))
            if number_duplicates:
                numbered += pc.sum(pc.match_substring_regex(batch["id"], NUMBERED)).as_py() or 0
        repeated = hashes.repeated()
    facts = InputFacts(rows, _find_repeated(path, data, repeated) if len(repeated) else {})
    if facts.repeated:
        _check_repeated(path, facts, number_duplicates=number_duplicates, numbered=numbered)
    return facts


class HashFiles:
    """Finds repeated values among any number of 64-bit hashes in bounded memory: large numbers go to files."""

    def __init__(self) -> None:
        self._held: list[np.ndarray] = []
        self._size = 0
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    def __enter__(self) -> "HashFiles":
        return self

    def __exit__(self, *_: object) -> None:
        if self._folder is not None:
            self._folder.cleanup()

    def add(self, hashes: np.ndarray) -> None:
        """Add hashes (N,) uint64."""
        self._held.append(hashes)
        self._size += len(hashes)
        if self._size > HELD_HASHES:
            self._spill()

    def repeated(self) -> np.ndarray:
        """Return the hashes that occur more than once, each once and at most MAX_DUPLICATES + 1, sorted."""
        if self._folder is None:
            return _repeated(np.concatenate(self._held) if self._held else np.zeros(0, np.uint64))
        self._spill()
        repeated = np.zeros(0, np.uint64)
        for number in range(FILES):
            path = self._path(number)
            if path.exists() and len(repeated) <= MAX_DUPLICATES:
                repeated = np.concatenate([repeated, _repeated(np.fromfile(path, np.uint64))])
        return np.sort(repeated[: MAX_DUPLICATES + 1])

    def _spill(self) -> None:
        if not self._held:
            return
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix="atnet-ids-")
        hashes = np.concatenate(self._held)
        self._held, self._size = [], 0
        files = hashes % np.uint64(FILES)
        for number in range(FILES):
            with self._path(number).open("ab") as file:
                hashes[files == number].tofile(file)

    def _path(self, number: int) -> Path:
        assert self._folder is not None
        return Path(self._folder.name, str(number))


def _hash(ids: pa.Array) -> np.ndarray:
    hashes: np.ndarray = pd.util.hash_array(ids.to_numpy(zero_copy_only=False), categorize=False)
    return hashes


def _repeated(hashes: np.ndarray) -> np.ndarray:
    values, counts = np.unique(hashes, return_counts=True)
    repeated: np.ndarray = values[counts > 1][: MAX_DUPLICATES + 1]
    return repeated


def _find_repeated(path: Path, data: DataConfig, hashes: np.ndarray) -> dict[str, RepeatedId]:
    """Read the ids again and find the rows whose hash occurs more than once; different ids can have the same hash."""
    entries: dict[str, RepeatedId] = {}
    for batch in stream_texts(path, data):
        ids = batch["id"]
        for position in np.flatnonzero(np.isin(_hash(ids), hashes)).tolist():
            entry = entries.setdefault(ids[position].as_py(), RepeatedId([]))
            entry.occurrences += 1
            if len(entry.rows) < 2:
                entry.rows.append(batch["row"][position].as_py())
    return {name: entry for name, entry in entries.items() if entry.occurrences > 1}


def _check_repeated(path: Path, facts: InputFacts, *, number_duplicates: bool, numbered: int) -> None:
    repeated = facts.repeated
    many = len(repeated) > MAX_DUPLICATES
    if number_duplicates and not many and not numbered:
        return
    named = ", ".join(f"{name!r} (rows {entry.rows[0]:,} and {entry.rows[1]:,})" for name, entry in first(repeated))
    number = count(min(len(repeated), MAX_DUPLICATES), "id")
    what = f"{path}: {'over ' if many else ''}{number} with more than one row: {named}"
    rows = "use row numbers as ids with --number-rows"
    if not number_duplicates:
        what += f"{', …' if len(repeated) > NAMED else ''}. Fix the ids, number the repeated ones with "
        raise DataContractError(f"{what}--number-duplicates, or {rows}.")
    reason = f"some ids already end in # and a number ({numbered:,})" if numbered else "these are too many to number"
    raise DataContractError(f"{what}. They cannot be numbered because {reason}. Fix the ids, or {rows}.")


def first(repeated: dict[str, RepeatedId]) -> list[tuple[str, RepeatedId]]:
    """Return the repeated ids, as listed in a message."""
    return list(repeated.items())[:NAMED]
