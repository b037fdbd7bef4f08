"""The learning curve of a model, extrapolated to twice the training texts.

Letters in array names: P points (fractions of train), S seeds, N validation texts, B resamples.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from atnet.analysis.folds import nested_subset
from atnet.analysis.power_law import PowerLaw, fit_power_law
from atnet.analysis.tasks import Task, TaskPredictions
from atnet.config import AnalyzeConfig
from atnet.errors import DataContractError
from atnet.evaluation.bootstrap import Interval, interval, resample_rows
from atnet.evaluation.metrics import Floats, Ints, count_classes
from atnet.schema import TEXT

GROWTH = 2
"""The curve is extrapolated to this many times the training texts."""
MIN_POINTS_TO_CHECK = 4
"""From this many points on, the last one is also predicted from the others."""
CSV_COLUMNS = [
    *("model", "kind", "fraction", "train_rows", "accuracy", "accuracy_low", "accuracy_high"),
    *("macro_f1", "fitted_accuracy"),
]


@dataclass(frozen=True, slots=True)
class LearningCurvePoint:
    """The scores of a model trained on a fraction of the training texts."""

    fraction: float
    train_rows: int
    accuracy: Interval
    """On validation, mean over the seeds."""
    macro_f1: float
    accuracy_by_seed: list[float]


@dataclass(frozen=True, slots=True)
class LearningCurve:
    """A model's points, the fitted curve and its extrapolation."""

    model: str
    points: list[LearningCurvePoint]
    power_law: PowerLaw
    doubled_rows: int
    doubled_accuracy: Interval
    """Expected accuracy with `doubled_rows` training texts; the interval comes from fits to resampled points."""
    gain: Interval
    """`doubled_accuracy` minus the fitted accuracy with all current training texts."""
    extrapolated_last: float | None
    """Accuracy of the last point, as extrapolated from the points before it; None: too few points."""


def curve_tasks(train: pd.DataFrame, validation: pd.DataFrame, config: AnalyzeConfig) -> list[Task]:
    """Build a task for each fraction.

    Raises:
        DataContractError: if two fractions select the same texts, so that there is no curve.
    """
    subsets = [nested_subset(train, fraction, seed=config.seed) for fraction in config.train_fractions]
    if len({len(subset) for subset in subsets}) < len(subsets):
        raise DataContractError(
            f"{len(train):,} training texts are too few: two of analyze.train_fractions select the same texts. "
            "Set larger fractions in params.yaml, or add texts."
        )
    return [Task(subset, validation, validation[TEXT].tolist()) for subset in subsets]


def learning_curve(
    model: str,
    tasks: Sequence[Task],
    predictions: Sequence[TaskPredictions],
    actual: Sequence[str],
    config: AnalyzeConfig,
) -> LearningCurve:
    """Score the predictions, fit the curve and extrapolate it.

    Args:
        model: name of the model.
        tasks: from `curve_tasks`.
        predictions: one for each task.
        actual: labels of the validation texts.
        config: fractions, resamples, confidence, seed.
    """
    labels = sorted(set(actual) | set(predictions[-1].labels))
    actual_N = np.array([labels.index(label) for label in actual])
    predicted_PSN = [task.aligned_to(labels).argmax(axis=2) for task in predictions]
    correct_PSN = [predicted_SN == actual_N for predicted_SN in predicted_PSN]
    accuracy_PB = _resampled_accuracies(correct_PSN, config)
    points = [
        LearningCurvePoint(
            fraction=fraction,
            train_rows=len(task.train),
            accuracy=interval(float(correct_SN.mean()), accuracy_B, config.confidence),
            macro_f1=_macro_f1(actual_N, predicted_SN, len(labels)),
            accuracy_by_seed=correct_SN.mean(axis=1).tolist(),
        )
        for fraction, task, correct_SN, predicted_SN, accuracy_B in zip(
            config.train_fractions, tasks, correct_PSN, predicted_PSN, accuracy_PB, strict=True
        )
    ]
    return _fit_and_extrapolate(model, points, accuracy_PB, config.confidence)


def curve_table(curves: Sequence[LearningCurve]) -> pd.DataFrame:
    """Tabulate the points, a row each; the extrapolation is the last row of its model."""
    rows = []
    for curve in curves:
        for point in curve.points:
            rows.append(_row(curve, "measured", point.fraction, point.train_rows, point.accuracy, point.macro_f1))
        doubled = curve.doubled_accuracy
        rows.append(_row(curve, "extrapolated", float(GROWTH), curve.doubled_rows, doubled, None))
    return pd.DataFrame(rows, columns=CSV_COLUMNS).round(6)


def _row(
    curve: LearningCurve, kind: str, fraction: float, train_rows: int, accuracy: Interval, macro_f1: float | None
) -> tuple[object, ...]:
    fitted = curve.power_law.accuracy_at(train_rows)
    return (curve.model, kind, fraction, train_rows, accuracy.value, accuracy.low, accuracy.high, macro_f1, fitted)


def _resampled_accuracies(correct_PSN: Sequence[np.ndarray], config: AnalyzeConfig) -> Floats:
    """Resample validation texts and seeds, (P, B); all points use the same texts, as they did when they were scored."""
    rng = np.random.default_rng(config.seed)
    texts = correct_PSN[0].shape[1]
    blocks = []
    for counts_BN in resample_rows(texts, samples=config.bootstrap_samples, rng=rng):
        accuracies = []
        for correct_SN in correct_PSN:
            accuracy_SB = correct_SN @ counts_BN.T / texts
            seeds_SB = rng.integers(len(correct_SN), size=accuracy_SB.shape)
            accuracies.append(np.take_along_axis(accuracy_SB, seeds_SB, axis=0).mean(axis=0))
        blocks.append(np.stack(accuracies))
    return np.concatenate(blocks, axis=1)


def _fit_and_extrapolate(
    model: str, points: list[LearningCurvePoint], accuracy_PB: Floats, confidence: float
) -> LearningCurve:
    rows_P = np.array([point.train_rows for point in points], dtype=np.float64)
    errors_P = np.array([1 - point.accuracy.value for point in points])
    doubled_rows, law = GROWTH * rows_P[-1], fit_power_law(rows_P, errors_P)
    laws_B = [fit_power_law(rows_P, 1 - accuracy_P) for accuracy_P in accuracy_PB.T]
    doubled_B = np.array([1 - resampled.error_at(doubled_rows) for resampled in laws_B])
    gain_B = np.array([resampled.error_at(rows_P[-1]) - resampled.error_at(doubled_rows) for resampled in laws_B])
    earlier = fit_power_law(rows_P[:-1], errors_P[:-1]) if len(points) >= MIN_POINTS_TO_CHECK else None
    return LearningCurve(
        model=model,
        points=points,
        power_law=law,
        doubled_rows=int(doubled_rows),
        doubled_accuracy=_percentile_interval(1 - law.error_at(doubled_rows), doubled_B, confidence),
        gain=_percentile_interval(law.error_at(rows_P[-1]) - law.error_at(doubled_rows), gain_B, confidence),
        extrapolated_last=None if earlier is None else earlier.accuracy_at(rows_P[-1]),
    )


def _percentile_interval(value: float, resampled_B: Floats, confidence: float) -> Interval:
    # Without bias correction: a gain cannot be negative, and the correction fails if most resamples are at that bound.
    low, high = np.quantile(resampled_B, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Interval(value, float(low), float(high))


def _macro_f1(actual_N: Ints, predicted_SN: Ints, classes: int) -> float:
    return float(np.mean([count_classes(actual_N, predicted_N, classes).macro_f1 for predicted_N in predicted_SN]))
