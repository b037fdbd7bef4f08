"""Logistic regression with a prior scale per weight, for features that are sparse or known only by matrix products.

Shapes: N texts, F features, K weight columns. One column is fitted with a sigmoid, several with a softmax.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from scipy.optimize import minimize

from atnet.wide.lbfgs import Objective, minimize_lbfgs

MAX_ITERATIONS = 120
TOLERANCE, MANY_CLASSES_TOLERANCE = 1e-5, 1e-4
"""Relative decrease of the objective below which the optimizer stops, for two classes and for more. The looser one
halves the time; ADR 23 compares the validation losses."""
RowLoss = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]
"""Maps logits (N, K) to the loss of each text (N,) and its gradients (N, K)."""
CORRECTIONS = 10
"""Gradient differences that L-BFGS keeps to approximate the Hessian."""


class FeatureMatrix(Protocol):
    """A matrix (N, F) known by its products."""

    @property
    def shape(self) -> tuple[int, int]:
        """Return N and F."""

    def matmul(self, weights_FK: np.ndarray) -> np.ndarray:
        """Multiply the matrix by weights: (N, K)."""

    def rmatmul(self, gradients_NK: np.ndarray) -> np.ndarray:
        """Multiply the transposed matrix by gradients: (F, K)."""


@dataclass(frozen=True, slots=True)
class LogisticFit:
    """A fitted logistic regression."""

    weights_FK: np.ndarray
    intercept_K: np.ndarray
    unscaled_FK: np.ndarray
    """The weights divided by their prior scale; the fit of another regularization can start from them."""

    def logits(self, features: FeatureMatrix) -> np.ndarray:
        """Return the logits (N, K)."""
        logits: np.ndarray = features.matmul(self.weights_FK) + self.intercept_K
        return logits


def fit_logistic(
    features: FeatureMatrix,
    targets_NC: np.ndarray,
    *,
    prior_scale_FK: np.ndarray,
    regularization: float,
    row_weights_N: np.ndarray,
    start: LogisticFit | None = None,
    temperature: float | None = None,
) -> LogisticFit:
    """Minimize C * weighted log-loss + half the sum of (weight / prior scale)^2 with L-BFGS.

    With the naive-Bayes log-count ratios as prior scales this is NB-SVM with the logistic loss (Wang & Manning 2012).
    The intercept is not regularized. The same inputs give the same bytes.

    Args:
        targets_NC: class probabilities, rows that sum to 1; two classes have one column of weights.
        regularization: C, the inverse strength.
        row_weights_N: weight of each text in the loss.
        start: a fit of the same features to start from.
        temperature: of a teacher; the targets then are the two parts of `TrainingTargets.softened_N2C`.
    """
    count, columns = prior_scale_FK.shape
    binary = columns == 1
    row_loss = _row_loss(targets_NC, binary) if temperature is None else _softened_loss(targets_NC, binary, temperature)

    def objective(point: np.ndarray) -> tuple[float, np.ndarray]:
        unscaled = point[: count * columns].reshape(count, columns)
        logits = features.matmul((unscaled * prior_scale_FK).astype(np.float32)) + point[count * columns :]
        losses, gradients = row_loss(logits)
        gradients *= regularization * row_weights_N[:, None]
        weight_gradient = prior_scale_FK * features.rmatmul(gradients.astype(np.float32)) + unscaled
        loss = regularization * float(losses @ row_weights_N) + 0.5 * float((unscaled**2).sum())
        return loss, np.concatenate([weight_gradient.ravel(), gradients.sum(axis=0)])

    optimum = (_minimize if binary else _minimize_many)(objective, _initial(prior_scale_FK, start))
    unscaled_FK, intercept_K = optimum[: count * columns].reshape(count, columns), optimum[count * columns :]
    return LogisticFit((unscaled_FK * prior_scale_FK).astype(np.float32), intercept_K.astype(np.float32), unscaled_FK)


def _row_loss(targets_NC: np.ndarray, binary: bool) -> RowLoss:
    """Return the cross-entropy with targets whose rows sum to 1."""
    if binary:
        return lambda logits_N1: _sigmoid_loss(logits_N1, targets_NC[:, 1:])
    return lambda logits_NK: _softmax_loss(logits_NK, targets_NC)


def _softened_loss(targets_N2C: np.ndarray, binary: bool, temperature: float) -> RowLoss:
    """Return the sum of the cross-entropy with the labels and that with the teacher at a temperature."""
    parts = np.split(targets_N2C, 2, axis=1)
    shares = [part.sum(axis=1, keepdims=True) for part in parts]
    label_loss, teacher_loss = (
        _row_loss(part / np.where(share > 0, share, 1), binary) for part, share in zip(parts, shares, strict=True)
    )
    label_share_N1, teacher_share_N1 = shares

    def loss(logits_NK: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        losses, gradients = label_loss(logits_NK)
        soft_losses, soft_gradients = teacher_loss(logits_NK / temperature)
        return (
            losses * label_share_N1[:, 0] + temperature**2 * soft_losses * teacher_share_N1[:, 0],
            gradients * label_share_N1 + temperature * soft_gradients * teacher_share_N1,
        )

    return loss


def _initial(prior_scale_FK: np.ndarray, start: LogisticFit | None) -> np.ndarray:
    count, columns = prior_scale_FK.shape
    if start is None:
        return np.zeros(count * columns + columns)
    return np.concatenate([start.unscaled_FK.ravel(), start.intercept_K]).astype(np.float64)


def _minimize(objective: Objective, initial: np.ndarray) -> np.ndarray:
    options = {"maxiter": MAX_ITERATIONS, "ftol": TOLERANCE, "gtol": 0.0, "maxcor": CORRECTIONS}
    optimum: np.ndarray = minimize(objective, initial, jac=True, method="L-BFGS-B", options=options).x
    return optimum


def _minimize_many(objective: Objective, initial: np.ndarray) -> np.ndarray:
    """Minimize over the weights of several classes in single precision, which halves the memory and the time."""
    return minimize_lbfgs(
        objective,
        initial.astype(np.float32),
        max_iterations=MAX_ITERATIONS,
        tolerance=MANY_CLASSES_TOLERANCE,
        corrections=CORRECTIONS,
    )


def _sigmoid_loss(logits_N1: np.ndarray, targets_N1: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    losses = np.logaddexp(0, logits_N1) - targets_N1 * logits_N1
    return losses[:, 0], np.exp(-np.logaddexp(0, -logits_N1)) - targets_N1


def _softmax_loss(logits_NK: np.ndarray, targets_NK: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    shifted = logits_NK - logits_NK.max(axis=1, keepdims=True)
    exponentials = np.exp(shifted)
    totals = exponentials.sum(axis=1, keepdims=True)
    losses = np.log(totals[:, 0]) - (targets_NK * shifted).sum(axis=1)
    return losses, exponentials / totals - targets_NK
