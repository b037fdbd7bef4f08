"""The weights of the network and the wide branch, and the temperature, fitted on the validation split.

Both branches are fitted on the training split, independently of each other. Two weights fitted on other rows combine
their logits (stacking, Wolpert 1992), which also calibrates the sum.

Shapes: N texts, C classes.
"""

import numpy as np
from scipy.optimize import minimize, minimize_scalar

BlendWeights = tuple[float, float]
"""Weight of the network's logits, weight of the wide branch's logits."""

LOG_WEIGHT_STD = 1.0
"""Standard deviation of the normal prior on the logarithm of a weight; it bounds the weights where rows are few."""
DECIMALS = 6
TEMPERATURE_RANGE = (0.05, 20.0)


def fit_weights(deep: np.ndarray, wide: np.ndarray, labels: np.ndarray) -> BlendWeights:
    """Fit the two positive weights of logits (N, C) that minimize the log-loss plus the prior."""
    rows, branches = np.arange(len(labels)), (deep.astype(np.float64), wide.astype(np.float64))

    def objective(log_weights: np.ndarray) -> tuple[float, np.ndarray]:
        weights = np.exp(log_weights)
        logits = blend(branches[0], branches[1], (weights[0], weights[1]))
        normalizer = np.logaddexp.reduce(logits, axis=1)
        logit_gradients = np.exp(logits - normalizer[:, None])
        logit_gradients[rows, labels] -= 1
        gradient = np.array([(logit_gradients * branch).sum() for branch in branches]) * weights
        loss = float((normalizer - logits[rows, labels]).sum())
        prior = 0.5 * float(log_weights @ log_weights) / LOG_WEIGHT_STD**2
        return loss + prior, gradient + log_weights / LOG_WEIGHT_STD**2

    weights = np.exp(minimize(objective, np.zeros(2), jac=True, method="L-BFGS-B").x)
    return round(float(weights[0]), DECIMALS), round(float(weights[1]), DECIMALS)


def blend(deep: np.ndarray, wide: np.ndarray, weights: BlendWeights) -> np.ndarray:
    """Return the weighted sum of the logits (N, C) of both branches."""
    return deep * weights[0] + wide * weights[1]


def fit_temperature(logits: np.ndarray, labels: np.ndarray) -> float:
    """Fit the temperature: the divisor of validation logits (N, C) that minimizes the log-loss (Guo et al. 2017)."""

    def loss(log_temperature: float) -> float:
        return log_loss(logits / np.exp(log_temperature), labels)

    optimum = minimize_scalar(loss, bounds=tuple(np.log(TEMPERATURE_RANGE)), method="bounded")
    return round(float(np.exp(optimum.x)), DECIMALS)


def log_loss(logits: np.ndarray, labels: np.ndarray) -> float:
    """Return the mean log-loss of logits (N, C) in nats."""
    logits = logits.astype(np.float64)
    return float((np.logaddexp.reduce(logits, axis=1) - logits[np.arange(len(labels)), labels]).mean())


def calibrated_loss(logits: np.ndarray, labels: np.ndarray) -> float:
    """Return the log-loss of logits (N, C) divided by the temperature that fits them best."""
    return log_loss(logits / fit_temperature(logits, labels), labels)


def binary_to_two_logits(logits: np.ndarray) -> np.ndarray:
    """Return logits (N, C); a single column z becomes (-z/2, z/2)."""
    return logits if logits.shape[1] > 1 else np.concatenate([-logits / 2, logits / 2], axis=1)
