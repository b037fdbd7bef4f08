"""The simple models that AtNet must beat: majority class, TF-IDF with logistic regression, NB-SVM.

Letters in array names: N texts, C classes.
"""

from collections.abc import Mapping, Sequence
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
    fit_counter,
    fit_nb_svm,
    fit_tfidf,
    parted,
    probabilities,
)
from atnet.config import BaselineConfig
from atnet.errors import DataContractError
from atnet.evaluation.metrics import count_classes
from atnet.schema import ID, LABEL, TEXT, WEIGHT

MAJORITY = "majority"
LINEAR: dict[str, "Fit"] = {"tfidf_logistic_regression": fit_tfidf, "nb_svm": fit_nb_svm}

Floats = NDArray[np.float64]
Classes = NDArray[np.int64]
Labels = NDArray[np.object_]


class Fit(Protocol):
    """How a linear model is made."""

    def __call__(self, train: TrainingTexts, *, regularization: float, seed: int) -> LinearModel:
        """Fit one model."""


@dataclass(frozen=True, slots=True)
class Baselines:
    """The three fitted models."""

    labels: list[str]
    """Sorted, as everywhere."""
    majority: int
    counter: CountVectorizer
    models: Mapping[str, LinearModel]

    def predict(self, texts: Sequence[str]) -> dict[str, Labels]:
        """Give each text a label, by the name of the baseline."""
        names = np.array(self.labels, dtype=object)
        given = {name: names[decided_NC.argmax(axis=1)] for name, decided_NC in self._decide(texts).items()}
        return {MAJORITY: np.full(len(texts), names[self.majority], dtype=object), **given}

    def probabilities(self, texts: Sequence[str]) -> dict[str, Floats]:
        """Give the class probabilities of the linear models, (N, C) in the order of the labels."""
        return {name: probabilities(decided_NC) for name, decided_NC in self._decide(texts).items()}

    def _decide(self, texts: Sequence[str]) -> dict[str, Floats]:
        counts_NF = csr_array(self.counter.transform(parted(texts)))
        return {name: model.decide(counts_NF) for name, model in self.models.items()}


def fit_baselines(train: pd.DataFrame, validation: pd.DataFrame, config: BaselineConfig) -> Baselines:
    """Fit on train; choose each C by validation accuracy, then macro-F1, then the stronger regularization.

    Raises:
        DataContractError: if train has fewer than two labels or no words.
    """
    labels = sorted(train[LABEL].unique().tolist())
    if len(labels) < 2:
        raise DataContractError(
            f"Train has the one label {labels}; two are needed. Run `dvc repro` to part the rows anew."
        )
    counter, counts_NF = fit_counter(
        parted(train[TEXT].tolist()), longest=config.max_ngram, min_document_frequency=config.min_document_frequency
    )
    classes_N = pd.Index(labels).get_indexer(pd.Index(train[LABEL]))
    texts = TrainingTexts(
        counts_NF=counts_NF,
        classes_N=classes_N,
        classes=len(labels),
        weights_N=train[WEIGHT].to_numpy(np.float64) if WEIGHT in train.columns else None,
    )
    judged = (
        csr_array(counter.transform(parted(validation[TEXT].tolist()))),
        pd.Index(labels).get_indexer(pd.Index(validation[LABEL])),
    )
    models = {name: _choose(fit, texts, judged, config) for name, fit in LINEAR.items()}
    return Baselines(labels, int(np.bincount(classes_N).argmax()), counter, models)


def score_baselines(
    baselines: Baselines, table: pd.DataFrame, given: Mapping[str, Labels]
) -> dict[str, dict[str, float]]:
    """Give accuracy and macro-F1 of each baseline's labels for the rows of a split."""
    labels = pd.Index(baselines.labels)
    actual_N = labels.get_indexer(pd.Index(table[LABEL]))
    return {name: _scores(actual_N, labels.get_indexer(pd.Index(names)), len(labels)) for name, names in given.items()}


def report(baselines: Baselines, validation: pd.DataFrame, test: pd.DataFrame) -> tuple[dict[str, Any], pd.DataFrame]:
    """Give the metrics of both splits with what was chosen, and the labels given to the test rows."""
    given = baselines.predict(test[TEXT].tolist())
    metrics = {
        "validation": score_baselines(baselines, validation, baselines.predict(validation[TEXT].tolist())),
        "test": score_baselines(baselines, test, given),
        "chosen": {
            MAJORITY: {"label": baselines.labels[baselines.majority]},
            **{name: {"C": model.regularization} for name, model in baselines.models.items()},
            "features": len(baselines.counter.vocabulary_),
            "min_document_frequency": baselines.counter.min_df,
        },
    }
    return metrics, pd.DataFrame({ID: test[ID], **given})


def summarize(metrics: Mapping[str, Any]) -> str:
    """Say in one line how well each baseline does on the test rows."""
    scores = ", ".join(f"{name} {quality['accuracy']:.1%}" for name, quality in metrics["test"].items())
    return f"test accuracy: {scores}"


def _choose(fit: Fit, train: TrainingTexts, judged: tuple[csr_array, Classes], config: BaselineConfig) -> LinearModel:
    """Try each C from the best_baseline_score regularization on; the first of the best wins."""
    counts_NF, actual_N = judged

    def quality(model: LinearModel) -> tuple[float, float]:
        scores = _scores(actual_N, model.decide(counts_NF).argmax(axis=1), train.classes)
        return scores["accuracy"], scores["macro_f1"]

    return max((fit(train, regularization=c, seed=config.seed) for c in sorted(config.regularization)), key=quality)


def _scores(actual_N: Classes, given_N: Classes, classes: int) -> dict[str, float]:
    counts = count_classes(actual_N, given_N, classes)
    return {"accuracy": float(counts.accuracy), "macro_f1": float(counts.macro_f1)}
