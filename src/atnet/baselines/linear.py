"""Linear one-vs-rest classifiers of word n-grams: TF-IDF with logistic regression, and NB-SVM.

Letters in array names: N texts, F features (n-grams), C classes.
"""

import contextlib
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, diags_array
from sklearn.exceptions import ConvergenceWarning
from sklearn.feature_extraction.text import CountVectorizer, TfidfTransformer
from sklearn.linear_model import LogisticRegression

from atnet.errors import DataContractError
from atnet.evaluation.metrics import Floats, Ints
from atnet.text.word_splitting import split_words, text_normalizer, word_splitter

SMOOTHING = 1.0
"""Added to the counts in the naive-Bayes ratio."""
TOLERANCE = 1e-2
MAX_ITERATIONS = 1000


@dataclass(frozen=True, slots=True)
class LinearModel:
    """A fitted linear classifier: one weight per n-gram and class."""

    features: Callable[[csr_array], csr_array]
    """Maps counts (N, F) to the features of the model (N, F)."""
    weights_FC: Floats
    intercepts_C: Floats
    regularization: float
    """C, the inverse strength."""

    def decision_function(self, counts_NF: csr_array) -> Floats:
        """Return the log-odds of each class against all others, (N, C)."""
        return np.asarray(self.features(counts_NF) @ self.weights_FC) + self.intercepts_C


@dataclass(frozen=True, slots=True)
class TrainingTexts:
    """The data on which the models are fitted."""

    counts_NF: csr_array
    classes_N: Ints
    classes: int
    weights_N: Floats | None
    """Weight of each text; None: equal weights."""


def tokenize_words(texts: Sequence[str]) -> list[list[str]]:
    """Split texts into lower-case words, at the same places as the word tokenizer."""
    return split_words(texts, text_normalizer(lowercase=True, strip_accents=False), word_splitter())


def word_ngrams(words: Sequence[str], *, max_n: int) -> Iterator[str]:
    """Yield all n-grams of one to `max_n` words."""
    for n in range(1, max_n + 1):
        for start in range(len(words) - n + 1):
            yield " ".join(words[start : start + n])


def fit_vectorizer(
    words: Sequence[Sequence[str]], *, max_n: int, min_document_frequency: int
) -> tuple[CountVectorizer, csr_array]:
    """Select the n-grams that become features and count them; if none is frequent enough, all become features.

    Raises:
        DataContractError: if the texts contain no words.
    """
    for minimum in (min_document_frequency, 1):
        vectorizer = CountVectorizer(analyzer=partial(word_ngrams, max_n=max_n), min_df=minimum, dtype=np.float64)
        # scikit-learn reports an empty vocabulary only by this exception.
        with contextlib.suppress(ValueError):
            return vectorizer, csr_array(vectorizer.fit_transform(words))
    raise DataContractError("The training texts contain no words. Check data.columns.text.")


def fit_tfidf(train: TrainingTexts, *, regularization: float, seed: int) -> LinearModel:
    """Fit logistic regression on TF-IDF features with sublinear term frequencies."""
    transformer = TfidfTransformer(sublinear_tf=True).fit(train.counts_NF)
    features_NF = transformer.transform(train.counts_NF)
    fits = [_fit_class(features_NF, train, c, regularization, seed) for c in _fitted_classes(train.classes)]
    return _model(transformer.transform, fits, regularization)


def fit_nb_svm(train: TrainingTexts, *, regularization: float, seed: int) -> LinearModel:
    """Fit logistic regression on binary n-gram features, each scaled by its naive-Bayes log-count ratio.

    From Wang & Manning 2012, with the logistic loss instead of the hinge loss, which gives probabilities.
    """
    binary_NF = binarize(train.counts_NF)
    fits = []
    for c in _fitted_classes(train.classes):
        ratios_F = log_count_ratios(binary_NF, train.classes_N == c, train.weights_N)
        weights_F, intercept = _fit_class(csr_array(binary_NF @ diags_array(ratios_F)), train, c, regularization, seed)
        fits.append((weights_F * ratios_F, intercept))
    return _model(binarize, fits, regularization)


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


def _fitted_classes(classes: int) -> range:
    # Of two classes one is enough: the other has the opposite weights.
    return range(1, 2) if classes == 2 else range(classes)


def _fit_class(
    features_NF: csr_array, train: TrainingTexts, positive: int, regularization: float, seed: int
) -> tuple[Floats, float]:
    """Fit one class against the rest; return its weights and its intercept."""
    # The dual form: on sparse texts it gives the same predictions as the primal form, ten times as fast.
    solver = LogisticRegression(
        C=regularization, solver="liblinear", dual=True, tol=TOLERANCE, max_iter=MAX_ITERATIONS, random_state=seed
    )
    with warnings.catch_warnings():
        # A fit that does not converge competes on validation like any other.
        warnings.simplefilter("ignore", ConvergenceWarning)
        solver.fit(features_NF, train.classes_N == positive, sample_weight=train.weights_N)
    return solver.coef_[0], float(solver.intercept_[0])


def _model(
    features: Callable[[csr_array], csr_array], fits: Sequence[tuple[Floats, float]], regularization: float
) -> LinearModel:
    weights_FC = np.stack([weights_F for weights_F, _ in fits], axis=1)
    intercepts_C = np.array([intercept for _, intercept in fits])
    if len(fits) == 1:
        weights_FC, intercepts_C = np.hstack([-weights_FC, weights_FC]), np.append(-intercepts_C, intercepts_C)
    return LinearModel(features, weights_FC, intercepts_C, regularization)
