"""Logistic regression whose weights have different leeway, for sparse or composed features.

Letters: N texts, F features, K columns; with one column the answer is a sigmoid, with more a softmax.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from scipy.optimize import minimize

MOST_STEPS = 120
TOLERANCE = 1e-5
"""Relative fall of the objective at which the search stops."""
MEMORY = 10


class Features(Protocol):
    """A matrix (N, F) known by its products."""

    @property
    def shape(self) -> tuple[int, int]:
        """Give N and F."""

    def times(self, weights_FK: np.ndarray) -> np.ndarray:
        """Multiply from the right: (N, K)."""

    def back(self, slopes_NK: np.ndarray) -> np.ndarray:
        """Multiply the transposed matrix: (F, K)."""


@dataclass(frozen=True, slots=True)
class Fitted:
    """What was found."""

    weights_FK: np.ndarray
    intercept_K: np.ndarray
    free_FK: np.ndarray
    """The weights over their leeway, from which another strength may start."""

    def answers(self, features: Features) -> np.ndarray:
        """Give the logits (N, K)."""
        answers: np.ndarray = features.times(self.weights_FK) + self.intercept_K
        return answers


def fit_logistic(
    features: Features,
    targets_NC: np.ndarray,
    *,
    leeway_FK: np.ndarray,
    strength: float,
    weights_N: np.ndarray,
    start: Fitted | None = None,
) -> Fitted:
    """Minimise strength x weighted log-loss + half the sum of (weight / leeway)^2, by L-BFGS.

    A leeway of the naive-Bayes log-count ratio gives NB-SVM with the logistic loss (Wang & Manning 2012). The intercept
    is free. The same inputs give the same bytes.

    Args:
        targets_NC: shares of the classes, rows that sum to 1; two classes have one column of weights.
        weights_N: how much each text counts.
        start: another fit of the same features to begin from.
    """
    count, columns = leeway_FK.shape
    binary = columns == 1
    targets = targets_NC[:, 1:] if binary else targets_NC

    def objective(point: np.ndarray) -> tuple[float, np.ndarray]:
        free = point[: count * columns].reshape(count, columns)
        logits = features.times((free * leeway_FK).astype(np.float32)) + point[count * columns :]
        losses, slopes = _sigmoid_loss(logits, targets) if binary else _softmax_loss(logits, targets)
        slopes *= strength * weights_N[:, None]
        gradient = leeway_FK * features.back(slopes.astype(np.float32)) + free
        loss = strength * float(losses @ weights_N) + 0.5 * float((free**2).sum())
        return loss, np.concatenate([gradient.ravel(), slopes.sum(axis=0)])

    begin = np.zeros(count * columns + columns)
    if start is not None:
        begin = np.concatenate([start.free_FK.ravel(), start.intercept_K]).astype(np.float64)
    options = {"maxiter": MOST_STEPS, "ftol": TOLERANCE, "gtol": 0.0, "maxcor": MEMORY}
    found = minimize(objective, begin, jac=True, method="L-BFGS-B", options=options).x
    free_FK = found[: count * columns].reshape(count, columns)
    return Fitted((free_FK * leeway_FK).astype(np.float32), found[count * columns :].astype(np.float32), free_FK)


def _sigmoid_loss(logits_N1: np.ndarray, targets_N1: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    losses = np.logaddexp(0, logits_N1) - targets_N1 * logits_N1
    return losses[:, 0], np.exp(-np.logaddexp(0, -logits_N1)) - targets_N1


def _softmax_loss(logits_NK: np.ndarray, targets_NK: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    shifted = logits_NK - logits_NK.max(axis=1, keepdims=True)
    exponentials = np.exp(shifted)
    totals = exponentials.sum(axis=1, keepdims=True)
    losses = np.log(totals[:, 0]) - (targets_NK * shifted).sum(axis=1)
    return losses, exponentials / totals - targets_NK
