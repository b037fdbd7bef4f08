"""Find ids that occur more than once, with eight bytes per row."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

IdBatches = Callable[[], Iterable[pd.Series]]
"""Reads the ids of a table in batches, indexed by row position."""


@dataclass(frozen=True, slots=True)
class RepeatedIds:
    """The rows whose id occurs in an earlier row."""

    rows: NDArray[np.int64]
    """Their positions, ascending."""
    earlier: NDArray[np.int64]
    """Earlier rows with the same id, of each."""

    def of(self, index: pd.Index) -> pd.Series:
        """Count, for the rows of a batch, the earlier rows of the table with the same id."""
        counts = np.zeros(len(index), np.int64)
        if len(index):
            inside = slice(*np.searchsorted(self.rows, [index[0], index[-1] + 1]))
            counts[index.get_indexer(pd.Index(self.rows[inside]))] = self.earlier[inside]
        return pd.Series(counts, index=index)


def find_repeated_ids(ids: IdBatches) -> RepeatedIds:
    """Find repeated ids; the ids themselves are compared only where their hashes are equal."""
    hashes = np.sort(np.concatenate([np.zeros(0, np.uint64), *(hash_ids(batch) for batch in ids())]))
    candidates = np.unique(hashes[1:][hashes[1:] == hashes[:-1]])
    if len(candidates) == 0:
        return RepeatedIds(np.zeros(0, np.int64), np.zeros(0, np.int64))
    suspects = pd.concat([batch[np.isin(hash_ids(batch), candidates)] for batch in ids()])
    earlier = earlier_ids(suspects)
    repeated = earlier[earlier > 0]
    return RepeatedIds(repeated.index.to_numpy(np.int64), repeated.to_numpy(np.int64))


def hash_ids(ids: pd.Series) -> NDArray[np.uint64]:
    """Return a 64-bit hash of each id."""
    hashes: NDArray[np.uint64] = pd.util.hash_array(ids.to_numpy(dtype=object), categorize=False)
    return hashes


def earlier_ids(ids: pd.Series) -> pd.Series:
    """Count, for each row, the earlier rows of the whole table with the same id."""
    if ids.is_unique:
        return pd.Series(0, index=ids.index)
    return ids.groupby(ids, sort=False).cumcount()
