"""The learning curve of one model, and what twice the texts would give.

Letters in array names: P points (shares of train), S seeds, N validation texts, B resamples.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from atnet.analysis.folds import nested_subset
from atnet.analysis.power_law import PowerLaw, fit_power_law
from atnet.analysis.tasks import LearnerPredictions, Task
from atnet.config import AnalyzeConfig
from atnet.errors import DataContractError
from atnet.evaluation.bootstrap import Interval, interval, resample_rows
from atnet.evaluation.metrics import Floats, Ints, count_classes
from atnet.schema import TEXT

MORE = 2
"""The estimate is for this many times the training texts."""
CHECKED_FROM = 4
"""With so many points, the last is also foretold from the others."""


@dataclass(frozen=True, slots=True)
class Point:
    """What a model reaches that has learned from a share of the training texts."""

    share: float
    rows: int
    accuracy: Interval
    """On validation, mean over the seeds."""
    macro_f1: float
    by_seed: list[float]
    """Accuracy of each training."""


@dataclass(frozen=True, slots=True)
class Curve:
    """A model's points, the curve through them and where it leads."""

    model: str
    points: list[Point]
    law: PowerLaw
    more_rows: int
    more: Interval
    """Accuracy to expect from `more_rows`; the interval is that of the resampled fits."""
    gain: Interval
    """That minus the accuracy the curve has at all rows there are."""
    foretold: float | None
    """Accuracy at the last point as the points before it foretell it."""


def curve_tasks(train: pd.DataFrame, validation: pd.DataFrame, config: AnalyzeConfig) -> list[Task]:
    """Make one task for each share.

    Raises:
        DataContractError: if the smallest shares are the same texts, so that there is no curve.
    """
    parts = [nested_subset(train, share, seed=config.seed) for share in config.train_fractions]
    if len({len(part) for part in parts}) < len(parts):
        raise DataContractError(
            f"{len(train):,} training texts are too few: two shares of analyze.shares hold the same texts. "
            "Name larger shares in params.yaml, or bring more texts."
        )
    return [Task(part, validation, validation[TEXT].tolist()) for part in parts]


def learning_curve(
    model: str,
    tasks: Sequence[Task],
    answers: Sequence[LearnerPredictions],
    actual: Sequence[str],
    config: AnalyzeConfig,
) -> Curve:
    """Score the answers of each task, fit the curve and lead it on.

    Args:
        tasks: as `curve_tasks` made them.
        answers: one for each task.
        actual: labels of the texts.
    """
    labels = sorted(set(actual) | set(answers[-1].labels))
    actual_N = np.array([labels.index(label) for label in actual])
    given_PSN = [one.over(labels).argmax(axis=2) for one in answers]
    right_PSN = [given_SN == actual_N for given_SN in given_PSN]
    accuracy_PB = _resampled(right_PSN, config)
    points = [
        Point(
            share=share,
            rows=len(task.train),
            accuracy=interval(float(right_SN.mean()), accuracy_B, config.confidence),
            macro_f1=_macro_f1(actual_N, given_SN, len(labels)),
            by_seed=right_SN.mean(axis=1).tolist(),
        )
        for share, task, right_SN, given_SN, accuracy_B in zip(
            config.train_fractions, tasks, right_PSN, given_PSN, accuracy_PB, strict=True
        )
    ]
    return _led_on(model, points, accuracy_PB, config.confidence)


def curve_table(curves: Sequence[Curve]) -> pd.DataFrame:
    """Lay the points out, a row each; the estimate for more texts is the last row of its model."""
    rows = []
    for curve in curves:
        measured = [(point.share, point.rows, point.accuracy, point.macro_f1, "measured") for point in curve.points]
        for share, texts, accuracy, f1, kind in [*measured, (float(MORE), curve.more_rows, curve.more, None, "fit")]:
            fitted = 1 - curve.law.error_at(texts)
            rows.append((curve.model, kind, share, texts, accuracy.value, accuracy.low, accuracy.high, f1, fitted))
    names = ["model", "kind", "share", "texts", "accuracy", "low", "high", "macro_f1", "fitted"]
    return pd.DataFrame(rows, columns=names).round(6)


def _resampled(right_PSN: Sequence[np.ndarray], config: AnalyzeConfig) -> Floats:
    """Draw validation texts and seeds anew, (P, B); all points share the texts, as they did when they were scored."""
    rng = np.random.default_rng(config.seed)
    texts = right_PSN[0].shape[1]
    blocks = []
    for counts_BN in resample_rows(texts, samples=config.bootstrap_samples, rng=rng):
        drawn = []
        for right_SN in right_PSN:
            accuracy_SB = right_SN @ counts_BN.T / texts
            seeds_SB = rng.integers(len(right_SN), size=accuracy_SB.shape)
            drawn.append(np.take_along_axis(accuracy_SB, seeds_SB, axis=0).mean(axis=0))
        blocks.append(np.stack(drawn))
    return np.concatenate(blocks, axis=1)


def _led_on(model: str, points: list[Point], accuracy_PB: Floats, confidence: float) -> Curve:
    rows_P = np.array([point.rows for point in points], dtype=np.float64)
    errors_P = np.array([1 - point.accuracy.value for point in points])
    more, law = MORE * rows_P[-1], fit_power_law(rows_P, errors_P)
    laws = [fit_power_law(rows_P, 1 - accuracy_P) for accuracy_P in accuracy_PB.T]
    reached_B = np.array([1 - one.error_at(more) for one in laws])
    gained_B = np.array([one.error_at(rows_P[-1]) - one.error_at(more) for one in laws])
    before = fit_power_law(rows_P[:-1], errors_P[:-1]) if len(points) >= CHECKED_FROM else None
    return Curve(
        model=model,
        points=points,
        law=law,
        more_rows=int(more),
        more=_percentiles(1 - law.error_at(more), reached_B, confidence),
        gain=_percentiles(law.error_at(rows_P[-1]) - law.error_at(more), gained_B, confidence),
        foretold=None if before is None else 1 - before.error_at(rows_P[-1]),
    )


def _percentiles(value: float, drawn_B: Floats, confidence: float) -> Interval:
    # Plain ones: a gain cannot be negative, and where most resamples stand at that bound a correction for bias fails.
    low, high = np.quantile(drawn_B, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Interval(value, float(low), float(high))


def _macro_f1(actual_N: Ints, given_SN: Ints, classes: int) -> float:
    return float(np.mean([count_classes(actual_N, given_N, classes).macro_f1 for given_N in given_SN]))
