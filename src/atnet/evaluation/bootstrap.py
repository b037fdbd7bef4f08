"""Bootstrap intervals over test rows, and the paired comparison of two models on the same rows.

Letters in array names: N rows, C classes, B resamples, K cells (distinct combinations of actual and predicted classes).
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from atnet.evaluation.metrics import ClassCounts, Floats, Ints, count_classes

MAX_BLOCK_WEIGHTS = 2_000_000
"""Row weights in memory at a time."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A value with its bootstrap interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Scores:
    """Metrics of one model's predicted labels."""

    accuracy: Interval
    macro_f1: Interval
    f1: tuple[Interval, ...]
    """Per class."""


@dataclass(frozen=True, slots=True)
class PairedDraws:
    """First model minus second model, on the same rows and on the same resamples of them."""

    first: ClassCounts
    second: ClassCounts
    accuracy_B: Floats
    macro_f1_B: Floats
    only_first_right: int
    only_second_right: int


@dataclass(frozen=True, slots=True)
class Comparison:
    """First model minus second model on the same rows; above 0 the first model is better."""

    accuracy: Interval
    macro_f1: Interval
    only_first_right: int
    only_second_right: int
    p_value: float
    """P-value of McNemar's exact test; null hypothesis: both models are right equally often."""


def interval(value: float, resampled_B: Floats, confidence: float) -> Interval:
    """Compute the bias-corrected percentile interval of resampled values (Efron 1987, without acceleration).

    Undefined resamples (NaN) are excluded. Where the resamples are symmetric around the value, as those of an accuracy
    are, the bounds are the plain percentiles. Macro-F1 over many labels is lower when rows are drawn twice, so its
    plain percentiles would be too low.
    """
    defined = resampled_B[~np.isnan(resampled_B)]
    if defined.size == 0:
        return Interval(float(value), math.nan, math.nan)
    normal = NormalDist()
    below = float((defined < value).mean() + (defined == value).mean() / 2)
    bias = normal.inv_cdf(min(max(below, 1 / (defined.size + 1)), defined.size / (defined.size + 1)))
    z = normal.inv_cdf((1 + confidence) / 2)
    low, high = np.quantile(defined, [normal.cdf(2 * bias - z), normal.cdf(2 * bias + z)])
    return Interval(float(value), float(low), float(high))


def _outcomes(models: Sequence[Ints], classes: int) -> Ints:
    """Return a number for each row, (N,): equal for rows with the same class ids, and in the order of these ids."""
    # One number per row, not a column of class ids: sorting columns takes many times the memory.
    outcome_N, count = np.zeros(len(models[0]), np.int64), 1
    for class_N in models:
        if count > np.iinfo(np.int64).max // classes:
            distinct, outcome_N = np.unique(outcome_N, return_inverse=True)
            count = len(distinct)
        outcome_N, count = outcome_N * classes + class_N, count * classes
    return outcome_N


def resample_counts(
    actual_N: Ints, predicted: Sequence[Ints], classes: int, *, samples: int, rng: np.random.Generator
) -> list[ClassCounts]:
    """Count classes in resampled rows, the same rows for each model; the counts have shape (B, C).

    Drawing N rows with replacement is equivalent to drawing how many rows fall in each cell, so the cost does not grow
    with N.
    """
    models = [actual_N, *predicted]
    _, first_K, rows_K = np.unique(_outcomes(models, classes), return_index=True, return_counts=True)
    draws_BK = rng.multinomial(len(actual_N), rows_K / len(actual_N), size=samples).astype(np.float64)
    class_of_cell_KC = np.eye(classes)[np.array([class_N[first_K] for class_N in models])]
    support_BC = draws_BK @ class_of_cell_KC[0]
    return [
        ClassCounts(
            support=support_BC,
            predicted=draws_BK @ class_of_cell_KC[model],
            true_positives=draws_BK @ (class_of_cell_KC[0] * class_of_cell_KC[model]),
        )
        for model in range(1, len(predicted) + 1)
    ]


def resample_rows(rows: int, *, samples: int, rng: np.random.Generator) -> Iterator[Floats]:
    """Draw rows with replacement; yield how often each row was drawn, in blocks of shape (up to B, N)."""
    block = max(1, MAX_BLOCK_WEIGHTS // rows)
    for start in range(0, samples, block):
        size = min(block, samples - start)
        cells = rng.integers(rows, size=(size, rows)) + rows * np.arange(size)[:, None]
        yield np.bincount(cells.ravel(), minlength=size * rows).reshape(size, rows).astype(np.float64)


def draw_pairs(
    actual_N: Ints, first_N: Ints, second_N: Ints, classes: int, *, samples: int, rng: np.random.Generator
) -> PairedDraws:
    """Resample the rows that two models predicted, and count the rows on which only one of them is right."""
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
    """Compute the metrics of predicted labels, each with its interval."""
    counts = count_classes(actual_N, predicted_N, classes)
    (resampled,) = resample_counts(actual_N, [predicted_N], classes, samples=samples, rng=rng)
    return Scores(
        accuracy=interval(float(counts.accuracy), resampled.accuracy, confidence),
        macro_f1=interval(float(counts.macro_f1), resampled.macro_f1, confidence),
        f1=tuple(interval(counts.f1[c], resampled.f1[:, c], confidence) for c in range(classes)),
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

    The one-sided bound at level 1-a is the `low` (or `high`) of an interval with confidence 1-2a.
    """
    pairs = draw_pairs(actual_N, first_N, second_N, classes, samples=samples, rng=rng)
    first, second = pairs.first, pairs.second
    return Comparison(
        accuracy=interval(float(first.accuracy - second.accuracy), pairs.accuracy_B, confidence),
        macro_f1=interval(float(first.macro_f1 - second.macro_f1), pairs.macro_f1_B, confidence),
        only_first_right=pairs.only_first_right,
        only_second_right=pairs.only_second_right,
        p_value=mcnemar_exact(pairs.only_first_right, pairs.only_second_right),
    )


def mcnemar_exact(only_first_right: int, only_second_right: int) -> float:
    """Compute the exact two-sided p-value of McNemar's test: a fair coin over the rows where only one is right."""
    tosses, smaller = only_first_right + only_second_right, min(only_first_right, only_second_right)
    # Integers, not floats: with 1,024 disagreements or more, 2**tosses exceeds the range of a float.
    ways = total = 1
    for heads in range(smaller):
        ways = ways * (tosses - heads) // (heads + 1)
        total += ways
    return float(min(1.0, 2 * total / 2**tosses))
