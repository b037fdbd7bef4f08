"""The baselines that AtNet must beat: majority class, TF-IDF with logistic regression, NB-SVM.

Letters in array names: N texts, F features, C classes.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import csr_array
from sklearn.feature_extraction.text import CountVectorizer

from atnet.baselines.linear import (
    LinearModel,
    TrainingTexts,
    fit_nb_svm,
    fit_tfidf,
    fit_vectorizer,
    normalize_to_one,
    tokenize_words,
)
from atnet.config import BaselineConfig
from atnet.errors import DataContractError
from atnet.evaluation.metrics import Floats, Ints, count_classes
from atnet.schema import ID, LABEL, TEXT, WEIGHT

MAJORITY = "majority"
LINEAR: dict[str, "Fit"] = {"tfidf_logistic_regression": fit_tfidf, "nb_svm": fit_nb_svm}

Labels = NDArray[np.object_]


class Fit(Protocol):
    """A function that fits a linear model."""

    def __call__(self, train: TrainingTexts, *, regularization: float, seed: int) -> LinearModel:
        """Fit one model."""


@dataclass(frozen=True, slots=True)
class Baselines:
    """The fitted baselines."""

    labels: list[str]
    """Sorted."""
    majority: int
    """Index of the most frequent label."""
    vectorizer: CountVectorizer
    models: Mapping[str, LinearModel]

    def predict(self, texts: Sequence[str]) -> dict[str, Labels]:
        """Predict the label of each text, by baseline name."""
        names = np.array(self.labels, dtype=object)
        predicted = {name: names[scores_NC.argmax(axis=1)] for name, scores_NC in self._scores(texts).items()}
        return {MAJORITY: np.full(len(texts), names[self.majority], dtype=object), **predicted}

    def probabilities(self, texts: Sequence[str]) -> dict[str, Floats]:
        """Return the class probabilities of the linear models, (N, C) in the order of the labels."""
        return {name: normalize_to_one(scores_NC) for name, scores_NC in self._scores(texts).items()}

    def _scores(self, texts: Sequence[str]) -> dict[str, Floats]:
        counts_NF = csr_array(self.vectorizer.transform(tokenize_words(texts)))
        return {name: model.decision_function(counts_NF) for name, model in self.models.items()}


def fit_baselines(
    train: pd.DataFrame,
    validation: pd.DataFrame,
    config: BaselineConfig,
    on_fit: Callable[[str], None] = lambda message: None,
) -> Baselines:
    """Fit on train; choose each C by validation accuracy, then macro-F1, then the stronger regularization.

    Args:
        train: rows to fit on.
        validation: rows to choose on.
        config: the values of C and the features.
        on_fit: called after each fit with a line about it.

    Raises:
        DataContractError: if train has fewer than two labels or no words.
    """
    labels = sorted(train[LABEL].unique().tolist())
    if len(labels) < 2:
        raise DataContractError(
            f"All training rows have the label {', '.join(labels)!r}; a classifier needs two. Check the labels and the "
            "split column of the data, then run `dvc repro`."
        )
    vectorizer, counts_NF = fit_vectorizer(
        tokenize_words(train[TEXT].tolist()),
        max_n=config.max_ngram,
        min_document_frequency=config.min_document_frequency,
    )
    classes_N = pd.Index(labels).get_indexer(pd.Index(train[LABEL]))
    texts = TrainingTexts(
        counts_NF=counts_NF,
        classes_N=classes_N,
        classes=len(labels),
        weights_N=train[WEIGHT].to_numpy(np.float64) if WEIGHT in train.columns else None,
    )
    validation_NF = csr_array(vectorizer.transform(tokenize_words(validation[TEXT].tolist())))
    actual_N = pd.Index(labels).get_indexer(pd.Index(validation[LABEL]))
    models = {}
    for name, fit in LINEAR.items():
        fits = _fits(fit, texts, config)
        models[name] = _select_best(name, fits, (validation_NF, actual_N), on_fit)
    return Baselines(labels, int(np.bincount(classes_N).argmax()), vectorizer, models)


def score_baselines(
    baselines: Baselines, table: pd.DataFrame, predictions: Mapping[str, Labels]
) -> dict[str, dict[str, float]]:
    """Compute accuracy and macro-F1 of each baseline's predictions for the rows of a split."""
    labels = pd.Index(baselines.labels)
    actual_N = labels.get_indexer(pd.Index(table[LABEL]))
    return {
        name: _metrics(actual_N, labels.get_indexer(pd.Index(predicted)), len(labels))
        for name, predicted in predictions.items()
    }


def report(baselines: Baselines, validation: pd.DataFrame, test: pd.DataFrame) -> tuple[dict[str, Any], pd.DataFrame]:
    """Return the metrics of both splits with the chosen settings, and the predicted labels of the test rows."""
    predictions = baselines.predict(test[TEXT].tolist())
    metrics = {
        "validation": score_baselines(baselines, validation, baselines.predict(validation[TEXT].tolist())),
        "test": score_baselines(baselines, test, predictions),
        "chosen": {
            MAJORITY: {"label": baselines.labels[baselines.majority]},
            **{name: {"C": model.regularization} for name, model in baselines.models.items()},
            "features": len(baselines.vectorizer.vocabulary_),
            "min_document_frequency": baselines.vectorizer.min_df,
        },
    }
    return metrics, pd.DataFrame({ID: test[ID], **predictions})


def summarize(metrics: Mapping[str, Any]) -> str:
    """Return the test accuracy of each baseline in one line."""
    accuracies = ", ".join(f"{name} {scores['accuracy']:.1%}" for name, scores in metrics["test"].items())
    return f"test accuracy: {accuracies}"


def _fits(fit: Fit, train: TrainingTexts, config: BaselineConfig) -> Iterator[LinearModel]:
    """Fit with each C, the strongest regularization first."""
    return (fit(train, regularization=c, seed=config.seed) for c in sorted(config.regularization))


def _select_best(
    name: str, models: Iterator[LinearModel], validation: tuple[csr_array, Ints], on_fit: Callable[[str], None]
) -> LinearModel:
    """Return the first of the best models."""
    counts_NF, actual_N = validation

    def quality(model: LinearModel) -> tuple[float, float]:
        scores_NC = model.decision_function(counts_NF)
        metrics = _metrics(actual_N, scores_NC.argmax(axis=1), scores_NC.shape[1])
        on_fit(f"{name}, C = {model.regularization:g}: validation accuracy {metrics['accuracy']:.1%}")
        return metrics["accuracy"], metrics["macro_f1"]

    return max(models, key=quality)


def _metrics(actual_N: Ints, predicted_N: Ints, classes: int) -> dict[str, float]:
    counts = count_classes(actual_N, predicted_N, classes)
    return {"accuracy": float(counts.accuracy), "macro_f1": float(counts.macro_f1)}
