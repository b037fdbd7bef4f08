"""The validation report as one HTML page that needs no network: counts, checks with examples, distributions."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from atnet.config import DataConfig
from atnet.data.check_results import DataCheckResult
from atnet.data.data_checks import DataCheck
from atnet.data.quality_report import notes, teacher_only, top_reasons
from atnet.data.reader import SourceFile
from atnet.data.validation import ValidationResult
from atnet.report.rendering import page_template

MAX_LABELS = 40
"""Labels shown; of more, the most frequent."""
MAX_CHARACTERS = 300
"""Characters shown of an example."""
BINS = 30
"""Bins of the length histogram, without the last one for all longer texts."""
HISTOGRAM_QUANTILE = 0.99
QUANTILES = {"shortest": 0.0, "5%": 0.05, "median": 0.5, "95%": 0.95, "longest": 1.0}


@dataclass(frozen=True, slots=True)
class ExampleRow:
    """A row that failed a check."""

    row: int
    """Position in the file, from 1."""
    row_id: str
    text: str
    cut: bool
    """Whether the text is longer than what is shown."""
    label: str


@dataclass(frozen=True, slots=True)
class CheckLine:
    """One check as the page shows it."""

    name: str
    description: str
    limit: str
    observed: str
    outcome: str
    """passed, failed, warning, or the number of quarantined rows."""
    status: str
    """CSS class of the outcome: right, wrong or warn."""
    examples: list[ExampleRow]


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar of a distribution."""

    name: str
    rows: int
    share: float
    """Share of all valid rows."""
    width: float
    """Length of the bar in percent of the longest."""


def render_validation_page(result: ValidationResult, source: SourceFile, data: DataConfig) -> str:
    """Render the page; the same result gives the same bytes.

    Args:
        result: the checked rows.
        source: how the file was read.
        data: the settings for reading it.
    """
    counts = result.statistics
    return page_template("validation.html", {"count": _count, "percent": _percent}).render(
        data=data,
        source=source,
        counts=counts,
        excluded=result.excluded,
        sentences=list(_sentences(result)),
        notes=list(notes(result, source)),
        row_checks=[_row_check(row, result) for row in result.row_results],
        table_checks=[_table_check(number) for number in result.table_results],
        labels=label_bars(counts.labels),
        hidden_labels=max(len(counts.labels) - MAX_LABELS, 0),
        words=length_bars(result.lengths["words"].to_numpy()),
        quantiles=_quantiles(result.lengths),
    )


def label_bars(labels: dict[str, int]) -> list[Bar]:
    """Return a bar for each label, the most frequent first, at most MAX_LABELS."""
    ordered = sorted(labels.items(), key=lambda item: (-item[1], item[0]))[:MAX_LABELS]
    return _bars(ordered, total=sum(labels.values()))


def length_bars(lengths: np.ndarray) -> list[Bar]:
    """Return a histogram of lengths with bins of equal width; the last bin has all longer texts."""
    if len(lengths) == 0:
        return []
    last = int(np.quantile(lengths, HISTOGRAM_QUANTILE, method="higher"))
    width = max(1, math.ceil(last / BINS))
    bins = last // width + 1
    counts = np.bincount(np.minimum(lengths // width, bins), minlength=bins + 1)
    names = [_bin_name(position * width, width) for position in range(bins)] + [f"over {bins * width - 1:,}"]
    filled = np.flatnonzero(counts)
    shown = range(int(filled[0]), int(filled[-1]) + 1)
    return _bars([(names[position], int(counts[position])) for position in shown], total=len(lengths))


def _bin_name(first: int, width: int) -> str:
    return f"{first:,}" if width == 1 else f"{first:,} to {first + width - 1:,}"


def _bars(rows: list[tuple[str, int]], *, total: int) -> list[Bar]:
    largest = max((count for _, count in rows), default=0)
    return [Bar(name, count, count / max(total, 1), 100 * count / max(largest, 1)) for name, count in rows]


def _sentences(result: ValidationResult) -> Iterator[str]:
    counts = result.statistics
    if result.failed:
        yield f"Validation failed: {_names(result.failed)}. No table was written, so the next stages cannot run."
    else:
        yield f"Validation passed: {counts.valid:,} of {counts.read:,} rows are valid{teacher_only(result)}."
    if counts.quarantined:
        yield f"{counts.quarantined:,} rows were quarantined, most often because of {top_reasons(result)}."
    for rule, rows in result.excluded.items():
        yield f"{rows:,} rows were excluded by the rule {rule}."
    if result.warnings:
        yield f"Warnings, which do not stop the pipeline: {_names(result.warnings)}."


def _names(results: list[DataCheckResult]) -> str:
    return ", ".join(result.check.name for result in results)


def _row_check(result: DataCheckResult, validation: ValidationResult) -> CheckLine:
    rows, read = int(result.observed), validation.statistics.read
    outcome, status = "passed", "right"
    if not result.passed:
        critical = result.check.severity == "critical"
        outcome, status = ("rows quarantined", "wrong") if critical else ("warning", "warn")
    return CheckLine(
        name=result.check.name,
        description=result.check.description,
        limit=_limit(result.check),
        observed=f"{rows:,} ({_percent(rows / max(read, 1))})" if rows else "0",
        outcome=outcome,
        status=status,
        examples=[_example(row) for row in _records(validation.examples.get(result.check.name))],
    )


def _table_check(result: DataCheckResult) -> CheckLine:
    outcome, status = "passed", "right"
    if not result.passed:
        outcome, status = ("failed", "wrong") if result.check.severity == "critical" else ("warning", "warn")
    return CheckLine(
        name=result.check.name,
        description=result.check.description,
        limit=_limit(result.check),
        observed=result.observed_value or f"{result.observed:,.4g}",
        outcome=outcome,
        status=status,
        examples=[],
    )


def _limit(check: DataCheck) -> str:
    if check.arguments is not None:
        return check.arguments
    if check.allowed is not None:
        shown = ", ".join(check.allowed[:MAX_LABELS])
        return f"one of {shown}" + (", …" if len(check.allowed) > MAX_LABELS else "")
    bounds = (("at least", check.min_value), ("at most", check.max_value))
    return " and ".join(f"{words} {bound:,g}" for words, bound in bounds if bound is not None) or "present"


def _records(frame: pd.DataFrame | None) -> list[dict[str, Any]]:
    return [] if frame is None else frame.to_dict("records")  # type: ignore[return-value]


def _example(record: dict[str, Any]) -> ExampleRow:
    text = "" if pd.isna(record["text"]) else str(record["text"])
    return ExampleRow(
        row=int(record["row"]),
        row_id=str(record["id"]),
        text=text[:MAX_CHARACTERS],
        cut=len(text) > MAX_CHARACTERS,
        label="" if pd.isna(record["label"]) else str(record["label"]),
    )


def _quantiles(lengths: pd.DataFrame) -> dict[str, dict[str, int]]:
    if len(lengths) == 0:
        return {}
    return {
        column: {name: int(np.quantile(lengths[column], level, method="nearest")) for name, level in QUANTILES.items()}
        for column in ("words", "characters")
    }


def _count(number: int) -> str:
    return f"{number:,}"


def _percent(share: float) -> str:
    return f"{share:.1%}"
