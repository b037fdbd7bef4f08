"""Separate valid rows from invalid ones and check the table: labels, row checks, exclusion rules, table checks.

Rows are checked in batches (`checked_rows`); the whole table is judged by what was counted in them.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from atnet.config import ValidateConfig
from atnet.data.check_results import CheckRunner, DataCheckResult
from atnet.data.checked_rows import BatchFacts, CheckedRows, RowCounts, check_batch
from atnet.data.data_checks import row_checks, table_checks
from atnet.data.label_checks import LabelOccurrences, check_label_map, check_label_settings, label_warnings
from atnet.data.label_mapping import FoldedLabel, expected_labels, fold_label_settings, fold_labels
from atnet.data.long_texts import CutCounts
from atnet.data.repeated_ids import earlier_ids
from atnet.data.table_statistics import TableStatistics, count_duplicates
from atnet.schema import ID, LABEL


@dataclass(frozen=True, slots=True)
class ValidationResult:
    """The rows by outcome, and the result of each check."""

    excluded: dict[str, int]
    """Rows excluded by each rule."""
    lengths: pd.DataFrame
    """Characters and words of each valid text."""
    statistics: TableStatistics
    row_results: list[DataCheckResult]
    table_results: list[DataCheckResult]
    examples: dict[str, pd.DataFrame]
    """The first failing rows of each failed row check: id, text, label, row."""
    quarantined_by_split: dict[str, int]
    """Quarantined rows of each official split; empty without a split column."""
    cut: CutCounts
    """The texts that were cut because they are longer than the limits."""
    folded: tuple[FoldedLabel, ...]
    """Spellings of labels that were folded into one label."""
    label_warnings: tuple[str, ...]
    """What is probably wrong with the labels."""
    labels: LabelOccurrences
    """Labels of all rows that have one, invalid rows included."""

    @property
    def failed(self) -> list[DataCheckResult]:
        """Failed table checks that stop the pipeline."""
        return [result for result in self.table_results if result.is_critical]

    @property
    def warnings(self) -> list[DataCheckResult]:
        """Failed checks that are only reported."""
        return [result for result in (*self.row_results, *self.table_results) if result.is_warning]

    @property
    def quarantine_reasons(self) -> list[DataCheckResult]:
        """Row checks that quarantined rows, the most frequent first."""
        return sorted((row for row in self.row_results if row.is_critical), key=lambda row: -row.observed)


@dataclass(frozen=True, slots=True)
class ValidatedTable(ValidationResult):
    """The result of a table in memory, with its rows."""

    valid: pd.DataFrame
    """Canonical table with the final labels."""
    quarantine: pd.DataFrame
    """id, text, label (as in the file), row (position in the file, from 1), reasons (names of checks)."""


class ValidationTotals:
    """Merges what was counted in the batches of a table; 16 bytes for each valid row."""

    def __init__(self) -> None:
        self._counts: RowCounts | None = None
        self._codes: dict[str, int] = {}
        self._labels: list[np.ndarray] = []
        self._keys: list[np.ndarray] = []
        self._lengths: list[pd.DataFrame] = []

    def add(self, checked: CheckedRows) -> None:
        """Add the next batch."""
        if self._counts is None:
            self._counts = checked.counts
        else:
            self._counts.add(checked.counts)
        positions, names = pd.factorize(checked.labeled)
        codes = np.array([self._codes.setdefault(str(name), len(self._codes)) for name in names], dtype=np.int32)
        self._labels.append(codes[positions])
        self._keys.append(checked.keys)
        self._lengths.append(checked.lengths)

    def result(self, config: ValidateConfig, runner: CheckRunner) -> ValidationResult:
        """Judge the table.

        Args:
            config: the checks and their limits, labels folded.
            runner: judges the checks.
        """
        counts = self._counts
        assert counts is not None, "at least one batch"
        present = _most_frequent_first(counts.labels)
        row_results = runner.judge_rows(counts.tallies, row_checks(config))
        statistics = self._statistics(counts, expected_labels(config, list(present)))
        failed = {result.check.name for result in row_results if not result.passed}
        return ValidationResult(
            excluded=dict(sorted(counts.excluded.items())),
            lengths=pd.concat(self._lengths),
            statistics=statistics,
            row_results=row_results,
            table_results=runner.check_table(statistics.values(), table_checks(config)),
            examples={name: rows.reset_index(drop=True) for name, rows in counts.examples.items() if name in failed},
            quarantined_by_split=_most_frequent_first(counts.quarantined_by_split),
            cut=CutCounts(counts.cut.total(), {name: rows for name, rows in counts.cut.items() if name and rows}),
            folded=tuple(FoldedLabel(*key, rows) for key, rows in sorted(counts.folded.items())),
            label_warnings=tuple(label_warnings(present, config)),
            labels=LabelOccurrences(present, counts.labels_by_split),
        )

    def _statistics(self, counts: RowCounts, expected: Sequence[str]) -> TableStatistics:
        labels = np.concatenate(self._labels)
        rows = dict(zip(self._codes, np.bincount(labels, minlength=len(self._codes)).tolist(), strict=True))
        duplicates = count_duplicates(np.concatenate(self._keys), labels)
        return TableStatistics(
            read=counts.rows,
            quarantined=counts.quarantined,
            teacher_only=counts.teacher_only,
            labels={label: rows.get(label, 0) for label in sorted({*expected, *rows})},
            duplicates=duplicates.repeated,
            conflicting=duplicates.conflicting,
        )


def validate_table(table: pd.DataFrame, config: ValidateConfig, runner: CheckRunner) -> ValidatedTable:
    """Check a canonical table in memory whose index is the rows' position in the file.

    Args:
        table: the rows as they were read.
        config: the checks and their limits.
        runner: judges the checks.

    Raises:
        ConfigurationError: if the label settings contradict each other.
        DataContractError: if no row has a key of the label map.
    """
    counts = fold_labels(table[LABEL])[0].value_counts() if LABEL in table else pd.Series(dtype="int64")
    config = checked_settings({str(label): int(rows) for label, rows in counts.items()}, config)
    checked = check_batch(table, config, BatchFacts(earlier_ids(table[ID]), runner.own_failing_rows()))
    totals = ValidationTotals()
    totals.add(checked)
    result = totals.result(config, runner)
    fields = {name: getattr(result, name) for name in ValidationResult.__dataclass_fields__}
    return ValidatedTable(**fields, valid=checked.valid.reset_index(drop=True), quarantine=checked.quarantine)


def checked_settings(labels: Mapping[str, int], config: ValidateConfig) -> ValidateConfig:
    """Return the label settings, folded like the labels, after checking them against each other and the labels.

    Args:
        labels: rows of each folded label of the file, the most frequent first.
        config: the settings as they are written.

    Raises:
        ConfigurationError: if the label settings contradict each other.
        DataContractError: if no row has a key of the label map.
    """
    config = fold_label_settings(config)
    check_label_settings(config)
    if config.label_map:
        check_label_map(labels, config.label_map)
    return config


def _most_frequent_first(counts: Counter[str]) -> dict[str, int]:
    return dict(sorted(counts.items(), key=lambda item: -item[1]))
