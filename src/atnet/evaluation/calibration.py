"""Calibration: are 80 % of the texts predicted with confidence 0.8 right?

Letters in array names: N rows, C classes, K bins.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from atnet.evaluation.metrics import Floats, Ints, safe_divide


@dataclass(frozen=True, slots=True)
class Reliability:
    """Mean confidence and accuracy in bins of equal width over [0, 1]; arrays of shape (K,)."""

    rows: Ints
    confidence: Floats
    """Mean confidence of the rows in a bin, 0 for an empty bin."""
    accuracy: Floats
    """Share of the rows in a bin that are right, 0 for an empty bin."""

    @property
    def expected_error(self) -> float:
        """Expected calibration error: mean |confidence - accuracy|, weighted by rows (Naeini et al. 2015)."""
        return float((self.rows * abs(self.confidence - self.accuracy)).sum() / max(1, self.rows.sum()))

    @property
    def mean_confidence(self) -> float:
        """Mean confidence of all rows."""
        return float((self.rows * self.confidence).sum() / max(1, self.rows.sum()))

    @property
    def bin_centers(self) -> Floats:
        """Center of each bin, shape (K,)."""
        return np.asarray((np.arange(len(self.rows)) + 0.5) / len(self.rows))


def reliability(actual_N: Ints, probabilities_NC: Floats, bins: int) -> Reliability:
    """Group the rows by the probability of their predicted label."""
    return binned_reliability(probabilities_NC.max(axis=1), probabilities_NC.argmax(axis=1) == actual_N, bins)


def binned_reliability(confidence_N: Floats, right_N: NDArray[np.bool_], bins: int) -> Reliability:
    """Group rows by the probability of their predicted label, given whether it is right."""
    bin_N = np.minimum((confidence_N * bins).astype(np.int64), bins - 1)
    rows_K = np.bincount(bin_N, minlength=bins).astype(np.float64)
    return Reliability(
        rows=rows_K.astype(np.int64),
        confidence=safe_divide(np.bincount(bin_N, weights=confidence_N, minlength=bins), rows_K),
        accuracy=safe_divide(np.bincount(bin_N, weights=right_N.astype(np.float64), minlength=bins), rows_K),
    )


def expected_calibration_error(actual_N: Ints, probabilities_NC: Floats, bins: int) -> float:
    """Compute the expected calibration error over equal-width bins."""
    return reliability(actual_N, probabilities_NC, bins).expected_error
