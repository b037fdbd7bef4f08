"""Compute what the table checks read: rows per label, duplicates and conflicting labels of the whole table."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from atnet.schema import TEXT, normalize_text


@dataclass(frozen=True, slots=True)
class TableStatistics:
    """Counts of rows."""

    read: int
    """Rows of the file."""
    quarantined: int
    labels: dict[str, int]
    """Valid rows of every expected label, zeros included."""
    duplicates: int
    """Valid rows whose normalized text occurred in an earlier row."""
    conflicting: int
    """Valid rows whose normalized text also has another label."""

    @property
    def valid(self) -> int:
        """Rows that the next stage gets."""
        return sum(self.labels.values())

    def values(self) -> dict[str, float]:
        """Return the number that each table check reads, by the check's name."""
        valid, rarest = max(self.valid, 1), min(self.labels.values(), default=0)
        return {
            "quarantined_fraction": self.quarantined / max(self.read, 1),
            "label_count": sum(rows > 0 for rows in self.labels.values()),
            "mean_rows_per_label": self.valid / max(len(self.labels), 1),
            "duplicates": self.duplicates / valid,
            "conflicting_labels": self.conflicting / valid,
            "class_balance": rarest / valid,
            "rows_per_label": rarest,
        }


@dataclass(frozen=True, slots=True)
class DuplicateCounts:
    """Rows that repeat a text."""

    repeated: int
    """Rows whose text occurred in an earlier row."""
    conflicting: int
    """Rows whose text also has another label."""


def count_duplicates(keys: NDArray[np.uint64], labels: NDArray[np.int32]) -> DuplicateCounts:
    """Count repeated texts and conflicting labels.

    Args:
        keys: of the text of each row, see `text_keys`.
        labels: number of the label of each row.
    """
    if len(keys) == 0:
        return DuplicateCounts(0, 0)
    order = np.argsort(keys)
    ordered = keys[order]
    starts = np.flatnonzero(np.append(True, ordered[1:] != ordered[:-1]))
    by_text = labels[order]
    has_conflict = np.minimum.reduceat(by_text, starts) != np.maximum.reduceat(by_text, starts)
    sizes = np.diff(np.append(starts, len(keys)))
    return DuplicateCounts(repeated=len(keys) - len(starts), conflicting=int(sizes[has_conflict].sum()))


def text_keys(table: pd.DataFrame) -> pd.Series:
    """Return a 64-bit key for each text; texts that are equal after normalization share it."""
    normalized = np.array([normalize_text(text) for text in table[TEXT]], dtype=object)
    return pd.Series(pd.util.hash_array(normalized, categorize=False), index=table.index)
