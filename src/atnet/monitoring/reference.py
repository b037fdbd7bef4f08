"""The reference: held-out rows of the champion's data version.

Training rows are never used: the model is more confident on them, so any new text would look different.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from atnet.config import MonitorConfig
from atnet.errors import DataContractError
from atnet.schema import TEXT, TEXT_HASH, text_hash, unit_hash
from atnet.text_hashes import TextHashes


@dataclass(frozen=True, slots=True)
class Reference:
    """Distinct held-out rows, with the columns of the splits."""

    table: pd.DataFrame
    digest: str
    """Hash of the texts."""

    def __len__(self) -> int:
        return len(self.table)


@dataclass(frozen=True, slots=True)
class HeldOutTexts:
    """The held-out texts of the champion's data version."""

    reference: Reference
    hashes: TextHashes
    """Hashes of all held-out texts."""


def read_held_out(batches: Iterable[pd.DataFrame], train_hashes: TextHashes, config: MonitorConfig) -> HeldOutTexts:
    """Return the distinct held-out texts, at most `max_reference_rows` of them, sampled by hash.

    Args:
        batches: the rows of the validation split, then those of the test split.
        train_hashes: of the texts that the champion was trained on; they are not in the reference.
        config: sizes and seed.

    Raises:
        DataContractError: if there are fewer than two windows of the smallest size.
    """
    sample, hashes = _DistinctTexts(config.max_reference_rows, config.seed), []
    for batch in batches:
        if TEXT_HASH not in batch:
            batch = batch.assign(**{TEXT_HASH: [text_hash(text) for text in batch[TEXT]]})
        hashes.append(TextHashes.of(batch[TEXT_HASH]))
        sample.add(batch[~train_hashes.contains(batch[TEXT_HASH])])
    held_out = TextHashes.union(hashes)
    distinct, needed = held_out.count_missing_in(train_hashes), 2 * config.min_window_rows
    if distinct < needed:
        raise DataContractError(
            f"The champion's data version has {distinct:,} distinct held-out texts; {needed:,} are needed to monitor "
            f"windows of {config.min_window_rows} texts. Add labeled rows or increase split.fractions.validation and "
            "test, and train again; or lower monitor.min_window_rows."
        )
    table = sample.table()
    digest = hashlib.sha256("\n".join(table[TEXT_HASH]).encode()).hexdigest()
    return HeldOutTexts(Reference(table, digest), held_out)


class _DistinctTexts:
    """The first row of each text, for the `limit` texts that come first in the order of `order_by_hash`."""

    def __init__(self, limit: int, seed: int) -> None:
        self._limit, self._seed = limit, seed
        self._frames: list[pd.DataFrame] = []
        self._positions: list[np.ndarray] = []
        self._largest = np.inf

    def add(self, frame: pd.DataFrame) -> None:
        frame = frame.drop_duplicates(TEXT_HASH)
        positions = _hash_positions(frame[TEXT_HASH], self._seed)
        is_early = positions < self._largest
        self._frames.append(frame[is_early])
        self._positions.append(positions[is_early])
        if sum(map(len, self._positions)) > 2 * self._limit:
            self._cut()

    def table(self) -> pd.DataFrame:
        """Return the rows in the order in which they were added."""
        self._cut()
        return self._frames[0]

    def _cut(self) -> None:
        table, positions = pd.concat(self._frames, ignore_index=True), np.concatenate(self._positions)
        first = np.flatnonzero(~table[TEXT_HASH].duplicated().to_numpy())
        chosen = np.sort(first[np.argsort(positions[first], kind="stable")[: self._limit]])
        self._frames, self._positions = [table.iloc[chosen].reset_index(drop=True)], [positions[chosen]]
        if len(chosen) == self._limit:
            self._largest = float(positions[chosen].max())


def order_by_hash(names: pd.Series, seed: int) -> np.ndarray:
    """Return the positions of the rows in the order of a hash, which is the same in every run."""
    order: np.ndarray = np.argsort(_hash_positions(names, seed), kind="stable")
    return order


def _hash_positions(names: pd.Series, seed: int) -> np.ndarray:
    return np.array([unit_hash(f"monitor {name}", seed) for name in names], dtype=np.float64)
