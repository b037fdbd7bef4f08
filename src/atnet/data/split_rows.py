"""The columns that decide the split of a row, as numbers: a few bytes per row, whatever the length of its text.

Letters in array names: N rows, U distinct texts.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from atnet.batch_engine import BatchMapper
from atnet.config import SPLITS, SplitConfig
from atnet.data.near_duplicates import NearDuplicateIndex, NumberedTexts
from atnet.errors import DataContractError
from atnet.schema import HARD_LABEL, ID, LABEL, SPLIT, TEXT, normalize_text, text_hash
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
    hard_N: NDArray[np.bool_]
    """Whether the row has a label of its own, not only its teacher's."""

    def __len__(self) -> int:
        return len(self.text_N)

    @property
    def hard_U(self) -> NDArray[np.bool_]:
        """Mark the texts of rows with a label of their own."""
        marked = np.zeros(len(self.names_U), dtype=bool)
        marked[self.text_N[self.hard_N]] = True
        return marked


@dataclass(frozen=True, slots=True)
class _BatchColumns:
    """What one batch adds to the columns of `SplitRows`."""

    hashes: NDArray[np.uint64]
    labels: list[str]
    label_positions: NDArray[np.int64]
    hard: NDArray[np.bool_]
    official: NDArray[np.int8] | None
    invalid_rows: int
    first_invalid: str


def collect_rows(source: TableSource, mapper: BatchMapper = map) -> SplitRows:
    """Read the columns.

    Raises:
        DataContractError: if a row has no valid official split, or none is in train.
    """
    columns = [ID, TEXT, LABEL, *(name for name in (SPLIT, HARD_LABEL) if name in source.columns)]
    codes: dict[str, int] = {}
    hashes, label_codes, official, hard, invalid = [], [], [], [], []
    for part in mapper(_batch_columns, source.batches(columns)):
        coded = np.array([codes.setdefault(name, len(codes)) for name in part.labels], dtype=np.int32)
        hashes.append(part.hashes)
        label_codes.append(coded[part.label_positions])
        hard.append(part.hard)
        if part.official is not None:
            official.append(part.official)
        invalid.append((part.invalid_rows, part.first_invalid))
    _require_valid(invalid)
    names_U, first_U, text_N = np.unique(np.concatenate(hashes), return_index=True, return_inverse=True)
    official_N = np.concatenate(official) if official else None
    if official_N is not None and not (official_N == SPLITS.index("train")).any():
        raise DataContractError(
            "The split column puts no row in train. Fix the column, or set data.columns.split to null."
        )
    return SplitRows(
        names_U,
        text_N.astype(np.int32),
        first_U,
        list(codes),
        np.concatenate(label_codes),
        official_N,
        np.concatenate(hard),
    )


def _batch_columns(batch: pd.DataFrame) -> _BatchColumns:
    positions, names = pd.factorize(batch[LABEL])
    official, invalid, first = None, 0, ""
    if SPLIT in batch:
        official = pd.Index(SPLITS).get_indexer(pd.Index(batch[SPLIT])).astype(np.int8)
        rows = np.flatnonzero(official == NO_OFFICIAL_SPLIT)
        invalid = len(rows)
        if invalid:
            value = batch[SPLIT].iloc[rows[0]]
            first = f"id {batch[ID].iloc[rows[0]]} with {None if pd.isna(value) else value!r}"
    return _BatchColumns(
        hashes=np.array([int(text_hash(text), 16) for text in batch[TEXT]], dtype=np.uint64),
        labels=[str(name) for name in names],
        label_positions=positions,
        hard=batch[HARD_LABEL].to_numpy(bool) if HARD_LABEL in batch else np.ones(len(batch), dtype=bool),
        official=official,
        invalid_rows=invalid,
        first_invalid=first,
    )


def _require_valid(invalid: Sequence[tuple[int, str]]) -> None:
    rows = sum(count for count, _ in invalid)
    if rows:
        first = next(described for count, described in invalid if count)
        raise DataContractError(
            f"{rows} rows have no valid split in the split column, first: {first}. Set each row to one "
            f"of {', '.join(SPLITS)}, or set data.columns.split to null."
        )


def group_texts(
    source: TableSource,
    rows: SplitRows,
    among_U: NDArray[np.bool_],
    config: SplitConfig,
    folder: Path,
    mapper: BatchMapper = map,
) -> NDArray[np.int32]:
    """Return the lowest text in the group of each distinct text, (U,).

    Distinct texts are numbered in the order of their hashes: row order does not change the groups.

    Args:
        source: the table.
        rows: its rows.
        among_U: the texts to group; the others stay alone.
        config: what a near duplicate is.
        folder: an empty folder for signatures.
    """
    index = NearDuplicateIndex(
        folder,
        texts=len(rows.names_U),
        similarity=config.near_duplicate_similarity,
        minhash_permutations=config.minhash_permutations,
    )
    with index:
        for signed in mapper(index.signature_function, _first_texts(source, rows, among_U)):
            index.add_signed(signed)
        return index.leaders()


def _first_texts(source: TableSource, rows: SplitRows, among_U: NDArray[np.bool_]) -> Iterator[NumberedTexts]:
    """Yield each distinct text among the marked ones once, normalized."""
    is_first_N = np.zeros(len(rows), dtype=bool)
    is_first_N[rows.first_U[among_U]] = True
    start = 0
    for batch in source.batches([TEXT]):
        first = np.flatnonzero(is_first_N[start : start + len(batch)])
        texts = [normalize_text(text) for text in batch[TEXT].iloc[first]]
        yield NumberedTexts(texts, rows.text_N[first + start].astype(np.int64))
        start += len(batch)


def ids_of(source: TableSource, rows: Sequence[int]) -> dict[int, str]:
    """Return the ids of a few rows."""
    wanted, start = np.unique(np.array(rows, dtype=np.int64)), 0
    found: dict[int, str] = {}
    if len(wanted):
        for batch in source.batches([ID]):
            inside = wanted[(wanted >= start) & (wanted < start + len(batch))]
            found |= dict(zip(inside.tolist(), map(str, batch[ID].iloc[inside - start]), strict=True))
            start += len(batch)
    return found
