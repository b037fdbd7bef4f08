"""Intervals by resampling test rows, and the paired comparison of two models on the same rows.

Letters in array names: N rows, C classes, B resamples, K cells (distinct combinations of actual and predicted classes).
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from atnet.evaluation.metrics import ClassCounts, Floats, Ints, count_classes

WEIGHTS_AT_ONCE = 2_000_000
"""Row weights held in memory at a time."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A value and the bootstrap bounds around it."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Scores:
    """How good one model's hard labels are."""

    accuracy: Interval
    macro_f1: Interval
    f1: tuple[Interval, ...]
    """Per class."""


@dataclass(frozen=True, slots=True)
class PairedDraws:
    """First model minus second model on the same rows, and on the same resamples of them."""

    first: ClassCounts
    second: ClassCounts
    accuracy_B: Floats
    macro_f1_B: Floats
    only_first_right: int
    only_second_right: int


@dataclass(frozen=True, slots=True)
class Comparison:
    """First model minus second model on the same rows; above 0 the first is better."""

    accuracy: Interval
    macro_f1: Interval
    only_first_right: int
    only_second_right: int
    p_value: float
    """Of McNemar's exact test: both models are right equally often."""


def interval(value: float, resampled_B: Floats, confidence: float) -> Interval:
    """Take the bias-corrected percentiles of the resampled values (Efron 1987, without acceleration).

    Undefined resamples (NaN) are left out. Where the resamples lie evenly around the value, as those of an accuracy
    do, these are the plain percentiles. Macro-F1 over many labels sinks when rows are drawn twice: the plain
    percentiles would then lie too low.
    """
    known = resampled_B[~np.isnan(resampled_B)]
    if known.size == 0:
        return Interval(float(value), math.nan, math.nan)
    normal = NormalDist()
    below = float((known < value).mean() + (known == value).mean() / 2)
    shift = normal.inv_cdf(min(max(below, 1 / (known.size + 1)), known.size / (known.size + 1)))
    reach = normal.inv_cdf((1 + confidence) / 2)
    low, high = np.quantile(known, [normal.cdf(2 * shift - reach), normal.cdf(2 * shift + reach)])
    return Interval(float(value), float(low), float(high))


def resample_counts(
    actual_N: Ints, predicted: Sequence[Ints], classes: int, *, samples: int, rng: np.random.Generator
) -> list[ClassCounts]:
    """Count classes in resampled rows, for each model the same rows; the counts have shape (B, C).

    Drawing N rows with replacement is drawing how many fall in each cell, so the cost does not grow with N.
    """
    cells_K, rows_K = np.unique(np.vstack([actual_N, *predicted]), axis=1, return_counts=True)
    draws_BK = rng.multinomial(len(actual_N), rows_K / len(actual_N), size=samples).astype(np.float64)
    class_of_cell_KC = np.eye(classes)[cells_K]
    support_BC = draws_BK @ class_of_cell_KC[0]
    return [
        ClassCounts(
            support=support_BC,
            given=draws_BK @ class_of_cell_KC[model],
            hits=draws_BK @ (class_of_cell_KC[0] * class_of_cell_KC[model]),
        )
        for model in range(1, len(predicted) + 1)
    ]


def resample_rows(rows: int, *, samples: int, rng: np.random.Generator) -> Iterator[Floats]:
    """Draw rows with replacement; give how often each row was drawn, in blocks of shape (some of B, N)."""
    block = max(1, WEIGHTS_AT_ONCE // rows)
    for start in range(0, samples, block):
        size = min(block, samples - start)
        drawn = rng.integers(rows, size=(size, rows)) + rows * np.arange(size)[:, None]
        yield np.bincount(drawn.ravel(), minlength=size * rows).reshape(size, rows).astype(np.float64)


def draw_pairs(
    actual_N: Ints, first_N: Ints, second_N: Ints, classes: int, *, samples: int, rng: np.random.Generator
) -> PairedDraws:
    """Resample the rows that two models answered, and count on which rows just one of them is right."""
    first, second = resample_counts(actual_N, [first_N, second_N], classes, samples=samples, rng=rng)
    first_right_N, second_right_N = first_N == actual_N, second_N == actual_N
    return PairedDraws(
        first=count_classes(actual_N, first_N, classes),
        second=count_classes(actual_N, second_N, classes),
        accuracy_B=first.accuracy - second.accuracy,
        macro_f1_B=first.macro_f1 - second.macro_f1,
        only_first_right=int((first_right_N & ~second_right_N).sum()),
        only_second_right=int((second_right_N & ~first_right_N).sum()),
    )


def score(
    actual_N: Ints, predicted_N: Ints, classes: int, *, samples: int, confidence: float, rng: np.random.Generator
) -> Scores:
    """Score hard labels with an interval around each score."""
    found = count_classes(actual_N, predicted_N, classes)
    (drawn,) = resample_counts(actual_N, [predicted_N], classes, samples=samples, rng=rng)
    return Scores(
        accuracy=interval(float(found.accuracy), drawn.accuracy, confidence),
        macro_f1=interval(float(found.macro_f1), drawn.macro_f1, confidence),
        f1=tuple(interval(found.f1[c], drawn.f1[:, c], confidence) for c in range(classes)),
    )


def compare(
    actual_N: Ints,
    first_N: Ints,
    second_N: Ints,
    classes: int,
    *,
    samples: int,
    confidence: float,
    rng: np.random.Generator,
) -> Comparison:
    """Compare two models on the same rows.

    A one-sided bound at level 1-a is the `low` (or `high`) of an interval of confidence 1-2a.
    """
    drawn = draw_pairs(actual_N, first_N, second_N, classes, samples=samples, rng=rng)
    first, second = drawn.first, drawn.second
    return Comparison(
        accuracy=interval(float(first.accuracy - second.accuracy), drawn.accuracy_B, confidence),
        macro_f1=interval(float(first.macro_f1 - second.macro_f1), drawn.macro_f1_B, confidence),
        only_first_right=drawn.only_first_right,
        only_second_right=drawn.only_second_right,
        p_value=mcnemar_exact(drawn.only_first_right, drawn.only_second_right),
    )


def mcnemar_exact(only_first_right: int, only_second_right: int) -> float:
    """Two-sided exact p-value of McNemar's test: a fair coin over the rows where just one model is right."""
    tosses, smaller = only_first_right + only_second_right, min(only_first_right, only_second_right)
    # Whole numbers, not floats: 2**tosses leaves the range of a float at 1,024 disagreements.
    ways = total = 1
    for heads in range(smaller):
        ways = ways * (tosses - heads) // (heads + 1)
        total += ways
    return float(min(1.0, 2 * total / 2**tosses))
