"""A classifier that tries to separate the window's texts from the reference's (Lopez-Paz & Oquab 2017).

It is logistic regression with an L2 penalty, fitted many times: for each fold of each window drawn from the reference.
All fits share the texts, so they are solved together in the dual, where each step is one product with the texts' Gram
matrix: the weights are w = sum of alpha_i x_i, and the gradient in w has the dual form alpha - C y sigmoid(-y f).

Letters in array names: N texts of window and reference, F n-grams, B splits into window and reference, K folds,
P = B x K problems solved together.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from scipy.special import expit
from scipy.stats import rankdata
from sklearn.feature_extraction.text import TfidfTransformer

from atnet.monitoring.row_features import WORD_BUCKETS

FOLDS = 5
STRENGTH = 0.1
"""Inverse regularization strength C. With a small C and few texts, mean n-gram vectors are compared."""
MIN_FREQUENCY = 2
"""An n-gram that occurs in a single text carries no information about other texts."""
POWER_STEPS = 6
"""Steps of the power iteration for the largest curvature of a problem."""
STEPS = 15
"""Steps of accelerated gradient descent. A problem's condition number is about 5, so the error is below 0.1 %."""
SAFETY = 1.2
SPLITS_AT_ONCE = 50


@dataclass(frozen=True, slots=True)
class CrossFitted:
    """Scores of the texts of one split from classifiers that were not fitted to them."""

    scores: np.ndarray
    """(N,) log-odds: above 0 more like the window, below 0 more like the reference."""
    auc: float
    """Share of pairs (window text, reference text) in which the window's text has the higher score."""


def ngram_gram_matrix(ngrams_NF: sp.csr_matrix) -> np.ndarray:
    """Compute the inner products of the texts' n-gram vectors, (N, N) float32, centered.

    Word and character n-grams are weighted by TF-IDF and count equally; n-grams of a single text are dropped. Centering
    replaces an intercept.

    Args:
        ngrams_NF: from `row_features.hash_ngrams`, of window and reference together.
    """
    gram_NN = np.zeros((ngrams_NF.shape[0],) * 2, np.float32)
    for half in (ngrams_NF[:, :WORD_BUCKETS], ngrams_NF[:, WORD_BUCKETS:]):
        frequent = half[:, np.flatnonzero(np.bincount(half.indices, minlength=half.shape[1]) >= MIN_FREQUENCY)]
        if frequent.shape[1]:
            weighted = TfidfTransformer().fit_transform(frequent).astype(np.float32)
            gram_NN += (weighted @ weighted.T).toarray()
    means_N = gram_NN.mean(axis=1)
    gram_NN -= means_N[:, None] + means_N[None] - means_N.mean()
    return gram_NN


def cross_fit(gram_NN: np.ndarray, in_window_BN: np.ndarray, *, seed: int) -> Iterator[CrossFitted]:
    """Score the texts of each split by classifiers fitted to the other folds.

    Scores are compared within a fold, because two fits may have different offsets.

    Args:
        gram_NN: from `ngram_gram_matrix`.
        in_window_BN: true for the window's texts.
        seed: together with the number of the split, determines its folds, which divide both sides evenly.
    """
    fold_BN = np.stack(
        [_assign_folds(mask_N, np.random.default_rng([seed, split])) for split, mask_N in enumerate(in_window_BN)]
    )
    for start in range(0, len(in_window_BN), SPLITS_AT_ONCE):
        masks, folds = in_window_BN[start : start + SPLITS_AT_ONCE], fold_BN[start : start + SPLITS_AT_ONCE]
        is_train_PN = np.concatenate([folds != fold for fold in range(FOLDS)])
        scores_PN = fit_scores(gram_NN, np.tile(masks, (FOLDS, 1)), is_train_PN)
        scores_KBN = scores_PN.reshape(FOLDS, *masks.shape)
        for split, (mask_N, fold_N) in enumerate(zip(masks, folds, strict=True)):
            scores_N = np.take_along_axis(scores_KBN[:, split], fold_N[None], axis=0)[0]
            yield CrossFitted(scores_N, _auc_within_folds(scores_N, mask_N, fold_N))


def fit_scores(gram_NN: np.ndarray, in_window_PN: np.ndarray, is_train_PN: np.ndarray) -> np.ndarray:
    """Fit a logistic regression to the training texts of each problem and score all texts, (P, N).

    Both sides have the same total weight, whatever their sizes (balanced class weights).
    """
    sign_NP = np.where(in_window_PN, 1, -1).astype(np.float32).T
    cost_NP = (STRENGTH * _balanced_weights(in_window_PN, is_train_PN)).astype(np.float32).T
    lipschitz_P = 1 + SAFETY * _largest_curvature(gram_NN, cost_NP)
    momentum_P = (np.sqrt(lipschitz_P) - 1) / (np.sqrt(lipschitz_P) + 1)
    alpha_NP = np.zeros_like(sign_NP)
    ahead_NP = alpha_NP
    for _ in range(STEPS):
        scores_NP = gram_NN @ ahead_NP
        gradient_NP = ahead_NP - cost_NP * sign_NP * expit(-sign_NP * scores_NP)
        moved_NP = ahead_NP - gradient_NP / lipschitz_P
        ahead_NP = moved_NP + momentum_P * (moved_NP - alpha_NP)
        alpha_NP = moved_NP
    scores_PN: np.ndarray = (gram_NN @ alpha_NP).T
    return scores_PN


def roc_auc(scores_N: np.ndarray, positive_N: np.ndarray) -> float:
    """Compute the area under the ROC curve; ties count half."""
    positives = int(positive_N.sum())
    negatives = len(positive_N) - positives
    rank_sum = rankdata(scores_N)[positive_N].sum()
    return float((rank_sum - positives * (positives + 1) / 2) / (positives * negatives))


def _auc_within_folds(scores_N: np.ndarray, in_window_N: np.ndarray, fold_N: np.ndarray) -> float:
    aucs, pairs = [], []
    for fold in range(FOLDS):
        inside_N = in_window_N[fold_N == fold]
        aucs.append(roc_auc(scores_N[fold_N == fold], inside_N))
        pairs.append(int(inside_N.sum()) * int((~inside_N).sum()))
    return float(np.average(aucs, weights=pairs))


def _balanced_weights(in_window_PN: np.ndarray, is_train_PN: np.ndarray) -> np.ndarray:
    """Weight the training texts so that each side sums to half of their number; the others get 0."""
    weights_PN = np.zeros(in_window_PN.shape)
    texts_P1 = is_train_PN.sum(axis=1, keepdims=True)
    for side_PN in (is_train_PN & in_window_PN, is_train_PN & ~in_window_PN):
        weights_PN += side_PN * (texts_P1 / (2 * side_PN.sum(axis=1, keepdims=True)))
    return weights_PN


def _largest_curvature(gram_NN: np.ndarray, cost_NP: np.ndarray) -> np.ndarray:
    """Estimate by power iteration the largest curvature of each problem's loss, without the penalty, (P,)."""
    # The second derivative of the logistic loss is at most a quarter.
    root_NP = np.sqrt(cost_NP / 4)
    vector_NP = root_NP / np.linalg.norm(root_NP, axis=0)
    # A nearly even start has a component along the leading eigenvector.
    vector_NP = vector_NP * np.random.default_rng(0).uniform(0.5, 1.5, (len(gram_NN), 1)).astype(np.float32)
    largest_P = np.zeros(cost_NP.shape[1])
    for _ in range(POWER_STEPS):
        vector_NP = root_NP * (gram_NN @ (root_NP * vector_NP))
        largest_P = np.linalg.norm(vector_NP, axis=0)
        vector_NP = vector_NP / np.maximum(largest_P, 1e-12)
    return largest_P


def _assign_folds(in_window_N: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    fold_N = np.zeros(len(in_window_N), dtype=np.int64)
    for side in (True, False):
        rows = np.flatnonzero(in_window_N == side)
        fold_N[rows] = rng.permutation(len(rows)) % FOLDS
    return fold_N
