"""Metrics of predicted labels and of probabilities, as pure functions of arrays.

Letters in array names: N rows, C classes, B resamples. Classes are numbered 0 to C-1.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

MIN_PROBABILITY = 1e-15
"""Lower bound inside the logarithm, so that one error with confidence 1 does not make the mean infinite."""

BLOCK_ROWS = 50_000
"""Rows of probabilities processed at a time."""


@dataclass(frozen=True, slots=True)
class ClassCounts:
    """The counts from which label metrics are computed: three per class, each of shape (..., C)."""

    support: Floats
    """Rows of the class."""
    predicted: Floats
    """Rows predicted as the class."""
    true_positives: Floats
    """Rows of the class that were predicted as it."""

    @property
    def accuracy(self) -> Floats:
        """Share of all rows that are predicted correctly, shape (...)."""
        return safe_divide(self.true_positives.sum(axis=-1), self.support.sum(axis=-1))

    @property
    def precision(self) -> Floats:
        """Share of the rows predicted as a class that belong to it; 0 for a class that is never predicted."""
        return safe_divide(self.true_positives, self.predicted)

    @property
    def recall(self) -> Floats:
        """Share of the rows of a class that are predicted as it; 0 for a class without rows."""
        return safe_divide(self.true_positives, self.support)

    @property
    def f1(self) -> Floats:
        """Harmonic mean of precision and recall, 0 where both are 0."""
        return safe_divide(2 * self.true_positives, self.support + self.predicted)

    @property
    def macro_f1(self) -> Floats:
        """Mean F1 of the classes that have rows, shape (...).

        Classes without rows are excluded, so that two models evaluated on the same rows are averaged over the same
        classes.
        """
        present = self.support > 0
        return safe_divide(np.where(present, self.f1, 0.0).sum(axis=-1), present.sum(axis=-1))


def safe_divide(numerator: ArrayLike, denominator: ArrayLike) -> Floats:
    """Divide element by element; 0 where the denominator is 0."""
    top, bottom = np.asarray(numerator, dtype=np.float64), np.asarray(denominator, dtype=np.float64)
    return np.divide(top, bottom, out=np.zeros(np.broadcast(top, bottom).shape), where=bottom > 0)


def count_classes(actual_N: Ints, predicted_N: Ints, classes: int) -> ClassCounts:
    """Count rows per class; each count has shape (C,)."""
    correct_N = actual_N[actual_N == predicted_N]
    support_C, predicted_C, true_positives_C = (
        np.bincount(values, minlength=classes).astype(np.float64) for values in (actual_N, predicted_N, correct_N)
    )
    return ClassCounts(support_C, predicted_C, true_positives_C)


def confusion_matrix(actual_N: Ints, predicted_N: Ints, classes: int) -> Ints:
    """Count rows by actual class (down) and predicted class (across), shape (C, C)."""
    cells = np.bincount(actual_N * classes + predicted_N, minlength=classes * classes)
    return cells.reshape(classes, classes).astype(np.int64)


def log_losses(actual_N: Ints, probabilities_NC: Floats) -> Floats:
    """Compute the negative log-probability (nats) of each row's actual class, shape (N,); its mean is the log-loss."""
    actual_probability_N = probabilities_NC[np.arange(len(actual_N)), actual_N]
    return np.asarray(-np.log(np.maximum(actual_probability_N, MIN_PROBABILITY)))


def brier_scores(actual_N: Ints, probabilities_NC: Floats) -> Floats:
    """Compute each row's squared distance from the one-hot label, shape (N,); its mean is the Brier score.

    With two classes the distance is halved, as usual: it is then the squared error of one probability.
    """
    classes = probabilities_NC.shape[1]
    distance_N = np.concatenate(
        [
            ((probabilities_NC[rows] - np.eye(classes)[actual_N[rows]]) ** 2).sum(axis=1)
            for rows in row_blocks(len(actual_N))
        ]
    )
    return np.asarray(distance_N / 2 if classes == 2 else distance_N)


def row_blocks(rows: int) -> Iterator[slice]:
    """Divide rows into blocks, at least one, so that a temporary (N, C) array is never needed."""
    return (slice(start, start + BLOCK_ROWS) for start in range(0, max(rows, 1), BLOCK_ROWS))
