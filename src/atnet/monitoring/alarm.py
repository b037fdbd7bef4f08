"""When a difference is an alarm: significant, large and persistent; and what to do then.

The level of a window's test follows from the false alarms a year that the user allows.
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.optimize import brentq
from scipy.stats import norm

from atnet.config import EffectsConfig, MonitorConfig, PersistenceConfig
from atnet.monitoring.null_distribution import PValues

HIGHEST_LEVEL = 0.1
"""However many false alarms are allowed: a test at a higher level would tell nothing."""
LOWEST_LEVEL = 1e-6
NODES, WEIGHTS = np.polynomial.hermite_e.hermegauss(40)
"""For the mean over a standard normal variable."""

Action = Literal["none", "label", "retrain"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One statistic of a window."""

    statistic: str
    effect: float
    limit: float
    """Smallest effect that counts."""
    p_value: float
    adjusted: float
    """Adjusted for the number of statistics."""
    significant: bool

    @property
    def large(self) -> bool:
        """Whether the effect counts."""
        return self.effect >= self.limit

    @property
    def drifted(self) -> bool:
        """Whether the statistic is significant and large."""
        return self.significant and self.large


def significance_level(config: MonitorConfig, *, rows: int, reference_rows: int) -> float:
    """Return the level of each window's test with which the allowed number of false alarms a year is expected.

    Windows are compared with one and the same reference. If it happens to lie a little off, all of them look a little
    more different, so false positives come in groups; a reference that is small for its windows asks for a lower level.

    Args:
        config: allowed false alarms, windows a year and persistence.
        rows: texts of a window.
        reference_rows: texts of the reference.
    """
    correlation = shared_reference_correlation(rows, reference_rows)
    allowed = config.false_alarms_per_year / config.windows_per_year

    def excess(level: float) -> float:
        return alarm_rate(level, config.persistence, correlation) - allowed

    if excess(HIGHEST_LEVEL) <= 0:
        return HIGHEST_LEVEL
    if excess(LOWEST_LEVEL) >= 0:
        return LOWEST_LEVEL
    return float(brentq(excess, LOWEST_LEVEL, HIGHEST_LEVEL))


def shared_reference_correlation(rows: int, reference_rows: int) -> float:
    """Return the correlation of two windows' differences from the reference that comes from its own sampling error."""
    compared_with = reference_rows - rows
    return (1 / reference_rows) / (1 / rows + 1 / compared_with)


def alarm_rate(level: float, persistence: PersistenceConfig, correlation: float) -> float:
    """Return the alarms per window that begin when nothing has changed.

    Windows are false positives with probability `level` each; normal scores behind them share a part.
    """
    threshold = norm.isf(level)
    shared = np.sqrt(correlation) * NODES
    levels = norm.sf((threshold - shared) / np.sqrt(1 - correlation))
    rates = np.array([_rate_of_independent(float(one), persistence) for one in levels])
    return float(rates @ WEIGHTS / math.sqrt(2 * math.pi))


def is_alarm(drifted: Sequence[bool], persistence: PersistenceConfig) -> bool:
    """Tell whether enough of the newest windows have drifted.

    Args:
        drifted: of all windows of a model, the newest last.
    """
    return sum(drifted[-persistence.of :]) >= persistence.windows


def findings(effects: dict[str, float], p: PValues, limits: EffectsConfig, level: float) -> list[Finding]:
    """Judge each statistic by its adjusted p-value and its size."""
    return [
        Finding(
            statistic=name,
            effect=effects[name],
            limit=getattr(limits, name),
            p_value=p.each[name],
            adjusted=p.adjusted[name],
            significant=p.adjusted[name] <= level,
        )
        for name in p.each
    ]


def advise(alarm: bool, new_labeled_rows: int, retrain_rows: int) -> Action:
    """Return what to do: retrain once there are enough new labeled rows, label before that."""
    if not alarm:
        return "none"
    return "retrain" if new_labeled_rows >= retrain_rows else "label"


def _rate_of_independent(level: float, persistence: PersistenceConfig) -> float:
    """Sum the probabilities of all courses of windows at whose end an alarm begins."""
    rate = 0.0
    for course in itertools.product((False, True), repeat=persistence.of + 1):
        if is_alarm(course, persistence) and not is_alarm(course[:-1], persistence):
            positives = sum(course)
            rate += level**positives * (1 - level) ** (len(course) - positives)
    return rate
