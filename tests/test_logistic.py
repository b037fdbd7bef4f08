"""The logistic regression of the wide branch and the baselines, compared with a minimization over its weights."""

import os
import subprocess
import sys

import numpy as np
import pytest
import scipy.sparse as sparse
from scipy.optimize import minimize

from atnet.baselines.linear import SparseMatrix
from atnet.wide.logistic import LogisticFit, fit_logistic

TEXTS, FEATURES = 20, 30


def problem(classes: int, temperature: float | None) -> tuple[SparseMatrix, np.ndarray, np.ndarray, np.ndarray]:
    """Return features, targets, prior scales (some are zero) and row weights."""
    rng = np.random.default_rng(0)
    matrix = sparse.csr_array((rng.random((TEXTS, FEATURES)) < 0.3).astype(np.float32))
    columns = 1 if classes == 2 else classes
    scale_FK = rng.normal(size=(FEATURES, columns)).astype(np.float32) * (rng.random((FEATURES, 1)) < 0.9)
    labels_NC = np.eye(classes, dtype=np.float32)[rng.integers(classes, size=TEXTS)]
    teacher_NC = rng.dirichlet(np.ones(classes), size=TEXTS).astype(np.float32)
    targets = 0.5 * labels_NC + 0.5 * teacher_NC
    if temperature is not None:
        targets = np.concatenate([0.7 * labels_NC, 0.3 * teacher_NC], axis=1)
    return SparseMatrix(matrix, sparse.csr_array(matrix.T)), targets, scale_FK, rng.uniform(0.2, 2, TEXTS)


def fit(classes: int, temperature: float | None, start: LogisticFit | None = None) -> LogisticFit:
    features, targets, scale_FK, row_weights_N = problem(classes, temperature)
    return fit_logistic(
        features,
        targets,
        prior_scale_FK=scale_FK,
        regularization=3.0,
        row_weights_N=row_weights_N,
        start=start,
        temperature=temperature,
    )


def log_probabilities(logits_NK: np.ndarray) -> np.ndarray:
    logits_NC = np.concatenate([np.zeros_like(logits_NK), logits_NK], axis=1) if logits_NK.shape[1] == 1 else logits_NK
    normalized: np.ndarray = logits_NC - np.logaddexp.reduce(logits_NC, axis=1)[:, None]
    return normalized


def objective(classes: int, temperature: float | None, unscaled_FK: np.ndarray, intercept_K: np.ndarray) -> float:
    """Compute what a fit minimizes, from its definition."""
    features, targets, scale_FK, row_weights_N = problem(classes, temperature)
    logits_NK = features.matrix_NF @ (unscaled_FK * scale_FK) + intercept_K
    if temperature is None:
        losses_N = -(targets * log_probabilities(logits_NK)).sum(axis=1)
    else:
        labels, teacher = np.split(targets, 2, axis=1)
        softened = temperature**2 * teacher * log_probabilities(logits_NK / temperature)
        losses_N = -(labels * log_probabilities(logits_NK) + softened).sum(axis=1)
    return float(3.0 * losses_N @ row_weights_N + 0.5 * (unscaled_FK**2).sum())


@pytest.mark.parametrize(("classes", "temperature"), [(2, None), (3, None), (2, 2.0), (3, 2.0)])
def test_it_minimizes_the_weighted_loss_and_the_penalty_on_the_weights(classes: int, temperature: float | None) -> None:
    _, _, scale_FK, _ = problem(classes, temperature)
    count = scale_FK.size

    def primal(point: np.ndarray) -> float:
        return objective(classes, temperature, point[:count].reshape(scale_FK.shape), point[count:])

    best = minimize(primal, np.zeros(count + scale_FK.shape[1]), options={"maxiter": 80}).fun
    fitted = fit(classes, temperature)
    safe_FK = np.where(scale_FK == 0, 1, scale_FK)
    assert not np.any(fitted.weights_FK[scale_FK == 0])
    reached = objective(classes, temperature, fitted.weights_FK / safe_FK, fitted.intercept_K)
    assert reached <= best * (1 + 2e-3)


@pytest.mark.parametrize("classes", [2, 3])
def test_a_fit_that_starts_from_the_minimum_stays_near_it(classes: int) -> None:
    first = fit(classes, None)
    again = fit(classes, None, start=first)
    np.testing.assert_allclose(again.weights_FK, first.weights_FK, atol=0.05)
    assert again.dual.dtype == (np.float64 if classes == 2 else np.float32)


FIT = """
import hashlib
import numpy as np
from atnet.wide.logistic import fit_logistic
class Dense:
    def __init__(self, matrix): self.matrix, self.shape = matrix, matrix.shape
    def matmul(self, weights): return np.einsum("nf,fk->nk", self.matrix, weights)
    def rmatmul(self, gradients): return np.einsum("nf,nk->fk", self.matrix, gradients)
rng = np.random.default_rng(0)
for classes in (2, 3):
    features = Dense(rng.normal(size=(30_000, 5)).astype(np.float32))
    fit = fit_logistic(features, np.eye(classes, dtype=np.float32)[rng.integers(classes, size=30_000)],
        prior_scale_FK=np.ones((5, 1 if classes == 2 else classes), np.float32), regularization=1.0,
        row_weights_N=np.ones(30_000, np.float32))
    print(hashlib.sha256(fit.dual.tobytes() + fit.weights_FK.tobytes()).hexdigest())
"""


def test_the_bytes_do_not_depend_on_the_number_of_threads() -> None:
    outputs = set()
    for threads in ("1", "2"):
        environment = {**os.environ, "OPENBLAS_NUM_THREADS": threads, "OMP_NUM_THREADS": threads}
        command = [sys.executable, "-c", FIT]
        outputs.add(subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout)
    assert len(outputs) == 1
