"""The statistics that compare a window with the reference.

One function computes them for the real window and for the windows drawn from the reference.

Letters in array names: N texts of window and reference together, B splits of them, S statistics.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from atnet.monitoring.domain_classifier import cross_fit, ngram_gram_matrix
from atnet.monitoring.mmd import Reduction, kernel_matrix, squared_mmd
from atnet.monitoring.row_features import RowFeatures

CLASSIFIER_AUC, POOLED_MMD, PROBABILITY_KS = "classifier_auc", "pooled_mmd", "probability_ks"
UNKNOWN_WORDS, LENGTH_KS = "unknown_words", "length_ks"
STATISTICS = (CLASSIFIER_AUC, POOLED_MMD, PROBABILITY_KS, UNKNOWN_WORDS, LENGTH_KS)
TITLES: Mapping[str, str] = {
    CLASSIFIER_AUC: "classifier AUC",
    POOLED_MMD: "MMD of pooled features",
    PROBABILITY_KS: "KS of probabilities",
    UNKNOWN_WORDS: "unknown words",
    LENGTH_KS: "KS of length",
}
EXPLANATIONS: Mapping[str, str] = {
    CLASSIFIER_AUC: "How often a classifier on word and character n-grams, fitted to other texts, ranks a text of the "
    "window above a held-out one. 0.5 is chance, 1 is always.",
    POOLED_MMD: "Maximum mean discrepancy of the network's pooled features; 0 only for equal distributions.",
    PROBABILITY_KS: "Largest gap between the distribution functions of the predicted probabilities.",
    UNKNOWN_WORDS: "Difference of the mean share of tokens per text that are not in the vocabulary.",
    LENGTH_KS: "Largest gap between the distribution functions of the lengths in tokens.",
}
VERSION = 1
"""Increase it when a statistic is computed differently, so that cached thresholds are computed again."""


@dataclass(frozen=True, slots=True)
class Statistics:
    """The statistics of B splits, each (B,); larger means more different. Without texts, some are missing."""

    values: Mapping[str, np.ndarray]

    @property
    def names(self) -> tuple[str, ...]:
        """The available statistics, in a fixed order."""
        return tuple(name for name in STATISTICS if name in self.values)

    def matrix(self) -> np.ndarray:
        """Return (B, S) in the order of `names`."""
        return np.stack([self.values[name] for name in self.names], axis=1)


def compute_statistics(
    features: RowFeatures, in_window_BN: np.ndarray, reduction: Reduction | None, *, seed: int
) -> Statistics:
    """Compute every statistic for each split.

    Args:
        features: of the window's and the reference's texts together.
        in_window_BN: true for the window's texts.
        reduction: of the pooled features; None if there are none.
        seed: of the classifier's folds, together with the number of the split.
    """
    values: dict[str, np.ndarray] = {}
    if features.ngrams is not None:
        gram = ngram_gram_matrix(features.ngrams)
        values[CLASSIFIER_AUC] = np.array([fitted.auc for fitted in cross_fit(gram, in_window_BN, seed=seed)])
    if features.pooled is not None and reduction is not None:
        kernel = kernel_matrix(reduction.reduce(features.pooled), reduction.squared_bandwidth)
        values[POOLED_MMD] = squared_mmd(kernel, in_window_BN)
    # The last label's probability follows from the others.
    probabilities = features.probabilities[:, :-1] if features.probabilities.shape[1] == 2 else features.probabilities
    values[PROBABILITY_KS] = np.max([ks_distances(column, in_window_BN) for column in probabilities.T], axis=0)
    values[UNKNOWN_WORDS] = np.abs(mean_differences(features.unknown, in_window_BN))
    values[LENGTH_KS] = ks_distances(features.tokens, in_window_BN)
    return Statistics(values)


def effect_sizes(values: Mapping[str, float]) -> dict[str, float]:
    """Return the effect sizes of one split: its statistics, with the MMD in place of the squared MMD."""
    return {name: float(np.sqrt(max(value, 0))) if name == POOLED_MMD else value for name, value in values.items()}


def mean_differences(values_N: np.ndarray, in_window_BN: np.ndarray) -> np.ndarray:
    """Return the window's mean minus the reference's for each split, (B,)."""
    inside_B = in_window_BN.sum(axis=1)
    sums_B = in_window_BN @ values_N.astype(np.float64)
    outside_B = in_window_BN.shape[1] - inside_B
    differences: np.ndarray = sums_B / inside_B - (values_N.sum() - sums_B) / outside_B
    return differences


def ks_distances(values_N: np.ndarray, in_window_BN: np.ndarray) -> np.ndarray:
    """Return the Kolmogorov-Smirnov distance between window and reference for each split, (B,)."""
    order = np.argsort(values_N, kind="stable")
    # Both distribution functions are complete only where the next value differs.
    last = np.append(np.flatnonzero(np.diff(values_N[order])), len(order) - 1)
    inside_B = in_window_BN.sum(axis=1, keepdims=True)
    outside_B = in_window_BN.shape[1] - inside_B
    counted_BN = np.cumsum(in_window_BN[:, order], axis=1)[:, last]
    distances: np.ndarray = np.abs(counted_BN / inside_B - (last + 1 - counted_BN) / outside_B).max(axis=1)
    return distances
