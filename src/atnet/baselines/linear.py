"""Linear classifiers on word n-grams: TF-IDF with logistic regression, and NB-SVM.

Two classes are fitted by liblinear. More than two are fitted together, with a softmax: one-vs-rest fits take ten times
as long with 77 classes.

Letters in array names: N texts, F features (n-grams), C classes, K weight columns (1 for two classes, else C).
"""

import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, diags_array
from sklearn.exceptions import ConvergenceWarning
from sklearn.feature_extraction.text import TfidfTransformer
from sklearn.linear_model import LogisticRegression

from atnet.baselines.features import NgramCounts
from atnet.evaluation.metrics import Floats, Ints
from atnet.inference import softmax
from atnet.wide.logistic import LogisticFit, fit_logistic

SMOOTHING = 1.0
"""Added to the counts in the naive-Bayes ratio."""
TOLERANCE = 1e-2
MAX_ITERATIONS = 1000
BLOCK_TEXTS = 10_000
"""Texts that are scored at a time: their character n-grams take far more memory than their counts of words."""


Features = Callable[[NgramCounts], csr_array]
"""Maps the counts of N texts to the features of a model (N, F)."""


@dataclass(frozen=True, slots=True)
class LinearModel:
    """A fitted linear classifier: one weight per n-gram and class."""

    features: Features
    weights_FC: Floats
    intercepts_C: Floats
    regularization: float
    """C, the inverse strength."""
    one_vs_rest: bool = False
    """Whether the scores are one-vs-rest log-odds; otherwise they are logits of a softmax."""

    def decision_function(self, counts: NgramCounts) -> Floats:
        """Return the score of each class, (N, C)."""
        texts = counts.words_NF.shape[0]
        blocks = [slice(start, start + BLOCK_TEXTS) for start in range(0, max(texts, 1), BLOCK_TEXTS)]
        parts = [np.asarray(self.features(counts.taken(block)) @ self.weights_FC) for block in blocks]
        return np.concatenate(parts) + self.intercepts_C

    def probabilities(self, counts: NgramCounts) -> Floats:
        """Return the class probabilities, (N, C)."""
        scores_NC = self.decision_function(counts)
        return normalize_to_one(scores_NC) if self.one_vs_rest else softmax(scores_NC)

    def scaled(self, factor: float) -> "LinearModel":
        """Return the model whose scores are multiplied by a factor."""
        return replace(self, weights_FC=self.weights_FC * factor, intercepts_C=self.intercepts_C * factor)


@dataclass(frozen=True, slots=True)
class TrainingTexts:
    """The data on which the models are fitted."""

    counts: NgramCounts
    classes_N: Ints
    classes: int
    weights_N: Floats | None
    """Weight of each text; None: equal weights."""


@dataclass(frozen=True, slots=True)
class SparseMatrix:
    """A sparse matrix (N, F) and its transpose, as `fit_logistic` uses them."""

    matrix_NF: csr_array
    transposed_FN: csr_array

    @property
    def shape(self) -> tuple[int, int]:
        """Return N and F."""
        rows, columns = self.matrix_NF.shape
        return rows, columns

    def matmul(self, weights_FK: np.ndarray) -> np.ndarray:
        """Multiply the matrix by weights: (N, K)."""
        return np.asarray(self.matrix_NF @ weights_FK)

    def rmatmul(self, gradients_NK: np.ndarray) -> np.ndarray:
        """Multiply the transposed matrix by gradients: (F, K)."""
        return np.asarray(self.transposed_FN @ gradients_NK)


Fit = Callable[[float], LinearModel]
"""Fits one model with an inverse strength C; called with ascending values, each fit starts from the one before."""


def tfidf_fitter(train: TrainingTexts, *, seed: int) -> Fit:
    """Prepare logistic regression on TF-IDF features with sublinear term frequencies."""
    transformer = TfidfTransformer(sublinear_tf=True).fit(train.counts.words_NF)
    features_NF = csr_array(transformer.transform(train.counts.words_NF))

    def features(counts: NgramCounts) -> csr_array:
        return csr_array(transformer.transform(counts.words_NF))

    scale_FK = np.ones((features_NF.shape[1], train.classes), np.float32)
    return _fitter(features, features_NF, scale_FK, train, seed)


def nb_svm_fitter(train: TrainingTexts, *, seed: int) -> Fit:
    """Prepare logistic regression on binary n-gram features, each scaled by its naive-Bayes log-count ratio.

    From Wang & Manning 2012, with the logistic loss instead of the hinge loss, which gives probabilities.
    """
    binary_NF = binarize(train.counts.words_NF)
    # For two classes, one column is enough: the other has the opposite weights.
    classes = range(1, 2) if train.classes == 2 else range(train.classes)
    ratios_FK = np.stack([log_count_ratios(binary_NF, train.classes_N == c, train.weights_N) for c in classes], axis=1)
    return _fitter(lambda counts: binarize(counts.words_NF), binary_NF, ratios_FK, train, seed)


def binarize(counts_NF: csr_array) -> csr_array:
    """Replace every count by 1."""
    return csr_array((np.ones_like(counts_NF.data), counts_NF.indices, counts_NF.indptr), shape=counts_NF.shape)


def log_count_ratios(binary_NF: csr_array, in_class_N: NDArray[np.bool_], weights_N: Floats | None) -> Floats:
    """Compute how much more frequent each n-gram is in the class than in the other texts, in nats, (F,)."""
    weights_N = np.ones(len(in_class_N)) if weights_N is None else weights_N
    in_class_F = SMOOTHING + binary_NF.T @ (weights_N * in_class_N)
    in_others_F = SMOOTHING + binary_NF.T @ (weights_N * ~in_class_N)
    return np.asarray(np.log(in_class_F / in_class_F.sum()) - np.log(in_others_F / in_others_F.sum()))


def normalize_to_one(scores_NC: Floats) -> Floats:
    """Turn one-vs-rest log-odds into class probabilities that sum to 1, (N, C)."""
    sigmoid_NC = 1 / (1 + np.exp(-np.clip(scores_NC, -500, 500)))
    return np.asarray(sigmoid_NC / sigmoid_NC.sum(axis=1, keepdims=True))


def _fitter(features: Features, features_NF: csr_array, scale_FK: Floats, train: TrainingTexts, seed: int) -> Fit:
    """Prepare logistic regression whose features are multiplied by a separate scale for each class."""
    if train.classes == 2:
        return _binary_fitter(features, features_NF, scale_FK[:, -1], train, seed)
    single_NF = csr_array(features_NF.astype(np.float32))
    matrix = SparseMatrix(single_NF, csr_array(single_NF.T))
    targets_NC = np.eye(train.classes, dtype=np.float32)[train.classes_N]
    weights_N = np.ones(len(train.classes_N)) if train.weights_N is None else train.weights_N
    last: LogisticFit | None = None

    def fit(regularization: float) -> LinearModel:
        nonlocal last
        last = fit_logistic(
            matrix,
            targets_NC,
            prior_scale_FK=scale_FK.astype(np.float32),
            regularization=regularization,
            row_weights_N=weights_N.astype(np.float32),
            start=last,
        )
        weights_FC, intercepts_C = last.weights_FK.astype(np.float64), last.intercept_K.astype(np.float64)
        return LinearModel(features, weights_FC, intercepts_C, regularization)

    return fit


def _binary_fitter(features: Features, features_NF: csr_array, scale_F: Floats, train: TrainingTexts, seed: int) -> Fit:
    # Multiplying by ones would change nothing but take time.
    scaled_NF = features_NF if np.all(scale_F == 1) else csr_array(features_NF @ diags_array(scale_F))

    def fit(regularization: float) -> LinearModel:
        # The dual form: on sparse texts it gives the same predictions as the primal form, ten times as fast.
        solver = LogisticRegression(
            C=regularization, solver="liblinear", dual=True, tol=TOLERANCE, max_iter=MAX_ITERATIONS, random_state=seed
        )
        with warnings.catch_warnings():
            # A fit that does not converge competes on validation like any other.
            warnings.simplefilter("ignore", ConvergenceWarning)
            solver.fit(scaled_NF, train.classes_N == 1, sample_weight=train.weights_N)
        weights_F, intercept = solver.coef_[0] * scale_F, float(solver.intercept_[0])
        weights_FC, intercepts_C = np.stack([-weights_F, weights_F], axis=1), np.array([-intercept, intercept])
        return LinearModel(features, weights_FC, intercepts_C, regularization, one_vs_rest=True)

    return fit
