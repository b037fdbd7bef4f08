"""The report of a window: one page that needs no other file, no script and no network."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from atnet.config import MonitorConfig
from atnet.monitoring.alarm import StatisticResult
from atnet.monitoring.decision import NEXT_STEPS
from atnet.monitoring.drift_statistics import EXPLANATIONS, TITLES
from atnet.monitoring.monitor_inputs import MonitorInputs, WindowMeasurements
from atnet.monitoring.moved_words import MovedWord, moved_words
from atnet.monitoring.row_features import RowFeatures
from atnet.monitoring.window_checks import CheckedWindow
from atnet.monitoring.window_comparison import WindowComparison
from atnet.monitoring.window_figures import accuracy_figure, distribution_figure, statistics_figure
from atnet.monitoring.window_records import WindowRecord
from atnet.monitoring.window_summary import drift_sentence, impact_sentences, note_sentences
from atnet.monitoring.windows import PREDICTED
from atnet.report.rendering import page_template
from atnet.schema import LABEL, TEXT

MAX_CHARACTERS = 300
"""Characters shown of an example text."""
RESULT_NAMES = {"drift": "drift", "no_drift": "no drift", "too_few": "too few texts"}
FILTERS: dict[str, Callable[..., str]] = {
    "result": lambda result: RESULT_NAMES[result],
    "one_decimal": lambda value: f"{value:+z.1f}".replace("-", "−"),
    "number_or_dash": lambda value: "—" if value is None else f"{value:.3f}",
}


@dataclass(frozen=True, slots=True)
class DriftedText:
    """A text of the window that is unlike the reference."""

    text: str
    cut: bool
    score: float
    """Log-odds of the classifier: above 0 is unlike the reference."""
    predicted: str
    label: str | None


@dataclass(frozen=True, slots=True)
class StatisticRow:
    """A row of the table of statistics."""

    title: str
    explanation: str
    result: StatisticResult


def render_report(
    record: WindowRecord,
    windows: Sequence[WindowRecord],
    inputs: MonitorInputs,
    measured: WindowMeasurements,
    checked: CheckedWindow,
    config: MonitorConfig,
) -> str:
    """Render the page as HTML.

    Args:
        record: of the window.
        windows: all records of the model, this one included.
        inputs: of the window.
        measured: the results.
        checked: the results of the Great Expectations suites.
        config: lengths of lists.
    """
    comparison, impact = measured.comparison, measured.impact
    return page_template("monitoring.html", FILTERS).render(
        record=record,
        next_step=NEXT_STEPS[record.action],
        drift=drift_sentence(record, comparison),
        impact_sentences=impact_sentences(impact),
        notes=note_sentences(inputs),
        statistics=[
            StatisticRow(TITLES[result.statistic], EXPLANATIONS[result.statistic], result)
            for result in (comparison.results if comparison else ())
        ],
        comparison=comparison,
        impact=impact,
        words=_words(comparison, config.example_texts),
        examples=_examples(comparison, config.example_texts),
        failed_checks=[result for result in checked.results if not result.passed],
        check_count=len(checked.results),
        figures=_figures(windows, inputs),
        windows=windows[::-1][: config.example_texts],
        config=config,
    )


def _words(comparison: WindowComparison | None, count: int) -> list[MovedWord]:
    if comparison is None or comparison.scores is None:
        return []
    return moved_words(comparison.compared[TEXT].tolist(), comparison.reference[TEXT].tolist(), 2 * count)


def _examples(comparison: WindowComparison | None, count: int) -> list[DriftedText]:
    if comparison is None or comparison.scores is None:
        return []
    order = np.argsort(-comparison.scores, kind="stable")[:count]
    rows = comparison.compared.iloc[order].to_dict("records")
    return [
        DriftedText(
            text=row[TEXT][:MAX_CHARACTERS],
            cut=len(row[TEXT]) > MAX_CHARACTERS,
            score=float(score),
            predicted=row[PREDICTED],
            label=row[LABEL] if LABEL in row and pd.notna(row[LABEL]) else None,
        )
        for row, score in zip(rows, comparison.scores[order], strict=True)
    ]


def _figures(windows: Sequence[WindowRecord], inputs: MonitorInputs) -> dict[str, str]:
    figures: dict[str, str] = {}
    if any(record.compared for record in windows):
        figures["statistics"] = statistics_figure(windows)
    if any(record.estimates for record in windows):
        figures["accuracy"] = accuracy_figure(windows)
    if len(inputs.prepared.features):
        figures["distributions"] = distribution_figure(
            _distributions(inputs.prepared.features), _distributions(inputs.reference.features)
        )
    return figures


def _distributions(features: RowFeatures) -> dict[str, np.ndarray]:
    return {"score": features.probabilities.max(axis=1), "tokens": features.tokens, "unknown": features.unknown}
