"""Logistic regression with a prior scale per weight, for features that are sparse or known only by matrix products.

Shapes: N texts, F features, K weight columns. One column is fitted with a sigmoid, several with a softmax.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from atnet.wide.lbfgs import minimize_lbfgs

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
    dual: np.ndarray
    """(N + 1, K), the weights as a combination of the texts' scaled features, then the intercept; another fit on the
    same texts can start from it."""

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
    The intercept is not regularized. The same inputs give the same bytes, with any number of threads. The weights are
    (prior scale)^2 * X^T u for one number u per text and column, over which the minimum is searched.

    Args:
        targets_NC: class probabilities, rows that sum to 1; two classes have one column of weights.
        regularization: C, the inverse strength.
        row_weights_N: weight of each text in the loss.
        start: a fit on the same texts to start from; its features may differ.
        temperature: of a teacher; the targets then are the two parts of `TrainingTargets.softened_N2C`.
    """
    binary = prior_scale_FK.shape[1] == 1
    row_loss = _row_loss(targets_NC, binary) if temperature is None else _softened_loss(targets_NC, binary, temperature)
    row_weights_N1 = regularization * row_weights_N[:, None].astype(_precision(binary))
    problem = _DualProblem(features, prior_scale_FK.astype(np.float32) ** 2, row_loss, row_weights_N1)
    optimum = minimize_lbfgs(
        problem.objective,
        problem.gram,
        _initial(targets_NC, prior_scale_FK, start),
        max_iterations=MAX_ITERATIONS,
        tolerance=TOLERANCE if binary else MANY_CLASSES_TOLERANCE,
        corrections=CORRECTIONS,
    )
    return LogisticFit(problem.weights(optimum), optimum[-1].astype(np.float32), optimum)


@dataclass(frozen=True, slots=True)
class _DualProblem:
    """A fit in numbers per text; a point is (N + 1, K), its last row the intercept."""

    features: FeatureMatrix
    variance_FK: np.ndarray
    """The squared prior scales."""
    row_loss: RowLoss
    row_weights_N1: np.ndarray
    """C times the weight of each text."""

    def objective(self, point: np.ndarray, products: np.ndarray) -> tuple[float, np.ndarray]:
        """Return the value and the coefficients of the gradient at a point, from its product with the Gram matrix."""
        losses, gradients = self.row_loss(products[:-1] + products[-1])
        gradients = gradients * self.row_weights_N1
        penalty = float(np.sum(point[:-1] * products[:-1], dtype=np.float64)) / 2
        value = float(np.sum(losses * self.row_weights_N1[:, 0], dtype=np.float64)) + penalty
        return value, np.concatenate([gradients + point[:-1], gradients.sum(axis=0, keepdims=True)])

    def weights(self, point: np.ndarray) -> np.ndarray:
        """Return the weights (F, K) of a point."""
        scaled: np.ndarray = self.variance_FK * self.features.rmatmul(point[:-1].astype(np.float32))
        return scaled

    def gram(self, point: np.ndarray) -> np.ndarray:
        """Multiply a point by the Gram matrix of the scaled features; the intercept stays as it is."""
        return np.concatenate([self.features.matmul(self.weights(point)).astype(point.dtype), point[-1:]])


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


def _initial(targets_NC: np.ndarray, prior_scale_FK: np.ndarray, start: LogisticFit | None) -> np.ndarray:
    columns = prior_scale_FK.shape[1]
    if start is None:
        return np.zeros((len(targets_NC) + 1, columns), _precision(columns == 1))
    return start.dual


def _precision(binary: bool) -> type[np.floating]:
    # With many columns single precision halves the memory and the time; with one, both are small.
    return np.float64 if binary else np.float32


def _sigmoid_loss(logits_N1: np.ndarray, targets_N1: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    losses = np.logaddexp(0, logits_N1) - targets_N1 * logits_N1
    return losses[:, 0], np.exp(-np.logaddexp(0, -logits_N1)) - targets_N1


def _softmax_loss(logits_NK: np.ndarray, targets_NK: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    shifted = logits_NK - logits_NK.max(axis=1, keepdims=True)
    exponentials = np.exp(shifted)
    totals = exponentials.sum(axis=1, keepdims=True)
    losses = np.log(totals[:, 0]) - (targets_NK * shifted).sum(axis=1)
    return losses, exponentials / totals - targets_NK
