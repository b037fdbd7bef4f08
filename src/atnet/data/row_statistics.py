"""Measure what the checks judge: numbers per row of a batch, and counts over the whole table."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from atnet.schema import ID, LABEL, TEXT, normalize_text

CONTROL_CHARACTERS = "[\\x00-\\x08\\x0B\\x0C\\x0E-\\x1F\\x7F-\\x{9F}]"
"""RE2: everything of Unicode's class Cc but tab, newline and carriage return."""
BATCH_ROWS = 100_000


def measure_rows(table: pd.DataFrame) -> pd.DataFrame:
    """Measure each text of a batch; a row without a text has nulls.

    Returns:
        Same index; `characters`, `words` (split at white space) and, per character, `replacement_fraction` and
        `nonprinting_fraction`.
    """
    texts = pa.array(table[TEXT], pa.large_string())
    characters = pc.utf8_length(texts)
    # No text has a part that is more than it; 1 keeps the empty text from dividing by zero.
    divisor = pc.cast(pc.max_element_wise(characters, 1, skip_nulls=False), pa.float64())
    measures = {
        "characters": characters,
        "words": pa.array([None if text is None else len(text.split()) for text in texts.to_pylist()], pa.int64()),
        "replacement_fraction": pc.divide(pc.count_substring(texts, "\ufffd"), divisor),
        "nonprinting_fraction": pc.divide(pc.count_substring_regex(texts, CONTROL_CHARACTERS), divisor),
    }
    return pd.DataFrame({name: values.to_pandas().to_numpy() for name, values in measures.items()}, index=table.index)


def text_keys(table: pd.DataFrame) -> pd.Series:
    """Give texts that are the same after normalising the same 64-bit key."""
    normalized = np.array([normalize_text(text) for text in table[TEXT]], dtype=object)
    return pd.Series(pd.util.hash_array(normalized, categorize=False), index=table.index)


def in_batches(table: pd.DataFrame) -> list[pd.DataFrame]:
    """Part the table into batches, so that what is made per row never stands whole in memory."""
    return [table.iloc[start : start + BATCH_ROWS] for start in range(0, max(len(table), 1), BATCH_ROWS)]


def earlier_ids(ids: pd.Series) -> pd.Series:
    """Count for each row the earlier rows of the whole table that have its id."""
    if ids.is_unique:
        return pd.Series(0, index=ids.index)
    return ids.groupby(ids, sort=False).cumcount()


@dataclass(frozen=True, slots=True)
class TableCounts:
    """What the table checks judge, in rows."""

    read: int
    quarantined: int
    labels: dict[str, int]
    """Kept rows of every expected label, zero included."""
    duplicates: int
    """Kept rows whose normalized text stood before."""
    conflicting: int
    """Kept rows whose normalized text also stands under another label."""

    @property
    def kept(self) -> int:
        """Count the rows that go on."""
        return sum(self.labels.values())

    def summary(self) -> dict[str, float]:
        """Give each table check its number."""
        kept, rarest = max(self.kept, 1), min(self.labels.values(), default=0)
        return {
            "bad_fraction": self.quarantined / max(self.read, 1),
            "labels_found": sum(rows > 0 for rows in self.labels.values()),
            "mean_rows_per_label": self.kept / max(len(self.labels), 1),
            "duplicates": self.duplicates / kept,
            "conflicting_labels": self.conflicting / kept,
            "class_balance": rarest / kept,
            "rows_per_label": rarest,
        }


def count_table(kept: pd.DataFrame, labels: Sequence[str], *, read: int, quarantined: int) -> TableCounts:
    """Count the kept rows: per label, duplicates and conflicts.

    Args:
        kept: canonical rows that go on.
        labels: every label that should be there.
        read: rows of the file.
        quarantined: rows set aside as bad.
    """
    keys = pd.concat([text_keys(batch) for batch in in_batches(kept)])
    pairs = pd.DataFrame({"key": keys, "label": kept[LABEL]}).drop_duplicates()
    contested = pairs["key"][pairs["key"].duplicated()]
    found = kept[LABEL].value_counts()
    return TableCounts(
        read=read,
        quarantined=quarantined,
        labels={label: int(found.get(label, 0)) for label in sorted({*labels, *found.index})},
        duplicates=int(keys.duplicated().sum()),
        conflicting=int(keys.isin(contested).sum()),
    )


def row_frame(table: pd.DataFrame, left_out: pd.Series) -> pd.DataFrame:
    """Put together what the row checks look at, one row per row of the table."""
    measured = pd.concat([measure_rows(batch) for batch in in_batches(table)])
    return measured.assign(
        text=table[TEXT], label=table[LABEL], earlier_ids=earlier_ids(table[ID]), left_out=left_out.notna()
    )
