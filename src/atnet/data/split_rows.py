"""The columns that decide the split of a row, as numbers: a few bytes per row, whatever the length of its text.

Letters in array names: N rows, U distinct texts.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from atnet.config import SPLITS, SplitConfig
from atnet.data.near_duplicates import NearDuplicateIndex
from atnet.errors import DataContractError
from atnet.schema import ID, LABEL, SPLIT, TEXT, normalize_text, text_hash
from atnet.table_batches import TableSource

Ints = NDArray[np.int64]
NO_OFFICIAL_SPLIT = -1


@dataclass(frozen=True, slots=True)
class SplitRows:
    """All rows of a table."""

    names_U: NDArray[np.uint64]
    """Hashes of the distinct texts, ascending."""
    text_N: NDArray[np.int32]
    """Position of each row's text in `names_U`."""
    first_U: Ints
    """The first row of each text."""
    labels: list[str]
    label_N: NDArray[np.int32]
    """Position of each row's label in `labels`."""
    official_N: NDArray[np.int8] | None
    """Position of each row's official split in SPLITS; None without a split column."""

    def __len__(self) -> int:
        return len(self.text_N)


def collect_rows(source: TableSource) -> SplitRows:
    """Read the columns.

    Raises:
        DataContractError: if a row has no valid official split, or none is in train.
    """
    columns = [ID, TEXT, LABEL, *([SPLIT] if SPLIT in source.columns else [])]
    hashes, label_codes, official = [], [], []
    codes: dict[str, int] = {}
    invalid = _InvalidSplits()
    for batch in source.batches(columns):
        hashes.append(np.array([int(text_hash(text), 16) for text in batch[TEXT]], dtype=np.uint64))
        positions, names = pd.factorize(batch[LABEL])
        coded = np.array([codes.setdefault(str(name), len(codes)) for name in names], dtype=np.int32)
        label_codes.append(coded[positions])
        if SPLIT in batch:
            official.append(pd.Index(SPLITS).get_indexer(pd.Index(batch[SPLIT])).astype(np.int8))
            invalid.add(batch, official[-1])
    invalid.require_none()
    names_U, first_U, text_N = np.unique(np.concatenate(hashes), return_index=True, return_inverse=True)
    official_N = np.concatenate(official) if official else None
    if official_N is not None and not (official_N == SPLITS.index("train")).any():
        raise DataContractError(
            "The split column puts no row in train. Fix the column, or set data.columns.split to null."
        )
    return SplitRows(names_U, text_N.astype(np.int32), first_U, list(codes), np.concatenate(label_codes), official_N)


def group_texts(source: TableSource, rows: SplitRows, config: SplitConfig, folder: Path) -> NDArray[np.int32]:
    """Return the lowest text in the group of each distinct text, (U,).

    Distinct texts are numbered in the order of their hashes: row order does not change the groups.
    """
    index = NearDuplicateIndex(
        folder,
        texts=len(rows.names_U),
        similarity=config.near_duplicate_similarity,
        minhash_permutations=config.minhash_permutations,
    )
    is_first_N = np.zeros(len(rows), dtype=bool)
    is_first_N[rows.first_U] = True
    start = 0
    with index:
        for batch in source.batches([TEXT]):
            first = np.flatnonzero(is_first_N[start : start + len(batch)])
            texts = [normalize_text(text) for text in batch[TEXT].iloc[first]]
            index.add(texts, rows.text_N[first + start].astype(np.int64))
            start += len(batch)
        return index.leaders()


def ids_of(source: TableSource, rows: Sequence[int]) -> dict[int, str]:
    """Return the ids of a few rows."""
    wanted, found, start = np.unique(np.array(rows, dtype=np.int64)), {}, 0
    if len(wanted):
        for batch in source.batches([ID]):
            inside = wanted[(wanted >= start) & (wanted < start + len(batch))]
            found |= dict(zip(inside.tolist(), map(str, batch[ID].iloc[inside - start]), strict=True))
            start += len(batch)
    return found


class _InvalidSplits:
    """Counts rows whose official split is not one of SPLITS, and keeps the first."""

    def __init__(self) -> None:
        self._rows, self._first = 0, ""

    def add(self, batch: pd.DataFrame, official: NDArray[np.int8]) -> None:
        invalid = np.flatnonzero(official == NO_OFFICIAL_SPLIT)
        if len(invalid) and self._rows == 0:
            row = batch.iloc[invalid[0]]
            value = None if pd.isna(row[SPLIT]) else row[SPLIT]
            self._first = f"id {row[ID]} with {value!r}"
        self._rows += len(invalid)

    def require_none(self) -> None:
        if self._rows:
            raise DataContractError(
                f"{self._rows} rows have no valid split in the split column, first: {self._first}. Set each row to one "
                f"of {', '.join(SPLITS)}, or set data.columns.split to null."
            )
