"""Separate valid rows from invalid ones and check the table: labels, row checks, exclusion rules, table checks."""

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from atnet.config import ValidateConfig
from atnet.data.check_results import CheckRunner, DataCheckResult
from atnet.data.data_checks import row_checks, table_checks
from atnet.data.label_checks import check_label_map, check_label_settings, label_warnings
from atnet.data.label_mapping import FoldedLabel, expected_labels, fold_label_settings, fold_labels, map_labels
from atnet.data.long_texts import CutTexts, cut_long_texts
from atnet.data.row_statistics import row_frame
from atnet.data.table_statistics import TableStatistics, table_statistics
from atnet.schema import ID, LABEL, SPLIT, TEXT

MAX_EXAMPLES = 5
"""Failing rows kept as examples for each check."""


@dataclass(frozen=True, slots=True)
class ValidationResult:
    """The rows by outcome, and the result of each check."""

    valid: pd.DataFrame
    """Canonical table with the final labels."""
    quarantine: pd.DataFrame
    """id, text, label (as in the file), row (position in the file, from 1), reasons (names of checks)."""
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
    cut: CutTexts
    """The texts that were cut because they are longer than the limits."""
    folded: tuple[FoldedLabel, ...]
    """Spellings of labels that were folded into one label."""
    label_warnings: tuple[str, ...]
    """What is probably wrong with the labels."""

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


def validate_table(table: pd.DataFrame, config: ValidateConfig, runner: CheckRunner) -> ValidationResult:
    """Check a canonical table whose index is the rows' position in the file.

    A row that fails a critical row check is quarantined with all its reasons, even if a rule excludes it as well.

    Args:
        table: the rows as they were read.
        config: the checks and their limits.
        runner: evaluates the checks.

    Raises:
        ConfigurationError: if the label settings contradict each other.
        DataContractError: if no row has a key of the label map.
    """
    config = _checked_settings(table, config)
    cut = cut_long_texts(table, config)
    labeled = map_labels(cut.table, config)
    measured = row_frame(labeled.table, labeled.excluded_by)
    row_results = runner.check_rows(measured, row_checks(config))
    reasons = _quarantine_reasons(row_results, table.index)
    quarantined = reasons.notna()
    is_valid = ~quarantined & labeled.excluded_by.isna()
    valid, present = labeled.table[is_valid], _counts(labeled.table[LABEL])
    expected = expected_labels(config, list(present))
    statistics = table_statistics(valid, expected, read=len(table), quarantined=int(quarantined.sum()))
    return ValidationResult(
        valid=valid.reset_index(drop=True),
        quarantine=_rows_as_read(table[quarantined]).assign(reasons=reasons[quarantined].reset_index(drop=True)),
        excluded=dict(sorted(_counts(labeled.excluded_by[~quarantined]).items())),
        lengths=measured.loc[is_valid, ["characters", "words"]].astype("int64"),
        statistics=statistics,
        row_results=row_results,
        table_results=runner.check_table(statistics.values(), table_checks(config)),
        examples=_examples(table, row_results),
        quarantined_by_split=_by_split(table[quarantined]),
        cut=cut,
        folded=labeled.folded,
        label_warnings=tuple(label_warnings(present, config)),
    )


def _checked_settings(table: pd.DataFrame, config: ValidateConfig) -> ValidateConfig:
    """Return the label settings, folded like the labels, after checking them against each other and the labels."""
    config = fold_label_settings(config)
    check_label_settings(config)
    if config.label_map and LABEL in table:
        check_label_map(fold_labels(table[LABEL])[0], config.label_map)
    return config


def _quarantine_reasons(results: Sequence[DataCheckResult], index: pd.Index) -> pd.Series:
    """Return the names of the critical checks that each row fails, separated by "; "; null for none."""
    reasons = pd.Series(None, index=index, dtype="str")
    for result in results:
        if result.is_critical:
            rows = pd.Index(result.failing_rows)
            reasons.loc[rows] = (reasons.loc[rows] + "; ").fillna("") + result.check.name
    return reasons


def _by_split(rows: pd.DataFrame) -> dict[str, int]:
    return _counts(rows[SPLIT]) if SPLIT in rows else {}


def _counts(values: pd.Series) -> dict[str, int]:
    """Count each value that is not null, the most frequent first."""
    return {str(value): int(rows) for value, rows in values.value_counts().items()}


def _examples(table: pd.DataFrame, results: Sequence[DataCheckResult]) -> dict[str, pd.DataFrame]:
    return {
        result.check.name: _rows_as_read(table.loc[list(result.failing_rows[:MAX_EXAMPLES])])
        for result in results
        if not result.passed
    }


def _rows_as_read(rows: pd.DataFrame) -> pd.DataFrame:
    """Return id, text and label as in the file, and the position of each row."""
    label = rows[LABEL] if LABEL in rows else pd.Series(None, index=rows.index, dtype="str")
    frame = pd.DataFrame({ID: rows[ID], TEXT: rows[TEXT], LABEL: label, "row": rows.index})
    return frame.reset_index(drop=True)
