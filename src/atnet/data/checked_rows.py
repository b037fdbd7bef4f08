"""Validate the rows of a batch: a function of the batch alone, whose results are merged over all batches.

The order of work in a batch: cut long texts, map labels, label the rest by the teacher, measure the rows, check them,
divide them.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from atnet.config import ValidateConfig
from atnet.data.data_checks import DataCheck, row_checks
from atnet.data.label_mapping import FoldedLabel, map_labels
from atnet.data.long_texts import cut_long_texts
from atnet.data.row_statistics import row_frame
from atnet.data.row_tallies import RowTallies, check_frame
from atnet.data.table_statistics import text_keys
from atnet.data.teacher import label_by_teacher
from atnet.schema import ID, LABEL, SPLIT, TEXT, labeled_rows

MAX_EXAMPLES = 5
"""Failing rows kept as examples for each check."""

Counts = Counter[str]


@dataclass(frozen=True, slots=True)
class BatchFacts:
    """Facts about the whole table that a batch needs."""

    earlier_ids: pd.Series
    """Earlier rows with the same id, for each row of the batch."""
    own_failing: Mapping[DataCheck, Sequence[int]]
    """Rows of the table that do not meet the user's own expectations."""


@dataclass(slots=True)
class RowCounts:
    """What is counted in a batch; `add` merges later batches."""

    rows: int
    quarantined: int
    labels: Counts
    """Rows of each final label, invalid rows included, in the order of their first occurrence; without rows that only
    the teacher labels."""
    labels_by_split: dict[str, set[str]]
    """These labels by official split; empty without a split column."""
    teacher_only: int
    """Valid rows that only the teacher labels."""
    excluded: Counts
    """Rows excluded by each rule, without quarantined ones."""
    quarantined_by_split: Counts
    cut: Counts
    """Cut texts by official split; under "" without a split column."""
    folded: Counter[tuple[str, str]]
    """Rows of each spelling and label, where they differ."""
    tallies: RowTallies
    examples: dict[str, pd.DataFrame]
    """The first failing rows of each row check as they were read: id, text, label, row."""

    def add(self, other: "RowCounts") -> None:
        """Add the counts of later rows."""
        self.rows += other.rows
        self.quarantined += other.quarantined
        self.teacher_only += other.teacher_only
        for mine, its in (
            (self.labels, other.labels),
            (self.excluded, other.excluded),
            (self.quarantined_by_split, other.quarantined_by_split),
            (self.cut, other.cut),
        ):
            mine.update(its)
        for split, labels in other.labels_by_split.items():
            self.labels_by_split.setdefault(split, set()).update(labels)
        self.folded.update(other.folded)
        self.tallies.add(other.tallies)
        for name, rows in other.examples.items():
            known = self.examples.get(name)
            self.examples[name] = rows if known is None else pd.concat([known, rows]).head(MAX_EXAMPLES)


@dataclass(frozen=True, slots=True)
class CheckedRows:
    """The rows of a batch by outcome."""

    valid: pd.DataFrame
    """Canonical rows with the final labels."""
    labeled: pd.Series
    """The labels of the valid rows, without those that only the teacher labels."""
    quarantine: pd.DataFrame
    """id, text, label (as in the file), row (position in the file, from 1), reasons (names of checks)."""
    counts: RowCounts
    lengths: pd.DataFrame
    """Characters and words of each valid text, int32."""
    keys: NDArray[np.uint64]
    """Key of the text of each row in `labeled`."""


def check_batch(batch: pd.DataFrame, config: ValidateConfig, facts: BatchFacts) -> CheckedRows:
    """Validate canonical rows, indexed by their position in the file.

    A row that fails a critical row check is quarantined with all its reasons, even if a rule excludes it as well.

    Args:
        config: the settings, labels folded.
        facts: what the batch needs to know of the whole table.
    """
    cut = cut_long_texts(batch, config)
    labeled = label_by_teacher(map_labels(cut.table, config))
    measured = row_frame(labeled.table, labeled.excluded_by, facts.earlier_ids)
    checked = check_frame(measured, row_checks(config))
    failing = {check: checked.failing[check.name] for check in row_checks(config)} | _own_failing(batch, facts)
    reasons = quarantine_reasons(failing, batch.index)
    quarantined = reasons.notna()
    is_valid = ~quarantined & labeled.excluded_by.isna()
    valid = labeled.table[is_valid]
    valid_labeled, own_labels = labeled_rows(valid), labeled_rows(labeled.table)
    counts = RowCounts(
        rows=len(batch),
        quarantined=int(quarantined.sum()),
        labels=_count(own_labels[LABEL]),
        labels_by_split=_labels_by_split(own_labels),
        teacher_only=len(valid) - len(valid_labeled),
        excluded=_count(labeled.excluded_by[~quarantined]),
        quarantined_by_split=_count(batch[SPLIT][quarantined]) if SPLIT in batch else Counter(),
        cut=Counter(cut.by_split if SPLIT in batch else {"": cut.rows}),
        folded=_folded(labeled.folded),
        tallies=checked.tallies,
        examples=_examples(batch, failing),
    )
    return CheckedRows(
        valid=valid,
        labeled=valid_labeled[LABEL],
        quarantine=rows_as_read(batch[quarantined]).assign(reasons=reasons[quarantined].reset_index(drop=True)),
        counts=counts,
        lengths=measured.loc[is_valid, ["characters", "words"]].astype("int32"),
        keys=text_keys(valid_labeled).to_numpy(),
    )


def _labels_by_split(table: pd.DataFrame) -> dict[str, set[str]]:
    if SPLIT not in table:
        return {}
    pairs = table[[SPLIT, LABEL]].dropna().drop_duplicates()
    return {str(split): set(labels) for split, labels in pairs.groupby(SPLIT)[LABEL]}


def _own_failing(batch: pd.DataFrame, facts: BatchFacts) -> dict[DataCheck, pd.Series]:
    return {check: pd.Series(batch.index.isin(rows), index=batch.index) for check, rows in facts.own_failing.items()}


def _examples(batch: pd.DataFrame, failing: Mapping[DataCheck, pd.Series]) -> dict[str, pd.DataFrame]:
    return {check.name: rows_as_read(batch[rows].head(MAX_EXAMPLES)) for check, rows in failing.items() if rows.any()}


def quarantine_reasons(failing: Mapping[DataCheck, pd.Series], index: pd.Index) -> pd.Series:
    """Return the names of the critical checks that each row fails, separated by "; "; null for none."""
    reasons = pd.Series(None, index=index, dtype="str")
    for check, rows in failing.items():
        if check.severity == "critical" and rows.any():
            reasons[rows] = (reasons[rows] + "; ").fillna("") + check.name
    return reasons


def rows_as_read(rows: pd.DataFrame) -> pd.DataFrame:
    """Return id, text and label as in the file, and the position of each row."""
    label = rows[LABEL] if LABEL in rows else pd.Series(None, index=rows.index, dtype="str")
    frame = pd.DataFrame({ID: rows[ID], TEXT: rows[TEXT], LABEL: label, "row": rows.index})
    return frame.reset_index(drop=True)


def _folded(labels: Sequence[FoldedLabel]) -> Counter[tuple[str, str]]:
    return Counter({(folded.spelling, folded.label): folded.rows for folded in labels})


def _count(values: pd.Series) -> Counts:
    """Count each value that is not null."""
    return Counter({str(value): int(rows) for value, rows in values.value_counts().items()})
