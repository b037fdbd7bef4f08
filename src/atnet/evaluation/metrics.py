"""Scores of hard labels and of probabilities, as pure functions of arrays.

Letters in array names: N rows, C classes, B resamples. Classes are numbered 0 to C-1.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

SMALLEST_PROBABILITY = 1e-15
"""Floor under the logarithm, so that one absolutely sure mistake does not make the mean infinite."""


@dataclass(frozen=True, slots=True)
class ClassCounts:
    """Everything that hard-label scores need: three counts per class, each of shape (..., C)."""

    support: Floats
    """Rows that have the class."""
    given: Floats
    """Rows that were given the class."""
    hits: Floats
    """Rows that have it and were given it."""

    @property
    def accuracy(self) -> Floats:
        """Share of all rows that were given the class they have, shape (...)."""
        return share(self.hits.sum(axis=-1), self.support.sum(axis=-1))

    @property
    def precision(self) -> Floats:
        """Share of the rows given a class that have it; 0 for a class never given."""
        return share(self.hits, self.given)

    @property
    def recall(self) -> Floats:
        """Share of the rows having a class that were given it; 0 for a class without rows."""
        return share(self.hits, self.support)

    @property
    def f1(self) -> Floats:
        """Harmonic mean of precision and recall, 0 where both are."""
        return share(2 * self.hits, self.support + self.given)

    @property
    def macro_f1(self) -> Floats:
        """Mean F1 of the classes that have rows, shape (...).

        A class without rows is left out, so that two models judged on the same rows are averaged over the same classes.
        """
        present = self.support > 0
        return share(np.where(present, self.f1, 0.0).sum(axis=-1), present.sum(axis=-1))


def share(part: ArrayLike, whole: ArrayLike) -> Floats:
    """Divide, giving 0 where the whole is 0."""
    parts, wholes = np.asarray(part, dtype=np.float64), np.asarray(whole, dtype=np.float64)
    return np.divide(parts, wholes, out=np.zeros(np.broadcast(parts, wholes).shape), where=wholes > 0)


def count_classes(actual_N: Ints, predicted_N: Ints, classes: int) -> ClassCounts:
    """Count rows per class; each count has shape (C,)."""
    hits_N = actual_N[actual_N == predicted_N]
    counted = (np.bincount(values, minlength=classes).astype(np.float64) for values in (actual_N, predicted_N, hits_N))
    return ClassCounts(*counted)


def confusion_matrix(actual_N: Ints, predicted_N: Ints, classes: int) -> Ints:
    """Count rows by actual class (down) and predicted class (across), shape (C, C)."""
    cells = np.bincount(actual_N * classes + predicted_N, minlength=classes * classes)
    return cells.reshape(classes, classes).astype(np.int64)


def log_losses(actual_N: Ints, probabilities_NC: Floats) -> Floats:
    """Negative log-probability (nats) of each row's own class, shape (N,); its mean is the log-loss."""
    own_N = probabilities_NC[np.arange(len(actual_N)), actual_N]
    return np.asarray(-np.log(np.maximum(own_N, SMALLEST_PROBABILITY)))


def brier_scores(actual_N: Ints, probabilities_NC: Floats) -> Floats:
    """Squared distance of each row's probabilities from the truth, shape (N,); its mean is the Brier score.

    With two classes the distance is halved, as is usual: it is then the squared error of one probability.
    """
    classes = probabilities_NC.shape[1]
    distance_N = ((probabilities_NC - np.eye(classes)[actual_N]) ** 2).sum(axis=1)
    return np.asarray(distance_N / 2 if classes == 2 else distance_N)
