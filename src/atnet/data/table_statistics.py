"""Compute what the table checks read: rows per label, duplicates and conflicting labels of the whole table."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from atnet.data.row_statistics import in_batches
from atnet.schema import LABEL, TEXT, normalize_text


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


def table_statistics(valid: pd.DataFrame, labels: Sequence[str], *, read: int, quarantined: int) -> TableStatistics:
    """Count the valid rows: per label, duplicates and conflicts.

    Args:
        valid: canonical rows that passed the row checks.
        labels: every label that should occur.
        read: rows of the file.
        quarantined: rows that failed a critical row check.
    """
    keys = pd.concat([text_keys(batch) for batch in in_batches(valid)])
    pairs = pd.DataFrame({"key": keys, "label": valid[LABEL]}).drop_duplicates()
    conflicting = pairs["key"][pairs["key"].duplicated()]
    counts = valid[LABEL].value_counts()
    return TableStatistics(
        read=read,
        quarantined=quarantined,
        labels={label: int(counts.get(label, 0)) for label in sorted({*labels, *counts.index})},
        duplicates=int(keys.duplicated().sum()),
        conflicting=int(keys.isin(conflicting).sum()),
    )


def text_keys(table: pd.DataFrame) -> pd.Series:
    """Return a 64-bit key for each text; texts that are equal after normalization share it."""
    normalized = np.array([normalize_text(text) for text in table[TEXT]], dtype=object)
    return pd.Series(pd.util.hash_array(normalized, categorize=False), index=table.index)
