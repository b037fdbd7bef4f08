"""Decide when a difference is an alarm (significant, large and persistent), and what to do then.

The significance level of a window follows from the false alarms per year that the user allows.
"""

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq
from scipy.stats import norm

from atnet.config import MinEffectsConfig, MonitorConfig, PersistenceConfig
from atnet.monitoring.null_distribution import PValues
from atnet.monitoring.window_records import Action

MAX_LEVEL = 0.1
"""Upper bound, however many false alarms are allowed: a test at a higher level is not informative."""
MIN_LEVEL = 1e-6
NODES, WEIGHTS = np.polynomial.hermite_e.hermegauss(40)
"""Gauss-Hermite quadrature, for the mean over a standard normal variable."""


@dataclass(frozen=True, slots=True)
class StatisticResult:
    """The result of one statistic."""

    statistic: str
    effect: float
    min_effect: float
    """Smallest effect that counts as drift."""
    p_value: float
    significant: bool
    """Whether the test of all statistics together is significant, and this one by itself."""

    @property
    def is_large(self) -> bool:
        """Whether the effect is large enough to count as drift."""
        return self.effect >= self.min_effect

    @property
    def drifted(self) -> bool:
        """Whether the difference is significant and large."""
        return self.significant and self.is_large


def significance_level(config: MonitorConfig, *, rows: int, reference_rows: int) -> float:
    """Return the significance level per window at which the allowed number of false alarms per year is expected.

    All windows are compared with the same reference. If its texts happen to be slightly unusual, every window looks
    slightly more different, so false positives come in clusters. The smaller the reference, the lower the level.

    Args:
        config: allowed false alarms, windows per year and persistence.
        rows: texts of a window.
        reference_rows: texts of the reference.
    """
    correlation = shared_reference_correlation(rows, reference_rows)
    allowed = config.false_alarms_per_year / config.windows_per_year

    def excess(level: float) -> float:
        return alarm_rate(level, config.persistence, correlation) - allowed

    if excess(MAX_LEVEL) <= 0:
        return MAX_LEVEL
    if excess(MIN_LEVEL) >= 0:
        return MIN_LEVEL
    return float(brentq(excess, MIN_LEVEL, MAX_LEVEL))


def shared_reference_correlation(rows: int, reference_rows: int) -> float:
    """Return the correlation of two windows' differences that is due to the reference they share."""
    compared_with = reference_rows - rows
    return (1 / reference_rows) / (1 / rows + 1 / compared_with)


def alarm_rate(level: float, persistence: PersistenceConfig, correlation: float) -> float:
    """Return the expected number of alarms that start per window if nothing changes.

    Each window is a false positive with probability `level`; the normal scores behind two windows are correlated.
    """
    threshold = norm.isf(level)
    shared = np.sqrt(correlation) * NODES
    levels = norm.sf((threshold - shared) / np.sqrt(1 - correlation))
    rates = np.array([_independent_rate(float(conditional), persistence) for conditional in levels])
    return float(rates @ WEIGHTS / math.sqrt(2 * math.pi))


def is_alarm(drifted: Sequence[bool], persistence: PersistenceConfig) -> bool:
    """Return whether enough of the newest windows have drifted.

    Args:
        drifted: whether each window of a model drifted, the newest last.
        persistence: how many of how many windows.
    """
    return sum(drifted[-persistence.of :]) >= persistence.windows


def statistic_results(
    effect_sizes: Mapping[str, float], p: PValues, min_effects: MinEffectsConfig, level: float
) -> list[StatisticResult]:
    """Compare the p-values with the level, and each effect with the smallest that counts.

    The test of all statistics together keeps the level; each one is tested only if that test is significant.
    """
    return [
        StatisticResult(
            statistic=name,
            effect=effect_sizes[name],
            min_effect=getattr(min_effects, name),
            p_value=p.each[name],
            significant=p.overall <= level and p.each[name] <= level,
        )
        for name in p.each
    ]


def recommend_action(alarm: bool, new_labeled_rows: int, min_new_rows: int) -> Action:
    """Return what to do: retrain if there are enough new labeled rows, otherwise label."""
    if not alarm:
        return "none"
    return "retrain" if new_labeled_rows >= min_new_rows else "label"


def _independent_rate(level: float, persistence: PersistenceConfig) -> float:
    """Sum the probabilities of all sequences of windows at whose end an alarm starts."""
    rate = 0.0
    for sequence in itertools.product((False, True), repeat=persistence.of + 1):
        if is_alarm(sequence, persistence) and not is_alarm(sequence[:-1], persistence):
            positives = sum(sequence)
            rate += level**positives * (1 - level) ** (len(sequence) - positives)
    return rate
