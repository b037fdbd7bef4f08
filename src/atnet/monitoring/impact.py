"""Whether a window hurts: accuracy measured where there are labels, estimated where there are none.

Letters in array names: N rows, B resamples.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from atnet.config import MonitorConfig
from atnet.evaluation.bootstrap import Interval, interval
from atnet.monitoring.accuracy_estimate import ReferenceAnswers, estimate_accuracy
from atnet.monitoring.label_shift import LabelShift, estimate_label_shift
from atnet.monitoring.preparation import PreparedWindow
from atnet.monitoring.row_features import RowFeatures
from atnet.monitoring.windows import PREDICTED
from atnet.table import LABEL, slice_columns

SMALLEST_SLICE = 20
"""Rows below which a slice is counted only."""
MOST_SLICES = 30
ALL = ""


@dataclass(frozen=True, slots=True)
class Impact:
    """How right the model's answers are on some rows of the window."""

    by: str
    """Slice column; empty for the whole window."""
    value: str
    rows: int
    estimated: Interval | None
    """Accuracy by ATC; None below SMALLEST_SLICE rows."""
    labeled: int
    """Rows with a true label."""
    measured: Interval | None
    """Accuracy on those."""
    reference: Interval | None
    """Accuracy on the reference, or on its rows of the same slice; None where there are too few."""
    change: Interval | None
    """Measured minus reference accuracy."""


@dataclass(frozen=True, slots=True)
class WindowImpact:
    """Accuracy and label shares of a window."""

    whole: Impact
    slices: Sequence[Impact]
    label_shift: LabelShift | None
    """Not estimated where labels are known, nor where the answers do not determine it."""


def window_impact(
    prepared: PreparedWindow,
    reference: pd.DataFrame,
    features: RowFeatures,
    labels: tuple[str, ...],
    config: MonitorConfig,
) -> WindowImpact | None:
    """Estimate and measure; None for a window without rows.

    Args:
        prepared: the window.
        reference: the reference's table.
        features: of the reference's texts.
        labels: of the model.
        config: intervals and seed.
    """
    if len(prepared.table) == 0:
        return None
    answered_N = features.probabilities.argmax(axis=1)
    actual_N = pd.Index(labels).get_indexer(pd.Index(reference[LABEL]))
    known = reference.assign(**{"correct": answered_N == actual_N})
    answers = ReferenceAnswers(features.probabilities.max(axis=1), (answered_N == actual_N))
    whole = _impact(prepared, np.ones(len(prepared.table), bool), answers, known, (ALL, ALL), config)
    shift = None
    if whole.measured is None:
        shift = estimate_label_shift(
            labels,
            actual_N[actual_N >= 0],
            answered_N[actual_N >= 0],
            prepared.features.probabilities.argmax(axis=1),
            samples=config.bootstrap_samples,
            confidence=config.confidence,
            rng=np.random.default_rng(config.seed),
        )
    slices = [
        _impact(prepared, (prepared.table[column] == value).to_numpy(), answers, known, (column, value), config)
        for column in _slices(prepared.table, reference)
        for value in prepared.table[column].value_counts().index[:MOST_SLICES]
    ]
    return WindowImpact(whole, slices, shift)


def _impact(
    prepared: PreparedWindow,
    chosen_N: np.ndarray,
    answers: ReferenceAnswers,
    reference: pd.DataFrame,
    part: tuple[str, str],
    config: MonitorConfig,
) -> Impact:
    rng, (by, value) = np.random.default_rng(config.seed), part
    table = prepared.table[chosen_N]
    labeled = table[table[LABEL].notna()] if LABEL in table else table.iloc[:0]
    correct_N = (labeled[LABEL] == labeled[PREDICTED]).to_numpy() if len(labeled) else np.zeros(0, bool)
    same = reference["correct"] if by == ALL else reference.loc[_equals(reference, by, value), "correct"]
    drawn, known = _resampled(correct_N, config, rng), _resampled(same.to_numpy(bool), config, rng)
    estimated = None
    if len(table) >= SMALLEST_SLICE:
        confidence_N = prepared.features.probabilities[chosen_N].max(axis=1)
        estimated = estimate_accuracy(
            answers, confidence_N, samples=config.bootstrap_samples, confidence=config.confidence, rng=rng
        )
    change = None
    if drawn is not None and known is not None:
        change = interval(float(correct_N.mean() - same.mean()), drawn - known, config.confidence)
    return Impact(
        by=by,
        value=value,
        rows=len(table),
        estimated=estimated,
        labeled=len(labeled),
        measured=None if drawn is None else interval(float(correct_N.mean()), drawn, config.confidence),
        reference=None if known is None else interval(float(same.mean()), known, config.confidence),
        change=change,
    )


def _resampled(correct_N: np.ndarray, config: MonitorConfig, rng: np.random.Generator) -> np.ndarray | None:
    """Draw accuracies (B,); None for too few rows."""
    if len(correct_N) < SMALLEST_SLICE:
        return None
    drawn: np.ndarray = rng.binomial(len(correct_N), correct_N.mean(), size=config.bootstrap_samples) / len(correct_N)
    return drawn


def _slices(window: pd.DataFrame, reference: pd.DataFrame) -> list[str]:
    return [column for column in slice_columns(reference) if column in window]


def _equals(table: pd.DataFrame, column: str, value: str) -> pd.Series:
    return table[column] == value
