"""How much the network and the wide branch count, and the temperature, fitted on the validation split.

Both have learned from the training split, each by itself; two numbers learned from other rows tell how far to trust each
(stacking, Wolpert 1992), and calibrate the sum as well.

Shapes: N texts, C classes.
"""

import numpy as np
from scipy.optimize import minimize, minimize_scalar

Weights = tuple[float, float]

SPREAD = 1.0
"""Standard deviation of the logarithm of a weight that is thought likely; it holds them where few rows would not."""
DECIMALS = 6
TEMPERATURES = (0.05, 20.0)


def fit_weights(deep: np.ndarray, wide: np.ndarray, labels: np.ndarray) -> Weights:
    """Find the two positive weights of logits (N, C) that give the lowest log-loss."""
    rows, parts = np.arange(len(labels)), (deep.astype(np.float64), wide.astype(np.float64))

    def objective(point: np.ndarray) -> tuple[float, np.ndarray]:
        weights = np.exp(point)
        logits = blended(parts[0], parts[1], (weights[0], weights[1]))
        normalizer = np.logaddexp.reduce(logits, axis=1)
        slopes = np.exp(logits - normalizer[:, None])
        slopes[rows, labels] -= 1
        gradient = np.array([(slopes * part).sum() for part in parts]) * weights + point / SPREAD**2
        loss = float((normalizer - logits[rows, labels]).sum()) + 0.5 * float(point @ point) / SPREAD**2
        return loss, gradient

    found = np.exp(minimize(objective, np.zeros(2), jac=True, method="L-BFGS-B").x)
    return round(float(found[0]), DECIMALS), round(float(found[1]), DECIMALS)


def blended(deep: np.ndarray, wide: np.ndarray, weights: Weights) -> np.ndarray:
    """Give the weighted sum of two logits (N, C)."""
    return deep * weights[0] + wide * weights[1]


def fit_temperature(logits: np.ndarray, labels: np.ndarray) -> float:
    """Find the temperature by which validation logits (N, C) must be divided to be calibrated.

    The one number that minimises the log-loss (Guo et al. 2017).
    """

    def loss(log_temperature: float) -> float:
        return log_loss(logits / np.exp(log_temperature), labels)

    found = minimize_scalar(loss, bounds=tuple(np.log(TEMPERATURES)), method="bounded")
    return round(float(np.exp(found.x)), 6)


def log_loss(logits: np.ndarray, labels: np.ndarray) -> float:
    """Give the mean log-loss of logits (N, C) in nats."""
    logits = logits.astype(np.float64)
    return float((np.logaddexp.reduce(logits, axis=1) - logits[np.arange(len(labels)), labels]).mean())
