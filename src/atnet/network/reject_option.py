"""The reject option: the smallest confidence with which a model answers, for a stated accuracy of its answers.

Letters in array names: N validation texts.
"""

import math

import numpy as np
from scipy.stats import beta

from atnet.errors import ConfigurationError

RISK = 0.05
"""Probability, over draws of the validation texts, that the answers are less accurate than stated."""
COVERAGES = 20
"""Thresholds tried: those that answer 100 %, 95 %, ... 5 % of the validation texts."""
DECIMALS = 6


def min_confidence(confidence_N: np.ndarray, right_N: np.ndarray, target_accuracy: float) -> float:
    """Choose the confidence from which on the model answers, so that it answers as many texts as the bound allows.

    Selection with guaranteed risk (Geifman & El-Yaniv 2017): the upper bound of the error rate (Clopper & Pearson 1934)
    is computed with the risk divided by the number of thresholds tried, and holds for texts like the validation texts.
    The article finds the threshold by a binary search. Evenly spaced coverages replace it: with few answers the bound
    rises again, and the search would then end without a threshold where one exists.

    Args:
        confidence_N: probability of the predicted label.
        right_N: whether it is the actual label.

    Raises:
        ConfigurationError: if not even the most confident predictions reach the accuracy.
    """
    descending_N = np.sort(confidence_N)[::-1]
    for coverage in np.linspace(1, 0, COVERAGES, endpoint=False):
        threshold = float(descending_N[max(1, round(coverage * len(descending_N))) - 1])
        answered_N = confidence_N >= threshold
        errors = int((answered_N & ~right_N).sum())
        if error_bound(int(answered_N.sum()), errors, RISK / COVERAGES) <= 1 - target_accuracy:
            break
    else:
        raise ConfigurationError(
            f"evaluate.target_accuracy is {target_accuracy:g}, which cannot be guaranteed on {len(confidence_N):,} "
            "validation texts, however few are answered. Lower it, give validation more rows, or set it to null."
        )
    # Rounded down, so that the text that set the threshold is answered.
    return float(math.floor(threshold * 10**DECIMALS) / 10**DECIMALS)


def error_bound(answered: int, errors: int, risk: float) -> float:
    """Compute the upper bound of an error rate that is exceeded with this probability at most (Clopper-Pearson)."""
    if errors == answered:
        return 1.0
    bound: float = beta.ppf(1 - risk, errors + 1, answered - errors).item()
    return bound
