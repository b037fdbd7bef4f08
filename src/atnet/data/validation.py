"""Part good rows from bad ones and judge the table: labels, row checks, rows left out by rule, table checks."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from atnet.config import ValidateConfig
from atnet.data.data_checks import BAD_FRACTION, row_checks, table_checks
from atnet.data.expectations import CheckOutcome, Judge
from atnet.data.label_mapping import check_label_settings, expected_labels, map_labels
from atnet.data.row_statistics import TableCounts, count_table, row_frame
from atnet.errors import DataContractError
from atnet.schema import ID, LABEL, TEXT


@dataclass(frozen=True, slots=True)
class ValidationResult:
    """The parted rows and every verdict."""

    kept: pd.DataFrame
    """Canonical table with the final labels."""
    quarantine: pd.DataFrame
    """id, text, label (as found), row (position in the file, from 1), reasons (names of checks)."""
    left_out: dict[str, int]
    """Rows left out, by rule."""
    counts: TableCounts
    rows: list[CheckOutcome]
    table: list[CheckOutcome]

    @property
    def failed(self) -> list[CheckOutcome]:
        """List the table checks whose breach stops the pipeline."""
        return [verdict for verdict in self.table if _broken(verdict, "critical")]

    @property
    def warnings(self) -> list[CheckOutcome]:
        """List the broken checks that are only reported."""
        return [verdict for verdict in (*self.rows, *self.table) if _broken(verdict, "warning")]


def _broken(verdict: CheckOutcome, severity: str) -> bool:
    return verdict.check.severity == severity and not verdict.passed


def validate_table(table: pd.DataFrame, config: ValidateConfig, judge: Judge) -> ValidationResult:
    """DataCheck a canonical table whose index is the rows' position.

    A row that breaks a critical row check is quarantined with all its reasons, whether a rule leaves it out or not.

    Args:
        table: the rows as they came in.
        config: what they must keep.
        judge: keeps both suites' results, for `Judge.pages`.

    Raises:
        ConfigurationError: if the label settings contradict each other.
    """
    check_label_settings(config)
    labeled = map_labels(table, config)
    rows = judge.rows(row_frame(labeled.table, labeled.left_out), row_checks(config))
    reasons = _reasons(rows, table.index)
    bad, ruled_out = reasons.notna(), labeled.left_out.notna()
    kept = labeled.table[~bad & ~ruled_out]
    labels = expected_labels(config, list(labeled.table[LABEL].dropna().unique()))
    counts = count_table(kept, labels, read=len(table), quarantined=int(bad.sum()))
    return ValidationResult(
        kept=kept.reset_index(drop=True),
        quarantine=_quarantine(table[bad], reasons[bad]),
        left_out={str(rule): int(n) for rule, n in labeled.left_out[~bad].value_counts().sort_index().items()},
        counts=counts,
        rows=rows,
        table=judge.table(counts.summary(), table_checks(config)),
    )


def _reasons(verdicts: Sequence[CheckOutcome], index: pd.Index) -> pd.Series:
    reasons = pd.Series(None, index=index, dtype="str")
    for verdict in verdicts:
        if _broken(verdict, "critical"):
            rows = pd.Index(verdict.rows)
            reasons.loc[rows] = (reasons.loc[rows] + "; ").fillna("") + verdict.check.name
    return reasons


def _quarantine(bad: pd.DataFrame, reasons: pd.Series) -> pd.DataFrame:
    found = bad[LABEL] if LABEL in bad else pd.Series(None, index=bad.index, dtype="str")
    frame = pd.DataFrame({ID: bad[ID], TEXT: bad[TEXT], LABEL: found, "row": bad.index, "reasons": reasons})
    return frame.reset_index(drop=True)


def report(validated: ValidationResult) -> dict[str, Any]:
    """Put the numbers together, ready for JSON."""
    counts = validated.counts
    return {
        "rows": {
            "read": counts.read,
            "kept": counts.kept,
            "left_out": sum(validated.left_out.values()),
            "quarantined": counts.quarantined,
        },
        "left_out_by_rule": validated.left_out,
        "quarantined_by_reason": {v.check.name: int(v.observed) for v in validated.rows if _broken(v, "critical")},
        "labels": counts.labels,
        "row_checks": [_told(verdict, "rows_breaking_it") for verdict in validated.rows],
        "table_checks": [_told(verdict, "observed") for verdict in validated.table],
        "failed": [verdict.check.name for verdict in validated.failed],
        "warnings": [verdict.check.name for verdict in validated.warnings],
    }


def _told(verdict: CheckOutcome, observed: str) -> dict[str, Any]:
    check = verdict.check
    told = {"name": check.name, "severity": check.severity, "meaning": check.meaning, "limit": check.limit}
    return {**told, "passed": verdict.passed, observed: verdict.observed}


def summary(validated: ValidationResult) -> str:
    """Say the outcome in one line."""
    counts = validated.counts
    rules = "".join(f", {rows:,} left out by {rule}" for rule, rows in validated.left_out.items())
    warned = ", ".join(verdict.check.name for verdict in validated.warnings)
    line = f"{counts.read:,} rows read, {counts.kept:,} kept{rules}, {counts.quarantined:,} quarantined"
    return f"{line}; warnings: {warned}" if warned else line


def require_passed(validated: ValidationResult, report_path: Path) -> None:
    """Stop the pipeline if a critical check failed.

    Raises:
        DataContractError: with each failed check, its number and limit, and the report's path.
    """
    if not validated.failed:
        return
    told = "; ".join(_failure(verdict, validated.rows) for verdict in validated.failed)
    raise DataContractError(
        f"{len(validated.failed)} of {len(validated.table)} table checks failed: {told}. "
        f"See {report_path} and quarantine.parquet beside it. "
        "Mend the data, or the limits under validate in params.yaml."
    )


def _failure(verdict: CheckOutcome, rows: Sequence[CheckOutcome]) -> str:
    words = {"min_value": "at least", "max_value": "at most"}
    limit = " and ".join(f"{words[name]} {value:g}" for name, value in verdict.check.limit.items())
    told = f"{verdict.check.name} is {verdict.observed:.4g}, allowed {limit}"
    if verdict.check.name != BAD_FRACTION:
        return told
    broken = sorted((row for row in rows if _broken(row, "critical")), key=lambda row: -row.observed)
    # Ids that are not the rows' own are the usual cause of many repeated ones, and one line mends it.
    hint = "; data.columns.id: null names rows by position" if broken[0].check.name == "unique_id" else ""
    return f"{told} ({', '.join(f'{row.check.name} in {int(row.observed):,} rows' for row in broken)}{hint})"
