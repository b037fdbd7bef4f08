"""Compare two models on the same rows so that chance alone rarely promotes one.

Letters in array names: N rows, C classes, B resamples.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from scipy.stats import binom

from atnet.evaluation.bootstrap import draw_pairs, mcnemar_exact
from atnet.evaluation.metrics import Floats, Ints


@dataclass(frozen=True, slots=True)
class PairedComparison:
    """A first model against a second model on the same rows."""

    rows: int
    first: float
    """Macro-F1 of the first model."""
    second: float
    """Macro-F1 of the second model."""
    low: float
    """Conservative lower bound of the difference first minus second."""
    only_first_right: int
    only_second_right: int

    @property
    def delta(self) -> float:
        """Macro-F1 of the first model minus that of the second."""
        return self.first - self.second

    @property
    def p_value(self) -> float:
        """Two-sided exact p-value of McNemar's test."""
        return mcnemar_exact(self.only_first_right, self.only_second_right)

    @property
    def p_worse(self) -> float:
        """One-sided exact p-value against "the first model is right at least as often"."""
        return sign_test(self.only_first_right, self.only_second_right)


@dataclass(frozen=True, slots=True)
class Resampling:
    """How a comparison resamples."""

    samples: int
    confidence: float
    """One-sided confidence level of the lower bound."""


def compare_paired(
    actual_N: Ints, first_N: Ints, second_N: Ints, classes: int, resampling: Resampling, rng: np.random.Generator
) -> PairedComparison:
    """Compare the macro-F1 of two models with a paired bootstrap.

    Args:
        actual_N, first_N, second_N: class ids below `classes`; at least one row.
        classes: number of classes.
        resampling: resamples and confidence.
        rng: of the resampling.
    """
    drawn = draw_pairs(actual_N, first_N, second_N, classes, samples=resampling.samples, rng=rng)
    first, second = float(drawn.first.macro_f1), float(drawn.second.macro_f1)
    bound = conservative_lower_bound(first - second, drawn.macro_f1_B, resampling.confidence)
    return PairedComparison(
        rows=len(actual_N),
        first=first,
        second=second,
        # Scores move in steps of about one row: a bound closer to zero than one step does not differ from zero.
        low=bound - 1 / len(actual_N),
        only_first_right=drawn.only_first_right,
        only_second_right=drawn.only_second_right,
    )


def conservative_lower_bound(value: float, resampled_B: Floats, confidence: float) -> float:
    """Compute a one-sided lower bound that keeps its confidence in spite of its approximations.

    The lower of the percentile and the bias-corrected percentile (Efron 1987), each at a quantile lowered by the
    Monte Carlo error of the resampling. Plain percentiles let sometimes more, sometimes fewer than the nominal 5 % of
    equal models pass; benchmarks/gate_power.py measures both.
    """
    samples, normal = resampled_B.size, NormalDist()
    tail = 1 - confidence
    # A quantile of B resamples is itself uncertain: lower it by its standard error, at the same confidence.
    tail -= normal.inv_cdf(confidence) * math.sqrt(tail * confidence / samples)
    tail = max(tail, 1 / (samples + 1))
    below = float((resampled_B < value).mean() + (resampled_B == value).mean() / 2)
    shift = normal.inv_cdf(min(max(below, 1 / (samples + 1)), samples / (samples + 1)))
    corrected = normal.cdf(2 * shift + normal.inv_cdf(tail))
    return float(np.quantile(resampled_B, min(tail, corrected)))


def sign_test(wins: int, losses: int) -> float:
    """Return the probability of at least this many losses if wins and losses are equally likely."""
    return float(binom.sf(losses - 1, wins + losses, 0.5))


def holm(p_values: Mapping[str, float], level: float) -> dict[str, float]:
    """Return the tests that are significant after Holm's correction (Holm 1979), with adjusted p-values.

    The probability that any of them is returned wrongly is at most `level`, however the tests depend on each other.
    """
    significant: dict[str, float] = {}
    largest = 0.0
    for rank, (name, p_value) in enumerate(sorted(p_values.items(), key=lambda item: item[1])):
        largest = max(largest, min(1.0, p_value * (len(p_values) - rank)))
        if largest > level:
            break
        significant[name] = largest
    return significant
