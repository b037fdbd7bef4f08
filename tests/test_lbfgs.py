"""The minimizer of the logistic regressions, compared with scipy's."""

import numpy as np
import pytest
from scipy.optimize import minimize

from atnet.wide.lbfgs import minimize_lbfgs


def identity(point: np.ndarray) -> np.ndarray:
    """Multiply by the matrix of the usual inner product."""
    return point.copy()


def convex(seed: int, size: int = 200) -> tuple[np.ndarray, np.ndarray]:
    """Return a badly conditioned quadratic function: its curvatures and its minimum."""
    rng = np.random.default_rng(seed)
    return 10 ** rng.uniform(-2, 2, size), rng.normal(size=size)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_it_finds_the_minimum_of_a_badly_conditioned_function(dtype: type) -> None:
    curvatures, minimum = convex(0)

    def objective(point: np.ndarray, _: np.ndarray) -> tuple[float, np.ndarray]:
        distance = point - minimum
        return float(0.5 * (curvatures * distance**2).sum()), (curvatures * distance).astype(point.dtype)

    found = minimize_lbfgs(objective, identity, np.zeros(200, dtype), max_iterations=1000, tolerance=0, corrections=10)
    assert found.dtype == dtype
    assert objective(found, found)[0] < 1e-3 * objective(np.zeros(200), np.zeros(200))[0]


def test_it_agrees_with_scipy_on_a_logistic_loss() -> None:
    rng = np.random.default_rng(1)
    features, labels = rng.normal(size=(300, 20)), rng.integers(2, size=300)

    def objective(weights: np.ndarray, _: np.ndarray | None = None) -> tuple[float, np.ndarray]:
        logits = features @ weights
        loss = float((np.logaddexp(0, logits) - labels * logits).sum() + 0.5 * weights @ weights)
        return loss, features.T @ (1 / (1 + np.exp(-logits)) - labels) + weights

    found = minimize_lbfgs(objective, identity, np.zeros(20), max_iterations=200, tolerance=1e-12, corrections=10)
    np.testing.assert_allclose(found, minimize(objective, np.zeros(20), jac=True).x, atol=1e-4)


def test_coefficients_of_rows_give_the_minimum_over_the_weights_of_many_columns() -> None:
    rng = np.random.default_rng(2)
    features, targets = rng.normal(size=(30, 400)), rng.normal(size=30)

    def objective(point: np.ndarray, products: np.ndarray) -> tuple[float, np.ndarray]:
        errors = products - targets
        return float(errors @ errors + point @ products) / 2, errors + point

    gram = features @ features.T
    found = minimize_lbfgs(
        objective, lambda point: gram @ point, np.zeros(30), max_iterations=500, tolerance=1e-14, corrections=10
    )
    ridge = np.linalg.solve(features.T @ features + np.eye(400), features.T @ targets)
    np.testing.assert_allclose(features.T @ found, ridge, atol=1e-5)


def test_at_the_minimum_it_stays_there() -> None:
    def objective(point: np.ndarray, _: np.ndarray) -> tuple[float, np.ndarray]:
        return float(point @ point), 2 * point

    start = np.zeros(5)
    assert np.array_equal(
        minimize_lbfgs(objective, identity, start, max_iterations=10, tolerance=1e-5, corrections=5), np.zeros(5)
    )


def test_it_stops_at_the_maximum_number_of_iterations_and_multiplies_once_in_each() -> None:
    calls, products = 0, 0

    def objective(point: np.ndarray, _: np.ndarray) -> tuple[float, np.ndarray]:
        nonlocal calls
        calls += 1
        return float((point**4).sum()), 4 * point**3

    def gram(point: np.ndarray) -> np.ndarray:
        nonlocal products
        products += 1
        return point.copy()

    minimize_lbfgs(objective, gram, np.full(3, 10.0), max_iterations=3, tolerance=0.0, corrections=5)
    assert calls <= 3 * 21 + 1
    assert products == 3 + 2  # of the start and its gradient
