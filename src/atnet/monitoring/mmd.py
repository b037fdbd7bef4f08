"""Maximum mean discrepancy of pooled features (Gretton et al. 2012; on reduced representations, Rabanser et al. 2019).

Letters in array names: N texts, P pooled features, D reduced dimensions, B splits of the texts into window and
reference.
"""

from dataclasses import dataclass

import numpy as np
from sklearn.decomposition import PCA

DIMENSIONS = 32
BANDWIDTH_ROWS = 1000
"""Texts from which the median distance is computed."""
BLOCK_ROWS = 1024


@dataclass(frozen=True, slots=True)
class Reduction:
    """A PCA from pooled features to a few dimensions of variance 1, fitted to the reference."""

    mean_P: np.ndarray
    components_DP: np.ndarray
    """Principal components, divided by the standard deviation along each."""
    squared_bandwidth: float
    """Median squared distance of two reference texts."""

    def reduce(self, pooled_NP: np.ndarray) -> np.ndarray:
        """Return (N, D) float32."""
        reduced: np.ndarray = ((pooled_NP - self.mean_P) @ self.components_DP.T).astype(np.float32)
        return reduced


def fit_reduction(pooled_NP: np.ndarray, rng: np.random.Generator) -> Reduction:
    """Fit the reduction to the reference's pooled features."""
    width = min(DIMENSIONS, *pooled_NP.shape)
    fitted = PCA(width, svd_solver="full").fit(pooled_NP.astype(np.float64))
    # A feature that is constant in the reference has no scale.
    scale_D = np.sqrt(np.maximum(fitted.explained_variance_, 1e-12 * max(fitted.explained_variance_[0], 1e-12)))
    components_DP = fitted.components_ / scale_D[:, None]
    rows = rng.permutation(len(pooled_NP))[:BANDWIDTH_ROWS]
    reduced_ND = (pooled_NP[rows] - fitted.mean_) @ components_DP.T
    distances_NN = _squared_distances(reduced_ND, reduced_ND)
    median = float(np.median(distances_NN[np.triu_indices(len(rows), 1)])) if len(rows) > 1 else 1.0
    return Reduction(fitted.mean_, components_DP, median if median > 0 else 1.0)


def kernel_matrix(reduced_ND: np.ndarray, squared_bandwidth: float) -> np.ndarray:
    """Compute the Gaussian kernel between all texts, (N, N) float32 with zeros on the diagonal."""
    kernel_NN = np.empty((len(reduced_ND), len(reduced_ND)), np.float32)
    for start in range(0, len(reduced_ND), BLOCK_ROWS):
        block = slice(start, start + BLOCK_ROWS)
        kernel_NN[block] = np.exp(-_squared_distances(reduced_ND[block], reduced_ND) / squared_bandwidth)
    np.fill_diagonal(kernel_NN, 0)
    return kernel_NN


def squared_mmd(kernel_NN: np.ndarray, in_window_BN: np.ndarray) -> np.ndarray:
    """Compute the unbiased estimate of the squared MMD for each split of the texts, (B,); about 0 if nothing differs.

    Args:
        kernel_NN: zeros on the diagonal.
        in_window_BN: true for the window's texts, at least two on each side.
    """
    window_BN = in_window_BN.astype(np.float32)
    window_B = window_BN.sum(axis=1, dtype=np.float64)
    reference_B = window_BN.shape[1] - window_B
    to_window_BN = window_BN @ kernel_NN
    within_B = np.einsum("bn,bn->b", to_window_BN, window_BN, dtype=np.float64)
    across_B = to_window_BN.sum(axis=1, dtype=np.float64) - within_B
    other_B = float(kernel_NN.sum(dtype=np.float64)) - within_B - 2 * across_B
    result: np.ndarray = (
        within_B / (window_B * (window_B - 1))
        + other_B / (reference_B * (reference_B - 1))
        - 2 * across_B / (window_B * reference_B)
    )
    return result


def _squared_distances(first_ND: np.ndarray, second_ND: np.ndarray) -> np.ndarray:
    squared = (first_ND**2).sum(axis=1)[:, None] + (second_ND**2).sum(axis=1)[None] - 2 * (first_ND @ second_ND.T)
    distances: np.ndarray = np.maximum(squared, 0)
    return distances
