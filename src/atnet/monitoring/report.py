"""The report of a window: one page that needs no other file, no script and no network."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from atnet.config import MonitorConfig
from atnet.monitoring.alarm import Finding
from atnet.monitoring.decision import NEXT_STEPS
from atnet.monitoring.drift_statistics import EXPLANATIONS, TITLES
from atnet.monitoring.figures import accuracy_figure, distribution_figure, statistics_figure
from atnet.monitoring.inputs import Measured, MonitorInputs
from atnet.monitoring.moved_words import MovedWord, moved_words
from atnet.monitoring.records import WindowRecord
from atnet.monitoring.row_features import RowFeatures
from atnet.monitoring.sentences import count_sentences, drift_sentence, impact_sentences
from atnet.monitoring.window_checks import CheckedWindow
from atnet.monitoring.windows import PREDICTED
from atnet.pages import page_template
from atnet.table import LABEL, TEXT

SHOWN_CHARACTERS = 300


@dataclass(frozen=True, slots=True)
class ExampleText:
    """A text of the window that is unlike the reference."""

    text: str
    cut: bool
    score: float
    """Log-odds of the classifier: above 0 is unlike the reference."""
    predicted: str
    label: str | None


@dataclass(frozen=True, slots=True)
class StatisticRow:
    """A statistic as the report lists it."""

    title: str
    explanation: str
    finding: Finding


def render_report(
    record: WindowRecord,
    windows: Sequence[WindowRecord],
    inputs: MonitorInputs,
    measured: Measured,
    checked: CheckedWindow,
    config: MonitorConfig,
) -> str:
    """Write the page as HTML.

    Args:
        record: of the window.
        windows: all of the model's, this one included.
        inputs: of the window.
        measured: what was found.
        checked: by the Great Expectations suite.
        config: lengths of lists.
    """
    comparison, impact = measured.comparison, measured.impact
    return page_template(
        "monitoring.html", FILTERS
    ).render(
        record=record,
        next_step=NEXT_STEPS[record.action],  # type: ignore[index]
        drift=drift_sentence(record, comparison),
        impacts=impact_sentences(impact),
        counts=count_sentences(inputs),
        statistics=[
            StatisticRow(TITLES[one.statistic], EXPLANATIONS[one.statistic], one)
            for one in (comparison.findings if comparison else ())
        ],
        comparison=comparison,
        impact=impact,
        words=_words(measured, config.listed_texts),
        examples=_examples(measured, config.listed_texts),
        checks=[one for one in checked.results if not one.passed],
        checked=len(checked.results),
        figures=_figures(windows, inputs),
        windows=windows[::-1][: config.listed_texts],
        config=config,
    )


def _words(measured: Measured, count: int) -> list[MovedWord]:
    comparison = measured.comparison
    if comparison is None or comparison.scores is None:
        return []
    return moved_words(comparison.compared[TEXT].tolist(), comparison.reference[TEXT].tolist(), 2 * count)


def _examples(measured: Measured, count: int) -> list[ExampleText]:
    comparison = measured.comparison
    if comparison is None or comparison.scores is None:
        return []
    order = np.argsort(-comparison.scores, kind="stable")[:count]
    rows = comparison.compared.iloc[order].to_dict("records")
    return [
        ExampleText(
            text=row[TEXT][:SHOWN_CHARACTERS],
            cut=len(row[TEXT]) > SHOWN_CHARACTERS,
            score=float(score),
            predicted=row[PREDICTED],
            label=row[LABEL] if LABEL in row and pd.notna(row[LABEL]) else None,
        )
        for row, score in zip(rows, comparison.scores[order], strict=True)
    ]


def _figures(windows: Sequence[WindowRecord], inputs: MonitorInputs) -> dict[str, str]:
    drawn: dict[str, str] = {}
    if any(record.compared for record in windows):
        drawn["statistics"] = statistics_figure(windows)
    if any(record.estimates for record in windows):
        drawn["accuracy"] = accuracy_figure(windows)
    if len(inputs.prepared.features):
        drawn["distributions"] = distribution_figure(
            _numbers(inputs.prepared.features), _numbers(inputs.reference.features)
        )
    return drawn


def _numbers(features: RowFeatures) -> dict[str, np.ndarray]:
    return {"score": features.probabilities.max(axis=1), "tokens": features.tokens, "unknown": features.unknown}


def _or_dash(value: float | None, form: str) -> str:
    return form.format(value) if value is not None and np.isfinite(value) else "—"


FILTERS: dict[str, Callable[..., Any]] = {
    "percent": lambda value: _or_dash(value, "{:.1%}"),
    "fixed": lambda value: _or_dash(value, "{:.3f}"),
    "points": lambda value: _or_dash(100 * value, "{:+z.1f}"),
    "signed": lambda value: _or_dash(value, "{:+z.1f}"),
    "count": lambda value: f"{value:,}",
    "result": lambda value: {"drift": "drift", "no_drift": "no drift", "too_few": "too few texts"}[value],
}
