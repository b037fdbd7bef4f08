"""How well probabilities put a class's rows before the others: ROC and precision-recall.

Letters in array names: N rows, C classes, B resamples, T thresholds (highest first), G grid points.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from atnet.evaluation.metrics import Floats, Ints, share

GRID_STEPS = 100


@dataclass(frozen=True, slots=True)
class Ranking:
    """Rates at each threshold for one class against the rest; arrays of shape (B, T)."""

    true_positive_rate: Floats
    false_positive_rate: Floats
    precision: Floats

    @property
    def roc_auc(self) -> Floats:
        """Area under the ROC curve, shape (B,); NaN where one side has no rows."""
        before = np.pad(self.true_positive_rate, ((0, 0), (1, 0)))[:, :-1]
        width = np.diff(self.false_positive_rate, prepend=0.0, axis=1)
        return np.asarray((width * (before + self.true_positive_rate) / 2).sum(axis=1))

    @property
    def average_precision(self) -> Floats:
        """Mean of precision over recall steps, shape (B,); NaN where the class has no rows."""
        step = np.diff(self.true_positive_rate, prepend=0.0, axis=1)
        return np.asarray((step * self.precision).sum(axis=1))


@dataclass(frozen=True, slots=True)
class Curves:
    """Curves on a common grid, for one class or as the mean of several."""

    grid: Floats
    """False positive rate of the first curve, recall of the second, shape (G,)."""
    true_positive_rate: Floats
    precision: Floats


def rank(positive_N: NDArray[np.bool_], score_N: Floats, weight_BN: Floats) -> Ranking:
    """Sweep the threshold from the highest score down; rows of equal score move together.

    Args:
        positive_N: whether the row has the class.
        score_N: the class's probability.
        weight_BN: how often each row counts.
    """
    order = np.argsort(-score_N, kind="stable")
    start_T, holds_T = _segments(positive_N[order], score_N[order])
    above_BT = np.add.reduceat(weight_BN[:, order], start_T, axis=1).cumsum(axis=1)
    hits_BT = np.zeros_like(above_BT)
    if holds_T.any():
        segment_N = np.searchsorted(start_T, np.flatnonzero(positive_N[order]), side="right")
        first_P = np.flatnonzero(np.diff(segment_N, prepend=0))
        hits_BT[:, holds_T] = np.add.reduceat(weight_BN[:, order[positive_N[order]]], first_P, axis=1)
    hits_BT = hits_BT.cumsum(axis=1)
    misses_BT = above_BT - hits_BT
    with np.errstate(invalid="ignore"):
        return Ranking(
            true_positive_rate=hits_BT / hits_BT[:, -1:],
            false_positive_rate=misses_BT / misses_BT[:, -1:],
            precision=share(hits_BT, above_BT),
        )


def _segments(positive_N: NDArray[np.bool_], score_N: Floats) -> tuple[Ints, NDArray[np.bool_]]:
    """Cut sorted rows where the curves turn: the first row of each segment, and whether it holds positives.

    Equal scores stay together. Neighbouring scores without a positive are joined: the curves run straight there,
    and with many classes that leaves a small part of the thresholds.
    """
    start_T = np.flatnonzero(np.append(True, np.diff(score_N) != 0))
    holds_T = np.logical_or.reduceat(positive_N, start_T)
    kept_T = holds_T | np.append(True, holds_T[:-1])
    return start_T[kept_T], holds_T[kept_T]


def ranked_classes(classes: int) -> range:
    """Name the classes whose rankings are averaged: the last of two, all of more (one against the rest)."""
    return range(1, 2) if classes == 2 else range(classes)


def rank_classes(actual_N: Ints, probabilities_NC: Floats, weight_BN: Floats | None = None) -> list[Ranking]:
    """Rank the rows for each class of `ranked_classes`; without weights each row counts once (B is 1)."""
    weights = np.ones((1, len(actual_N))) if weight_BN is None else weight_BN
    classes = ranked_classes(probabilities_NC.shape[1])
    return [rank(actual_N == c, probabilities_NC[:, c], weights) for c in classes]


def defined_mean(values: list[Floats]) -> Floats:
    """Average over classes, leaving out those that are undefined (NaN); NaN where all are."""
    stacked = np.stack(values)
    defined = ~np.isnan(stacked)
    counted = defined.sum(axis=0)
    total = np.where(defined, stacked, 0.0).sum(axis=0)
    return np.where(counted > 0, total / np.maximum(counted, 1), np.nan)


def curves(ranking: Ranking) -> Curves:
    """Read both curves of a single (B = 1) ranking at the grid's points."""
    grid_G = np.linspace(0.0, 1.0, GRID_STEPS + 1)
    recall_T, fall_out_T = ranking.true_positive_rate[0], ranking.false_positive_rate[0]
    # Where the curve climbs straight up, the top of the climb counts.
    top_T = np.flatnonzero(np.append(np.diff(fall_out_T) != 0, True))
    reached_G = np.searchsorted(recall_T, grid_G - 1e-12).clip(max=len(recall_T) - 1)
    return Curves(
        grid=grid_G,
        true_positive_rate=np.interp(grid_G, np.append(0.0, fall_out_T[top_T]), np.append(0.0, recall_T[top_T])),
        precision=ranking.precision[0][reached_G],
    )


def mean_curves(rankings: list[Ranking]) -> Curves | None:
    """Average the curves of all classes that have rows on both sides; None when no class has."""
    each = [curves(ranking) for ranking in rankings if not np.isnan(ranking.roc_auc[0])]
    if not each:
        return None
    return Curves(
        grid=each[0].grid,
        true_positive_rate=np.mean([one.true_positive_rate for one in each], axis=0),
        precision=np.mean([one.precision for one in each], axis=0),
    )
