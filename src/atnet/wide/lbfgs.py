"""Minimize a smooth, strictly convex function with L-BFGS in the inner product of a symmetric matrix.

A linear model with many more features than texts has its weights, and all their gradients, in the row space of its
feature matrix X. Written as X^T u, they need one number per text instead of one per feature, and their inner products
are those of the numbers u under the Gram matrix X X^T (the representer theorem; Schölkopf & Smola 2002, section 4.2).
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

CURVATURE = 0.4
"""A step must reduce the slope along its direction to this share (the strong Wolfe condition)."""
MAX_TRIALS = 12
"""Steps tried along one direction."""
MAX_GROWTH = 10.0

Gram = Callable[[np.ndarray], np.ndarray]
"""Multiplies coefficients by the matrix of the inner product; the result has their shape."""
Objective = Callable[[np.ndarray, np.ndarray], tuple[float, np.ndarray]]
"""Returns the value and the coefficients of the gradient at a point: its coefficients, and their product with the
matrix of the inner product."""


class _Trial(NamedTuple):
    """A step along a direction, with the value, the coefficients of the gradient and the slope after it."""

    step: float
    value: float
    gradient: np.ndarray
    slope: float


def minimize_lbfgs(
    objective: Objective, gram: Gram, start: np.ndarray, *, max_iterations: int, tolerance: float, corrections: int
) -> np.ndarray:
    """Minimize with L-BFGS in the precision of the start (Nocedal & Wright 2006, algorithms 7.4 and 7.5).

    Each iteration multiplies by the matrix once: the products of all points along a direction follow from those of its
    ends, so an accurate line search costs little.

    Args:
        start: coefficients of the first point; the minimum is returned in the same shape.
        tolerance: relative decrease of the value below which to stop.
        corrections: steps kept to approximate the Hessian.
    """
    history = _History(corrections)
    # Coefficients and their products are stacked, since every linear combination applies to both.
    point = np.stack([start, gram(start)])
    value, coefficients = objective(*point)
    gradient = np.stack([coefficients, gram(coefficients)])
    for iteration in range(max_iterations):
        direction = history.direction(gradient)
        trial = _line_search(objective, point, direction, _Trial(0.0, value, coefficients, _dot(gradient, direction)))
        if trial.value > value:
            break  # no step lowers the value in this precision
        new_gradient = np.stack([trial.gradient, gram(trial.gradient)])
        step = np.asarray(trial.step, point.dtype) * direction
        history.add(step, new_gradient - gradient)
        decrease = value - trial.value
        point, value, gradient = point + step, trial.value, new_gradient
        # The first direction has the length 1, whatever the scale of the problem, and may be too short.
        if iteration > 0 and decrease <= tolerance * max(abs(value), 1.0):
            break
    minimum: np.ndarray = point[0]
    return minimum


def _line_search(objective: Objective, point: np.ndarray, direction: np.ndarray, origin: _Trial) -> _Trial:
    """Find a step at which the slope is small, by the secant method within a bracket."""
    low, high, step = origin, None, 1.0
    best = None
    for _ in range(MAX_TRIALS):
        value, gradient = objective(*(point + np.asarray(step, point.dtype) * direction))
        trial = _Trial(step, value, gradient, _sum_of_products(gradient, direction[1]))
        best = trial if best is None or trial.value <= best.value else best
        if trial.value <= origin.value and abs(trial.slope) <= CURVATURE * abs(origin.slope):
            return trial
        if trial.slope > 0 or trial.value > origin.value:
            high = trial
        else:
            low = trial
        step = _next_step(low, high, trial, origin)
    assert best is not None
    return best


def _next_step(low: _Trial, high: _Trial | None, trial: _Trial, origin: _Trial) -> float:
    if high is None:
        growth = trial.slope - origin.slope
        secant = trial.step - trial.slope * trial.step / growth if growth > 0 else np.inf
        return float(np.clip(secant, 1.5 * trial.step, MAX_GROWTH * trial.step))
    width = high.step - low.step
    secant = low.step - low.slope * width / (high.slope - low.slope) if high.slope > 0 else low.step + width / 2
    return float(np.clip(secant, low.step + 0.05 * width, high.step - 0.05 * width))


class _History:
    """The last steps and the changes of the gradient along them, each stacked with its products."""

    def __init__(self, corrections: int) -> None:
        self._corrections = corrections
        self._pairs: list[tuple[np.ndarray, np.ndarray, float]] = []
        """Step, change of the gradient, and their inner product; the oldest first."""

    def add(self, step: np.ndarray, change: np.ndarray) -> None:
        product = _dot(step, change)
        if product > 0:
            self._pairs = [*self._pairs[1 - self._corrections :], (step, change, product)]

    def direction(self, gradient: np.ndarray) -> np.ndarray:
        """Multiply the gradient by minus the approximate inverse Hessian."""
        if not self._pairs:
            length = np.asarray(max(np.sqrt(max(_dot(gradient, gradient), 0.0)), 1e-12), gradient.dtype)
            first: np.ndarray = -gradient / length
            return first
        direction, factors, scratch = -gradient, [], np.empty_like(gradient)
        for step, change, product in reversed(self._pairs):
            factors.append(_dot(direction, step) / product)
            _add_multiple(direction, -factors[-1], change, scratch)
        _, change, product = self._pairs[-1]
        direction *= np.asarray(product / _dot(change, change), direction.dtype)
        for (step, change, product), factor in zip(self._pairs, reversed(factors), strict=True):
            _add_multiple(direction, factor - _dot(direction, change) / product, step, scratch)
        return direction


def _add_multiple(total: np.ndarray, factor: float, vector: np.ndarray, scratch: np.ndarray) -> None:
    # In place: the vectors of many classes do not fit in the processor's cache, and new memory is slow.
    np.multiply(vector, np.asarray(factor, vector.dtype), out=scratch)
    total += scratch


def _dot(left: np.ndarray, right: np.ndarray) -> float:
    """Return the inner product of two stacked vectors."""
    return _sum_of_products(left[0], right[1])


def _sum_of_products(left: np.ndarray, right: np.ndarray) -> float:
    # Not `@`: BLAS adds in an order that depends on the number of threads, so the bytes would differ. Row by row, since
    # a single sum of millions of products in single precision is inaccurate.
    rows = np.einsum("ij,ij->i", left.reshape(len(left), -1), right.reshape(len(right), -1))
    return float(rows.sum(dtype=np.float64))
