"""Describe the result of a validation: as JSON, in one line, and as the message of a failure."""

import unicodedata
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from atnet.data.check_results import DataCheckResult
from atnet.data.data_checks import QUARANTINED_FRACTION
from atnet.data.reader import SourceFile
from atnet.data.validation import ValidationResult
from atnet.errors import DataContractError

MAX_REASONS = 3
"""Reasons for quarantine listed in a line."""
MAX_LABELS = 5
"""Labels listed in a message."""
BOUNDS = {"min_value": "at least", "max_value": "at most"}


def quality_report(result: ValidationResult, source: SourceFile) -> dict[str, Any]:
    """Return the numbers of a validation, ready for JSON."""
    statistics = result.statistics
    return {
        "source": source.describe(),
        "rows": {
            "read": statistics.read,
            "valid": statistics.valid,
            "excluded": sum(result.excluded.values()),
            "quarantined": statistics.quarantined,
            **({"teacher_only": statistics.teacher_only} if statistics.teacher_only else {}),
        },
        "excluded_by_rule": result.excluded,
        "quarantined_by_reason": {row.check.name: int(row.observed) for row in result.row_results if row.is_critical},
        "quarantined_by_split": result.quarantined_by_split,
        "cut_texts": {"rows": result.cut.rows, "by_split": result.cut.by_split},
        "labels": statistics.labels,
        "row_checks": [_describe(row, "failing_rows") for row in result.row_results],
        "table_checks": [_describe(number, "observed") for number in result.table_results],
        "failed": [failure.check.name for failure in result.failed],
        "warnings": [warning.check.name for warning in result.warnings],
        "notes": list(notes(result, source)),
    }


def notes(result: ValidationResult, source: SourceFile) -> Iterator[str]:
    """Yield what a person should look at although the checks may pass."""
    if source.line_breaks:
        yield (
            f"{source.rows:,} rows come from {source.lines:,} lines: {source.line_breaks:,} line breaks are inside "
            "quoted cells."
        )
    if source.quoting == "none":
        yield "the file is read without quoting: quotes are part of the texts."
    yield from source.warnings
    for folded in result.folded:
        # Unicode forms print alike.
        is_form = unicodedata.normalize("NFC", folded.spelling) == folded.label
        spelling = ascii(folded.spelling) if is_form else repr(folded.spelling)
        yield f"{folded.rows:,} labels {spelling} count as {folded.label!r}: they look the same."
    yield from result.label_warnings
    if result.cut.rows:
        where = f" ({_counts(result.cut.by_split)})" if result.cut.by_split else ""
        yield (
            f"{result.cut.rows:,} texts are longer than validate.text_characters or validate.text_words allow and were "
            f"cut to that length{where}."
        )


def summarize(result: ValidationResult, source: SourceFile) -> str:
    """Return the outcome in one line, and a line for each note."""
    statistics = result.statistics
    excluded = "".join(f", {rows:,} excluded by {rule}" for rule, rows in result.excluded.items())
    line = (
        f"{statistics.read:,} rows read, {statistics.valid:,} valid{teacher_only(result)}{excluded}, "
        f"{statistics.quarantined:,} quarantined"
    )
    if statistics.quarantined:
        line += f" ({top_reasons(result)})"
    if result.warnings:
        line += f"; warnings: {'; '.join(describe_warnings(result))}"
    return "\n".join([line, *(f"  note: {note}" for note in notes(result, source))])


def teacher_only(result: ValidationResult) -> str:
    """Return how many rows only the teacher labels, to continue a sentence; empty if there are none."""
    rows = result.statistics.teacher_only
    return f", {rows:,} labeled by the teacher only" if rows else ""


def top_reasons(result: ValidationResult) -> str:
    """Return the most frequent reasons for quarantine with their rows, and the rows of each official split."""
    reasons = result.quarantine_reasons
    listed = ", ".join(f"{row.check.name} {int(row.observed):,}" for row in reasons[:MAX_REASONS])
    listed += ", …" if len(reasons) > MAX_REASONS else ""
    return f"{listed}; {_counts(result.quarantined_by_split)}" if result.quarantined_by_split else listed


def describe_warnings(result: ValidationResult) -> list[str]:
    """Return each failed check that is only reported, with its numbers."""
    rows = [f"{row.check.name} in {int(row.observed):,} rows" for row in result.row_results if row.is_warning]
    return rows + [_describe_table_warning(check, result) for check in result.table_results if check.is_warning]


def require_passed(result: ValidationResult, report_path: Path) -> None:
    """Stop the pipeline if a critical table check failed.

    Raises:
        DataContractError: with each failed check, its number and limit, and the path of the report.
    """
    if not result.failed:
        return
    raise DataContractError(
        f"{describe_failures(result)}. See {report_path} and quarantine.parquet next to it. "
        "Fix the data, or change the limits under validate in params.yaml."
    )


def describe_failures(result: ValidationResult) -> str:
    """Return the failed table checks with their numbers, limits and what they name."""
    failures = "; ".join(_describe_failure(failure, result) for failure in result.failed)
    return f"{len(result.failed)} of {len(result.table_results)} table checks failed: {failures}"


def _describe(result: DataCheckResult, observed: str) -> dict[str, Any]:
    check = result.check
    described = {
        "name": check.name,
        "severity": check.severity,
        "description": check.description,
        "limit": check.limit,
    }
    return {**described, "passed": result.passed, observed: result.observed_value or result.observed}


def _describe_table_warning(warning: DataCheckResult, result: ValidationResult) -> str:
    details = "; ".join(part for part in (_limit(warning), _details(warning, result)) if part)
    return f"{warning.check.name} {warning.observed_value or f'{warning.observed:.4g}'} ({details})"


def _counts(rows: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in rows.items())


def _limit(result: DataCheckResult) -> str:
    if result.check.arguments is not None:
        return result.check.arguments
    return " and ".join(f"{BOUNDS[name]} {value:g}" for name, value in result.check.limit.items())


def _describe_failure(failure: DataCheckResult, result: ValidationResult) -> str:
    details = _details(failure, result)
    if failure.check.arguments is not None:
        observed = failure.observed_value or f"{failure.observed:.4g}"
        return f"{failure.check.name} observed {observed}, expected {_limit(failure)}"
    described = f"{failure.check.name} is {failure.observed:.4g}, allowed {_limit(failure)}"
    return f"{described} ({details})" if details else described


def _details(failure: DataCheckResult, result: ValidationResult) -> str:
    """Return what a failed check is about: the reasons for quarantine, or the labels."""
    labels = result.statistics.labels
    if failure.check.name == QUARANTINED_FRACTION:
        return _quarantine_details(result)
    counted = {"duplicates": result.statistics.duplicates, "conflicting_labels": result.statistics.conflicting}
    if failure.check.name in counted:
        return f"{counted[failure.check.name]:,} of {result.statistics.valid:,} rows"
    if failure.check.name == "label_count":
        return ", ".join(f"only {label!r}" for label, rows in labels.items() if rows)
    if failure.check.name in ("rows_per_label", "class_balance") and failure.check.min_value is not None:
        scale = max(result.statistics.valid, 1) if failure.check.name == "class_balance" else 1
        rare = sorted((rows, label) for label, rows in labels.items() if rows / scale < failure.check.min_value)
        listed = ", ".join(f"{label!r}: {rows:,} rows" for rows, label in rare[:MAX_LABELS])
        return listed + (f" and {len(rare) - MAX_LABELS} more labels" if len(rare) > MAX_LABELS else "")
    return ""


def _quarantine_details(result: ValidationResult) -> str:
    reasons = result.quarantine_reasons
    counts = ", ".join(f"{row.check.name} in {int(row.observed):,} rows" for row in reasons)
    # Most repeated ids come from a column that does not identify rows, and one setting fixes that.
    if reasons[0].check.name == "unique_id":
        return f"{counts}; data.columns.id: null numbers the rows"
    if reasons[0].check.name == "label_in_set":
        values = dict.fromkeys(str(label) for label in result.examples["label_in_set"]["label"])
        return f"{counts}; labels that are not allowed: {', '.join(map(repr, values))}"
    return counts
