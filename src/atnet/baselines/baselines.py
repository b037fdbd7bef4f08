"""The baselines that AtNet must beat: majority class, TF-IDF with logistic regression, NB-SVM, a linear SVM.

Letters in array names: N texts, F features, C classes.
"""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from atnet.baselines.features import NgramCounter, NgramCounts, fit_counter
from atnet.baselines.linear import Fit, LinearModel, TrainingTexts, nb_svm_fitter, tfidf_fitter
from atnet.baselines.svm import calibration_temperature, svm_fitter
from atnet.config import BaselineConfig
from atnet.errors import DataContractError
from atnet.evaluation.metrics import Floats, Ints, count_classes
from atnet.schema import LABEL, TEXT, WEIGHT

MAJORITY = "majority"
TFIDF, NB_SVM, LINEAR_SVM = "tfidf_logistic_regression", "nb_svm", "linear_svm"
LINEAR = (TFIDF, NB_SVM, LINEAR_SVM)
PATIENCE = 2
"""Number of consecutive values of C without a gain after which the search stops."""
THREADS = 2
"""Models of many classes that are fitted at the same time; each takes memory for its features and weights."""

Labels = NDArray[np.object_]
OnFit = Callable[[str], None]
"""Called after each fit with a line about it: a fit on many texts takes minutes."""


def ignore_fit(message: str) -> None:
    """Do nothing after a fit."""


@dataclass(frozen=True, slots=True)
class Baselines:
    """The fitted baselines."""

    labels: list[str]
    """Sorted."""
    majority: int
    """Index of the most frequent label."""
    counter: NgramCounter
    models: Mapping[str, LinearModel]

    def predict(self, texts: Sequence[str]) -> dict[str, Labels]:
        """Predict the label of each text, by baseline name."""
        names, counts = np.array(self.labels, dtype=object), self.counter.transform(texts)
        predicted = {name: names[model.decision_function(counts).argmax(axis=1)] for name, model in self.models.items()}
        return {MAJORITY: np.full(len(texts), names[self.majority], dtype=object), **predicted}

    def probabilities(self, texts: Sequence[str]) -> dict[str, Floats]:
        """Return the class probabilities of the linear models, (N, C) in the order of the labels."""
        counts = self.counter.transform(texts)
        return {name: model.probabilities(counts) for name, model in self.models.items()}


def fit_baselines(
    train: pd.DataFrame,
    validation: pd.DataFrame,
    config: BaselineConfig,
    *,
    models: Sequence[str] = LINEAR,
    on_fit: OnFit = ignore_fit,
) -> Baselines:
    """Fit on train; choose each C by validation accuracy, then macro-F1, then the stronger regularization.

    Args:
        models: names of the linear models to fit.
        on_fit: called after each fit.

    Raises:
        DataContractError: if train has fewer than two labels or no words.
    """
    labels = sorted(train[LABEL].unique().tolist())
    if len(labels) < 2:
        raise DataContractError(
            f"All training rows have the label {', '.join(labels)!r}; a classifier needs two. Check the labels and the "
            "split column of the data, then run `dvc repro`."
        )
    counter, counts = fit_counter(
        train[TEXT].tolist(), max_n=config.max_ngram, min_document_frequency=config.min_document_frequency
    )
    classes_N = pd.Index(labels).get_indexer(pd.Index(train[LABEL]))
    texts = TrainingTexts(
        counts=counts,
        classes_N=classes_N,
        classes=len(labels),
        weights_N=train[WEIGHT].to_numpy(np.float64) if WEIGHT in train.columns else None,
    )
    actual_N = pd.Index(labels).get_indexer(pd.Index(validation[LABEL]))
    scored = ScoredTexts(counter.transform(validation[TEXT].tolist()), actual_N)
    fitted = _fit_all(models, texts, scored, config, on_fit)
    if LINEAR_SVM in fitted:
        temperature = calibration_temperature(fitted[LINEAR_SVM], scored.counts, actual_N)
        fitted[LINEAR_SVM] = fitted[LINEAR_SVM].scaled(1 / temperature)
    return Baselines(labels, int(np.bincount(classes_N).argmax()), counter, fitted)


def make_fitter(name: str, train: TrainingTexts, config: BaselineConfig) -> Fit:
    """Prepare the fits of a linear model."""
    if name == TFIDF:
        return tfidf_fitter(train, seed=config.seed)
    if name == NB_SVM:
        return nb_svm_fitter(train, seed=config.seed)
    return svm_fitter(train, max_tokens=config.svm_max_tokens, seed=config.seed)


@dataclass(frozen=True, slots=True)
class ScoredTexts:
    """Counted texts with their class ids; -1 for a label that does not occur in train."""

    counts: NgramCounts
    actual_N: Ints


def label_metrics(actual_N: Ints, predicted_N: Ints, classes: int) -> dict[str, float]:
    """Compute accuracy and macro-F1; -1 is a label that does not occur in train."""
    # Such labels form one extra class, which is never predicted.
    counts = count_classes(np.where(actual_N < 0, classes, actual_N), predicted_N, classes + 1)
    return {"accuracy": float(counts.accuracy), "macro_f1": float(counts.macro_f1)}


def _fit_all(
    names: Sequence[str], train: TrainingTexts, validation: ScoredTexts, config: BaselineConfig, on_fit: OnFit
) -> dict[str, LinearModel]:
    """Fit the models, those of many classes at the same time."""

    def fit_best(name: str) -> LinearModel:
        return _fit_best(name, make_fitter(name, train, config), validation, config, on_fit)

    if train.classes == 2:
        # liblinear fits all of them, and its random numbers are global: with threads the results would vary.
        return {name: fit_best(name) for name in names}
    with ThreadPoolExecutor(THREADS) as pool:
        # The last one, the linear SVM, takes as long as the others together, so it starts first.
        futures = {name: pool.submit(fit_best, name) for name in reversed(names)}
        return {name: futures[name].result() for name in names}


def _fit_best(name: str, fit: Fit, validation: ScoredTexts, config: BaselineConfig, on_fit: OnFit) -> LinearModel:
    """Fit with each C, the strongest regularization first, until larger values bring no gain; return the first best."""
    best: tuple[tuple[float, float], LinearModel] | None = None
    without_gain = 0
    for c in sorted(config.regularization):
        model = fit(c)
        quality = _quality(model, validation)
        on_fit(f"{name}, C = {c:g}: validation accuracy {quality[0]:.1%}")
        if best is None or quality > best[0]:
            best, without_gain = (quality, model), 0
        elif (without_gain := without_gain + 1) == PATIENCE:
            break
    assert best is not None  # the list is not empty
    return best[1]


def _quality(model: LinearModel, validation: ScoredTexts) -> tuple[float, float]:
    scores_NC = model.decision_function(validation.counts)
    metrics = label_metrics(validation.actual_N, scores_NC.argmax(axis=1), scores_NC.shape[1])
    return metrics["accuracy"], metrics["macro_f1"]
