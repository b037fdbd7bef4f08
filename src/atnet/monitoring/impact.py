"""Determine whether accuracy has dropped: measured on labeled rows, estimated without labels.

Letters in array names: N rows, B resamples.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from atnet.config import MonitorConfig
from atnet.evaluation.bootstrap import Interval, interval
from atnet.monitoring.accuracy_estimate import ReferencePredictions, estimate_accuracy
from atnet.monitoring.label_shift import LabelShift, estimate_label_shift
from atnet.monitoring.prepared_window import PreparedWindow
from atnet.monitoring.row_features import RowFeatures
from atnet.monitoring.windows import PREDICTED
from atnet.schema import LABEL, slice_columns

MIN_ROWS = 20
"""Slices with fewer rows are counted, not scored."""
MAX_SLICE_VALUES = 30
ALL = ""


@dataclass(frozen=True, slots=True)
class Impact:
    """The accuracy on some rows of the window."""

    by: str
    """Slice column; empty for the whole window."""
    value: str
    rows: int
    estimated: Interval | None
    """Accuracy by ATC; None below MIN_ROWS rows."""
    labeled: int
    """Rows with a true label."""
    measured: Interval | None
    """Accuracy on the labeled rows."""
    reference: Interval | None
    """Accuracy on the reference, or on its rows of the same slice; None if there are too few."""
    change: Interval | None
    """Measured minus reference accuracy."""


@dataclass(frozen=True, slots=True)
class WindowImpact:
    """Accuracy and label shares of a window."""

    whole: Impact
    slices: Sequence[Impact]
    label_shift: LabelShift | None
    """None if labels are known, or if the predictions do not determine it."""


def window_impact(
    prepared: PreparedWindow,
    reference: pd.DataFrame,
    features: RowFeatures,
    labels: tuple[str, ...],
    config: MonitorConfig,
) -> WindowImpact | None:
    """Measure and estimate the accuracy; None for a window without rows.

    Args:
        prepared: the window.
        reference: the reference's table.
        features: of the reference's texts.
        labels: of the model.
        config: intervals and seed.
    """
    if len(prepared.table) == 0:
        return None
    predicted_N = features.probabilities.argmax(axis=1)
    actual_N = pd.Index(labels).get_indexer(pd.Index(reference[LABEL]))
    known = reference.assign(**{"correct": predicted_N == actual_N})
    predictions = ReferencePredictions(features.probabilities.max(axis=1), (predicted_N == actual_N))
    whole = _impact(prepared, np.ones(len(prepared.table), bool), predictions, known, (ALL, ALL), config)
    shift = None
    if whole.measured is None:
        shift = estimate_label_shift(
            labels,
            actual_N[actual_N >= 0],
            predicted_N[actual_N >= 0],
            prepared.features.probabilities.argmax(axis=1),
            samples=config.bootstrap_samples,
            confidence=config.confidence,
            rng=np.random.default_rng(config.seed),
        )
    slices = [
        _impact(prepared, (prepared.table[column] == value).to_numpy(), predictions, known, (column, value), config)
        for column in _slices(prepared.table, reference)
        for value in prepared.table[column].value_counts().index[:MAX_SLICE_VALUES]
    ]
    return WindowImpact(whole, slices, shift)


def _impact(
    prepared: PreparedWindow,
    chosen_N: np.ndarray,
    predictions: ReferencePredictions,
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
    if len(table) >= MIN_ROWS:
        confidence_N = prepared.features.probabilities[chosen_N].max(axis=1)
        estimated = estimate_accuracy(
            predictions, confidence_N, samples=config.bootstrap_samples, confidence=config.confidence, rng=rng
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
    if len(correct_N) < MIN_ROWS:
        return None
    drawn: np.ndarray = rng.binomial(len(correct_N), correct_N.mean(), size=config.bootstrap_samples) / len(correct_N)
    return drawn


def _slices(window: pd.DataFrame, reference: pd.DataFrame) -> list[str]:
    return [column for column in slice_columns(reference) if column in window]


def _equals(table: pd.DataFrame, column: str, value: str) -> pd.Series:
    return table[column] == value
