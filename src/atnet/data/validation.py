"""Separate valid rows from invalid ones and check the table: labels, row checks, exclusion rules, table checks."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from atnet.config import ValidateConfig
from atnet.data.data_checks import QUARANTINED_FRACTION, row_checks, table_checks
from atnet.data.expectations import DataCheckResult, ExpectationRunner
from atnet.data.label_checks import check_label_settings
from atnet.data.label_mapping import expected_labels, map_labels
from atnet.data.row_statistics import row_frame
from atnet.data.table_statistics import TableStatistics, table_statistics
from atnet.errors import DataContractError
from atnet.schema import ID, LABEL, TEXT

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

    @property
    def failed(self) -> list[DataCheckResult]:
        """Failed table checks that stop the pipeline."""
        return [result for result in self.table_results if _failed(result, "critical")]

    @property
    def warnings(self) -> list[DataCheckResult]:
        """Failed checks that are only reported."""
        return [result for result in (*self.row_results, *self.table_results) if _failed(result, "warning")]


def _failed(result: DataCheckResult, severity: str) -> bool:
    return result.check.severity == severity and not result.passed


def validate_table(table: pd.DataFrame, config: ValidateConfig, runner: ExpectationRunner) -> ValidationResult:
    """Check a canonical table whose index is the rows' position in the file.

    A row that fails a critical row check is quarantined with all its reasons, even if a rule excludes it as well.

    Args:
        table: the rows as they were read.
        config: the checks and their limits.
        runner: runs both suites; its results are rendered as Data Docs.

    Raises:
        ConfigurationError: if the label settings contradict each other.
    """
    check_label_settings(config)
    labeled = map_labels(table, config)
    measured = row_frame(labeled.table, labeled.excluded_by)
    row_results = runner.check_rows(measured, row_checks(config))
    reasons = _quarantine_reasons(row_results, table.index)
    quarantined, excluded = reasons.notna(), labeled.excluded_by.notna()
    is_valid = ~quarantined & ~excluded
    valid = labeled.table[is_valid]
    labels = expected_labels(config, list(labeled.table[LABEL].dropna().unique()))
    statistics = table_statistics(valid, labels, read=len(table), quarantined=int(quarantined.sum()))
    excluded_counts = labeled.excluded_by[~quarantined].value_counts().sort_index()
    return ValidationResult(
        valid=valid.reset_index(drop=True),
        quarantine=_rows_as_read(table[quarantined]).assign(reasons=reasons[quarantined].reset_index(drop=True)),
        excluded={str(rule): int(rows) for rule, rows in excluded_counts.items()},
        lengths=measured.loc[is_valid, ["characters", "words"]].astype("int64"),
        statistics=statistics,
        row_results=row_results,
        table_results=runner.check_table(statistics.values(), table_checks(config)),
        examples=_examples(table, row_results),
    )


def _quarantine_reasons(results: Sequence[DataCheckResult], index: pd.Index) -> pd.Series:
    """Return the names of the critical checks that each row fails, separated by "; "; null for none."""
    reasons = pd.Series(None, index=index, dtype="str")
    for result in results:
        if _failed(result, "critical"):
            rows = pd.Index(result.failing_rows)
            reasons.loc[rows] = (reasons.loc[rows] + "; ").fillna("") + result.check.name
    return reasons


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


def validation_report(result: ValidationResult) -> dict[str, Any]:
    """Return the numbers of a validation, ready for JSON."""
    statistics = result.statistics
    return {
        "rows": {
            "read": statistics.read,
            "valid": statistics.valid,
            "excluded": sum(result.excluded.values()),
            "quarantined": statistics.quarantined,
        },
        "excluded_by_rule": result.excluded,
        "quarantined_by_reason": {
            row.check.name: int(row.observed) for row in result.row_results if _failed(row, "critical")
        },
        "labels": statistics.labels,
        "row_checks": [_describe(row, "failing_rows") for row in result.row_results],
        "table_checks": [_describe(number, "observed") for number in result.table_results],
        "failed": [failure.check.name for failure in result.failed],
        "warnings": [warning.check.name for warning in result.warnings],
    }


def _describe(result: DataCheckResult, observed: str) -> dict[str, Any]:
    check = result.check
    described = {
        "name": check.name,
        "severity": check.severity,
        "description": check.description,
        "limit": check.limit,
    }
    return {**described, "passed": result.passed, observed: result.observed}


def summarize(result: ValidationResult) -> str:
    """Return the outcome in one line."""
    statistics = result.statistics
    excluded = "".join(f", {rows:,} excluded by {rule}" for rule, rows in result.excluded.items())
    line = (
        f"{statistics.read:,} rows read, {statistics.valid:,} valid{excluded}, {statistics.quarantined:,} quarantined"
    )
    warnings = ", ".join(warning.check.name for warning in result.warnings)
    return f"{line}; warnings: {warnings}" if warnings else line


def require_passed(result: ValidationResult, report_path: Path) -> None:
    """Stop the pipeline if a critical table check failed.

    Raises:
        DataContractError: with each failed check, its number and limit, and the path of the report.
    """
    if not result.failed:
        return
    failures = "; ".join(_describe_failure(failure, result.row_results) for failure in result.failed)
    raise DataContractError(
        f"{len(result.failed)} of {len(result.table_results)} table checks failed: {failures}. "
        f"See {report_path} and quarantine.parquet beside it. "
        "Fix the data, or change the limits under validate in params.yaml."
    )


def _describe_failure(failure: DataCheckResult, row_results: Sequence[DataCheckResult]) -> str:
    words = {"min_value": "at least", "max_value": "at most"}
    limit = " and ".join(f"{words[name]} {value:g}" for name, value in failure.check.limit.items())
    described = f"{failure.check.name} is {failure.observed:.4g}, allowed {limit}"
    if failure.check.name != QUARANTINED_FRACTION:
        return described
    reasons = sorted((row for row in row_results if _failed(row, "critical")), key=lambda row: -row.observed)
    # Most repeated ids come from a column that does not identify rows, and one setting fixes that.
    hint = "; data.columns.id: null numbers the rows" if reasons[0].check.name == "unique_id" else ""
    counts = ", ".join(f"{row.check.name} in {int(row.observed):,} rows" for row in reasons)
    return f"{described} ({counts}{hint})"
