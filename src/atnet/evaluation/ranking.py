"""Ranking metrics of probabilities: ROC and precision-recall curves and their areas.

Letters in array names: N rows, C classes, B resamples, T thresholds (highest first), G grid points.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from atnet.evaluation.metrics import Floats, Ints, safe_divide

GRID_STEPS = 100


@dataclass(frozen=True, slots=True)
class Ranking:
    """Rates at each threshold for one class against the rest; arrays of shape (B, T)."""

    true_positive_rate: Floats
    false_positive_rate: Floats
    precision: Floats

    @property
    def roc_auc(self) -> Floats:
        """Area under the ROC curve, shape (B,); NaN without positive or without negative rows."""
        previous = np.pad(self.true_positive_rate, ((0, 0), (1, 0)))[:, :-1]
        width = np.diff(self.false_positive_rate, prepend=0.0, axis=1)
        return np.asarray((width * (previous + self.true_positive_rate) / 2).sum(axis=1))

    @property
    def average_precision(self) -> Floats:
        """Precision averaged over the steps in recall, shape (B,); NaN where the class has no rows."""
        step = np.diff(self.true_positive_rate, prepend=0.0, axis=1)
        return np.asarray((step * self.precision).sum(axis=1))


@dataclass(frozen=True, slots=True)
class Curves:
    """Both curves on a common grid, for one class or averaged over several."""

    grid: Floats
    """False positive rate of the ROC curve, recall of the precision-recall curve, shape (G,)."""
    true_positive_rate: Floats
    precision: Floats


def rank(positive_N: NDArray[np.bool_], score_N: Floats, weight_BN: Floats) -> Ranking:
    """Compute the rates at every threshold, from the highest score down; rows of equal score share a threshold.

    Args:
        positive_N: whether the row belongs to the class.
        score_N: the class's probability.
        weight_BN: weight of each row, for each resample.
    """
    order = np.argsort(-score_N, kind="stable")
    start_T, has_positives_T = _segments(positive_N[order], score_N[order])
    above_BT = np.add.reduceat(weight_BN[:, order], start_T, axis=1).cumsum(axis=1)
    true_positives_BT = np.zeros_like(above_BT)
    if has_positives_T.any():
        segment_N = np.searchsorted(start_T, np.flatnonzero(positive_N[order]), side="right")
        first_P = np.flatnonzero(np.diff(segment_N, prepend=0))
        sums_BP = np.add.reduceat(weight_BN[:, order[positive_N[order]]], first_P, axis=1)
        true_positives_BT[:, has_positives_T] = sums_BP
    true_positives_BT = true_positives_BT.cumsum(axis=1)
    false_positives_BT = above_BT - true_positives_BT
    with np.errstate(invalid="ignore"):
        return Ranking(
            true_positive_rate=true_positives_BT / true_positives_BT[:, -1:],
            false_positive_rate=false_positives_BT / false_positives_BT[:, -1:],
            precision=safe_divide(true_positives_BT, above_BT),
        )


def _segments(positive_N: NDArray[np.bool_], score_N: Floats) -> tuple[Ints, NDArray[np.bool_]]:
    """Split sorted rows into segments between which the curves bend.

    Equal scores stay together. Adjacent scores without a positive row are merged, because the curves are straight
    there; with many classes that removes most thresholds.

    Returns:
        The first row of each segment, and whether the segment has positive rows.
    """
    start_T = np.flatnonzero(np.append(True, np.diff(score_N) != 0))
    has_positives_T = np.logical_or.reduceat(positive_N, start_T)
    bends_T = has_positives_T | np.append(True, has_positives_T[:-1])
    return start_T[bends_T], has_positives_T[bends_T]


def ranked_classes(classes: int) -> range:
    """Return the classes whose rankings are averaged: the second of two classes, otherwise each against the rest."""
    return range(1, 2) if classes == 2 else range(classes)


def rank_classes(actual_N: Ints, probabilities_NC: Floats, weight_BN: Floats | None = None) -> list[Ranking]:
    """Rank the rows for each class of `ranked_classes`; without weights every row has weight 1 and B is 1."""
    weights = np.ones((1, len(actual_N))) if weight_BN is None else weight_BN
    classes = ranked_classes(probabilities_NC.shape[1])
    return [rank(actual_N == c, probabilities_NC[:, c], weights) for c in classes]


def defined_mean(values: list[Floats]) -> Floats:
    """Average over the classes whose value is defined (not NaN); NaN where none is."""
    stacked = np.stack(values)
    defined = ~np.isnan(stacked)
    count = defined.sum(axis=0)
    total = np.where(defined, stacked, 0.0).sum(axis=0)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def curves(ranking: Ranking) -> Curves:
    """Interpolate both curves of a single (B = 1) ranking at the grid points."""
    grid_G = np.linspace(0.0, 1.0, GRID_STEPS + 1)
    recall_T, false_positive_rate_T = ranking.true_positive_rate[0], ranking.false_positive_rate[0]
    # Where the ROC curve is vertical, its upper end counts.
    top_T = np.flatnonzero(np.append(np.diff(false_positive_rate_T) != 0, True))
    threshold_G = np.searchsorted(recall_T, grid_G - 1e-12).clip(max=len(recall_T) - 1)
    return Curves(
        grid=grid_G,
        true_positive_rate=np.interp(
            grid_G, np.append(0.0, false_positive_rate_T[top_T]), np.append(0.0, recall_T[top_T])
        ),
        precision=ranking.precision[0][threshold_G],
    )


def mean_curves(rankings: list[Ranking]) -> Curves | None:
    """Average the curves of all classes with positive and negative rows; None if there is no such class."""
    by_class = [curves(ranking) for ranking in rankings if not np.isnan(ranking.roc_auc[0])]
    if not by_class:
        return None
    return Curves(
        grid=by_class[0].grid,
        true_positive_rate=np.mean([class_curves.true_positive_rate for class_curves in by_class], axis=0),
        precision=np.mean([class_curves.precision for class_curves in by_class], axis=0),
    )
