"""Linear one-against-the-rest classifiers over word n-grams: TF-IDF with logistic regression, and NB-SVM.

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
from atnet.text.word_splitting import split_words, text_normalizer, word_splitter

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

SMOOTHING = 1.0
"""Added to each n-gram's count in the naive-Bayes ratio."""
TOLERANCE = 1e-2
MOST_PASSES = 1000


@dataclass(frozen=True, slots=True)
class LinearModel:
    """One weight per n-gram and class."""

    features: Callable[[csr_array], csr_array]
    """From counts (N, F) to what the weights belong to."""
    weights_FC: Floats
    intercepts_C: Floats
    regularization: float
    """C, the inverse strength."""

    def decide(self, counts_NF: csr_array) -> Floats:
        """Give each class's log-odds against all others, (N, C)."""
        return np.asarray(self.features(counts_NF) @ self.weights_FC) + self.intercepts_C


@dataclass(frozen=True, slots=True)
class TrainingTexts:
    """What the models are fitted on."""

    counts_NF: csr_array
    classes_N: Ints
    classes: int
    weights_N: Floats | None
    """How much each text counts; None: all the same."""


def parted(texts: Sequence[str]) -> list[list[str]]:
    """Part texts into the words that the tokenizer knows too, in lower case."""
    return split_words(texts, text_normalizer(lowercase=True, strip_accents=False), word_splitter())


def ngrams(words: Sequence[str], *, longest: int) -> Iterator[str]:
    """Give all runs of one to `longest` words."""
    for length in range(1, longest + 1):
        for start in range(len(words) - length + 1):
            yield " ".join(words[start : start + length])


def fit_counter(
    words: Sequence[Sequence[str]], *, longest: int, min_document_frequency: int
) -> tuple[CountVectorizer, csr_array]:
    """Learn which n-grams are features and count them; where none is frequent enough (a handful of texts), all are.

    Raises:
        DataContractError: if there is no word at all.
    """
    for minimum in (min_document_frequency, 1):
        counter = CountVectorizer(analyzer=partial(ngrams, longest=longest), min_df=minimum, dtype=np.float64)
        # scikit-learn has no other sign for a vocabulary that came out empty.
        with contextlib.suppress(ValueError):
            return counter, csr_array(counter.fit_transform(words))
    raise DataContractError("The training texts hold no words. Look at data.columns.text.")


def fit_tfidf(train: TrainingTexts, *, regularization: float, seed: int) -> LinearModel:
    """Fit logistic regression on damped, length-normalized n-gram frequencies."""
    transformer = TfidfTransformer(sublinear_tf=True).fit(train.counts_NF)
    features_NF = transformer.transform(train.counts_NF)
    fitted = [_fit_one(features_NF, train, name, regularization, seed) for name in _fitted_classes(train.classes)]
    return _model(transformer.transform, fitted, regularization)


def fit_nb_svm(train: TrainingTexts, *, regularization: float, seed: int) -> LinearModel:
    """Fit logistic regression on present n-grams, each scaled by its naive-Bayes log-count ratio.

    From Wang & Manning 2012, with the logistic loss in place of the hinge, so that it gives probabilities.
    """
    present_NF = binarize(train.counts_NF)
    fitted = []
    for name in _fitted_classes(train.classes):
        ratios_F = log_count_ratios(present_NF, train.classes_N == name, train.weights_N)
        weights_F, intercept = _fit_one(
            csr_array(present_NF @ diags_array(ratios_F)), train, name, regularization, seed
        )
        fitted.append((weights_F * ratios_F, intercept))
    return _model(binarize, fitted, regularization)


def binarize(counts_NF: csr_array) -> csr_array:
    """Put 1 where there is a count."""
    return csr_array((np.ones_like(counts_NF.data), counts_NF.indices, counts_NF.indptr), shape=counts_NF.shape)


def log_count_ratios(present_NF: csr_array, inside_N: NDArray[np.bool_], weights_N: Floats | None) -> Floats:
    """Tell for each n-gram how much more often it stands in the class than outside it, in nats, (F,)."""
    weights_N = np.ones(len(inside_N)) if weights_N is None else weights_N
    inside_F = SMOOTHING + present_NF.T @ (weights_N * inside_N)
    outside_F = SMOOTHING + present_NF.T @ (weights_N * ~inside_N)
    return np.asarray(np.log(inside_F / inside_F.sum()) - np.log(outside_F / outside_F.sum()))


def probabilities(decided_NC: Floats) -> Floats:
    """Turn log-odds of one class against the rest into shares that add up to 1, (N, C)."""
    odds_NC = 1 / (1 + np.exp(-np.clip(decided_NC, -500, 500)))
    return np.asarray(odds_NC / odds_NC.sum(axis=1, keepdims=True))


def _fitted_classes(classes: int) -> range:
    # Of two classes one is enough: the other is its mirror image.
    return range(1, 2) if classes == 2 else range(classes)


def _fit_one(
    features_NF: csr_array, train: TrainingTexts, name: int, regularization: float, seed: int
) -> tuple[Floats, float]:
    # The dual form: on sparse texts it gives the same answers as the primal one ten times as fast.
    solver = LogisticRegression(
        C=regularization, solver="liblinear", dual=True, tol=TOLERANCE, max_iter=MOST_PASSES, random_state=seed
    )
    with warnings.catch_warnings():
        # A C too weak to converge is judged on validation like any other.
        warnings.simplefilter("ignore", ConvergenceWarning)
        solver.fit(features_NF, train.classes_N == name, sample_weight=train.weights_N)
    return solver.coef_[0], float(solver.intercept_[0])


def _model(
    features: Callable[[csr_array], csr_array], fitted: Sequence[tuple[Floats, float]], regularization: float
) -> LinearModel:
    weights_FC = np.stack([weights_F for weights_F, _ in fitted], axis=1)
    intercepts_C = np.array([intercept for _, intercept in fitted])
    if len(fitted) == 1:
        weights_FC, intercepts_C = np.hstack([-weights_FC, weights_FC]), np.append(-intercepts_C, intercepts_C)
    return LinearModel(features, weights_FC, intercepts_C, regularization)
