"""A linear support vector machine on word and character n-grams, with calibrated probabilities.

Letters in array names: N texts, F features, G character n-grams, C classes.
"""

import warnings

import numpy as np
from scipy.sparse import csr_array, hstack
from sklearn.exceptions import ConvergenceWarning
from sklearn.feature_extraction.text import TfidfTransformer
from sklearn.svm import LinearSVC

from atnet.baselines.features import NgramCounts
from atnet.baselines.linear import MAX_ITERATIONS, TOLERANCE, Features, Fit, LinearModel, TrainingTexts
from atnet.baselines.sampling import sampled_rows
from atnet.evaluation.metrics import Floats, Ints
from atnet.wide.blending import fit_temperature

MIN_DOCUMENT_FREQUENCY = 2
"""Training texts in which a character n-gram must occur."""


def svm_fitter(train: TrainingTexts, *, max_tokens: int | None, seed: int) -> Fit:
    """Prepare a linear one-vs-rest SVM with the squared hinge loss.

    Its features are the TF-IDF values of word n-grams, scaled to length 1, next to those of the words' character
    n-grams, also scaled to length 1 (Joachims 1998 on text and linear SVMs).

    Args:
        max_tokens: tokens that the fit may use; more are sampled as whole texts.
    """
    rows_M = sampled_rows(train.counts.tokens_N, max_tokens, seed)
    counts = train.counts.taken(rows_M)
    features, features_MF = _tfidf_features(counts)
    weights_M = None if train.weights_N is None else train.weights_N[rows_M]

    def fit(regularization: float) -> LinearModel:
        solver = LinearSVC(C=regularization, tol=TOLERANCE, max_iter=MAX_ITERATIONS, dual=True, random_state=seed)
        with warnings.catch_warnings():
            # A fit that does not converge competes on validation like any other.
            warnings.simplefilter("ignore", ConvergenceWarning)
            solver.fit(features_MF, train.classes_N[rows_M], sample_weight=weights_M)
        return _model(solver, features, regularization, train.classes)

    return fit


def calibration_temperature(model: LinearModel, validation: NgramCounts, actual_N: Ints) -> float:
    """Fit the temperature that minimizes the log-loss of the scores on validation; 1 if no row has a known label.

    The one-parameter form of Platt scaling (Platt 1999), over all classes at once (Guo et al. 2017). Dividing the
    scores by it changes no predicted label.

    Args:
        actual_N: class ids, -1 for a label that does not occur in train.
    """
    known_N = actual_N >= 0
    if not known_N.any():
        return 1.0
    return fit_temperature(model.decision_function(validation)[known_N], actual_N[known_N])


def _tfidf_features(counts: NgramCounts) -> tuple[Features, csr_array]:
    """Return the function from counts to features, fitted on these counts, and their features."""
    chars_NG = counts.chars_NG
    texts_G = np.bincount(chars_NG.indices, minlength=chars_NG.shape[1])
    frequent_G = np.flatnonzero(texts_G >= MIN_DOCUMENT_FREQUENCY)
    # The counts of all character n-grams are by far the largest matrix: at most two of its size exist at a time.
    chars_NG = chars_NG[:, frequent_G]
    words = TfidfTransformer(sublinear_tf=True).fit(counts.words_NF)
    chars = TfidfTransformer(sublinear_tf=True).fit(chars_NG) if len(frequent_G) else None

    def combined(words_NF: csr_array, chars_NG: csr_array) -> csr_array:
        """Combine the features; overwrites the counts of character n-grams."""
        if chars is None:
            return csr_array(words.transform(words_NF))
        blocks = [words.transform(words_NF), chars.transform(chars_NG, copy=False)]
        return csr_array(hstack(blocks, format="csr"))

    return lambda others: combined(others.words_NF, others.chars_NG[:, frequent_G]), combined(counts.words_NF, chars_NG)


def _model(solver: LinearSVC, features: Features, c: float, classes: int) -> LinearModel:
    weights_KF, intercepts_K = solver.coef_, solver.intercept_
    if len(weights_KF) == 1:
        weights_KF, intercepts_K = np.vstack([-weights_KF, weights_KF]), np.append(-intercepts_K, intercepts_K)
    weights_FC = np.zeros((weights_KF.shape[1], classes))
    intercepts_C: Floats = np.full(classes, -np.inf)
    weights_FC[:, solver.classes_], intercepts_C[solver.classes_] = weights_KF.T, intercepts_K
    return LinearModel(features, weights_FC, intercepts_C, c)
