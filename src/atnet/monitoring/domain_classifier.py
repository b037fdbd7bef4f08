"""A classifier that tries to tell the window's texts from the reference's (Lopez-Paz & Oquab 2017).

Letters in array names: N texts, F hashed n-grams, K folds.
"""

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from scipy.stats import rankdata
from sklearn.feature_extraction.text import TfidfTransformer
from sklearn.linear_model import LogisticRegression

from atnet.monitoring.row_features import WORD_BUCKETS

FOLDS = 5
STRENGTH = 0.1
"""Inverse regularization strength C. Small: with few texts it is a comparison of mean n-gram vectors."""
MAXIMUM_ITERATIONS = 50
MINIMUM_FREQUENCY = 2
"""An n-gram of one text tells nothing about other texts."""


@dataclass(frozen=True, slots=True)
class CrossFitted:
    """What a text looks like to a classifier that has not seen it."""

    scores: np.ndarray
    """(N,) above 0: more like the window, below: more like the reference."""
    auc: float
    """Share of pairs (window text, reference text) in which the window's text scores higher."""


def weighted_ngrams(ngrams_NF: sp.csr_matrix) -> sp.csr_matrix:
    """Drop the n-grams of single texts and weight the others by TF-IDF; words and characters count alike.

    Args:
        ngrams_NF: from `row_features.hash_ngrams`, of window and reference together.
    """
    halves = [_frequent(ngrams_NF[:, :WORD_BUCKETS]), _frequent(ngrams_NF[:, WORD_BUCKETS:])]
    return sp.hstack([TfidfTransformer().fit_transform(half) for half in halves], format="csr")


def cross_fit(ngrams_NF: sp.csr_matrix, in_window_N: np.ndarray, rng: np.random.Generator) -> CrossFitted:
    """Score each text by logistic regression fitted to the texts of the other folds.

    The scores of the folds are compared as ranks within each fold: two fits need not have the same intercept.

    Args:
        ngrams_NF: of the window and the reference, from `weighted_ngrams`.
        in_window_N: true for the window's texts.
        rng: deals the texts to the folds, each side evenly.
    """
    fold_N = _deal_folds(in_window_N, rng)
    scores_N = np.zeros(len(in_window_N))
    aucs, pairs = [], []
    for fold in range(FOLDS):
        test_N = fold_N == fold
        model = _model().fit(ngrams_NF[~test_N], in_window_N[~test_N])
        scores_N[test_N] = model.decision_function(ngrams_NF[test_N])
        aucs.append(roc_auc(scores_N[test_N], in_window_N[test_N]))
        pairs.append(int(in_window_N[test_N].sum()) * int((~in_window_N[test_N]).sum()))
    return CrossFitted(scores_N, float(np.average(aucs, weights=pairs)))


def roc_auc(scores_N: np.ndarray, positive_N: np.ndarray) -> float:
    """Compute the area under the ROC curve; ties count half."""
    positives = int(positive_N.sum())
    negatives = len(positive_N) - positives
    rank_sum = rankdata(scores_N)[positive_N].sum()
    return float((rank_sum - positives * (positives + 1) / 2) / (positives * negatives))


def _model() -> LogisticRegression:
    # The dual solver's time grows with the texts, not with the n-grams.
    return LogisticRegression(
        C=STRENGTH, class_weight="balanced", solver="liblinear", dual=True, max_iter=MAXIMUM_ITERATIONS, random_state=0
    )


def _frequent(ngrams_NF: sp.csr_matrix) -> sp.csr_matrix:
    counts_F = np.bincount(ngrams_NF.indices, minlength=ngrams_NF.shape[1])
    return ngrams_NF[:, np.flatnonzero(counts_F >= MINIMUM_FREQUENCY)]


def _deal_folds(in_window_N: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    fold_N = np.zeros(len(in_window_N), dtype=np.int64)
    for side in (True, False):
        rows = np.flatnonzero(in_window_N == side)
        fold_N[rows] = rng.permutation(len(rows)) % FOLDS
    return fold_N
