"""Fit the three baselines of the `baseline` stage and predict a split: `... fit_linear validation`, then `test`.

On validation, C is chosen and recorded; on test, the recorded C is used. The stage itself also scores the test split,
which must not be read here, so its parts are called one by one.
"""

import sys
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.sparse import csr_array

from atnet.baselines.baselines import LINEAR, MAJORITY
from atnet.baselines.linear import LinearModel, TrainingTexts, fit_vectorizer, normalize_to_one, tokenize_words
from atnet.config import BaselineConfig
from atnet.evaluation.metrics import count_classes
from atnet.files import split_table
from atnet.schema import WEIGHT
from atnet.storage import load_params, read_json, read_table, write_json
from benchmarks.accuracy.processes import exit_with_parent
from benchmarks.accuracy.results import LabeledTexts, facts_file, predictions_file, read_split, save_predictions
from benchmarks.accuracy.search import extending_search


@dataclass(frozen=True, slots=True)
class CountedSplit:
    """The n-gram counts of a split."""

    counts_NF: csr_array
    actual_N: np.ndarray


def main(split: str) -> None:
    """Fit the models, choose C on validation, and write predictions."""
    exit_with_parent()
    config = load_params().baseline
    train, texts = read_split("train"), read_split(split)
    words, started = tokenize_words(train.texts), time.perf_counter()
    counter, counts_NF = fit_vectorizer(
        words, max_n=config.max_ngram, min_document_frequency=config.min_document_frequency
    )
    counting_seconds = time.perf_counter() - started
    training = TrainingTexts(counts_NF, train.actual_N, len(train.labels), _weights())
    counted = CountedSplit(csr_array(counter.transform(tokenize_words(texts.texts))), texts.actual_N)
    chooses = split == "validation"
    facts = {name: choose_c(name, training, counted, config) for name in LINEAR} if chooses else _recorded()
    predicted = {MAJORITY: _label_shares(train, len(texts.texts))}
    for name in LINEAR:
        started = time.perf_counter()
        model = LINEAR[name](training, regularization=facts[name]["C"], seed=config.seed)
        facts[name]["seconds"] = counting_seconds + time.perf_counter() - started
        facts[name]["parameters"] = _parameters(model)
        predicted[name] = normalize_to_one(model.decision_function(counted.counts_NF))
    if chooses:
        write_json(facts_file("linear"), {MAJORITY: {"seconds": 0.0, "parameters": len(train.labels)}, **facts})
    save_predictions(predictions_file("linear", split), texts.actual_N, predicted)


def choose_c(name: str, train: TrainingTexts, validation: CountedSplit, config: BaselineConfig) -> dict[str, Any]:
    """Choose C as the stage does, by accuracy, then macro-F1, then the smaller value; extend the range if necessary."""

    def quality(strength: float) -> tuple[float, float]:
        model = LINEAR[name](train, regularization=strength, seed=config.seed)
        predicted_N = model.decision_function(validation.counts_NF).argmax(axis=1)
        counts = count_classes(validation.actual_N, predicted_N, train.classes)
        return float(counts.accuracy), float(counts.macro_f1)

    choice = extending_search(config.regularization, quality)
    accuracies = {f"{value:g}": accuracy for value, (accuracy, *_) in sorted(choice.qualities.items())}
    return {"C": choice.value, "at_border": choice.at_border, "tried": accuracies}


def _recorded() -> dict[str, Any]:
    return dict(read_json(facts_file("linear")))


def _weights() -> np.ndarray | None:
    train = read_table(split_table("train"))
    return train[WEIGHT].to_numpy(np.float64) if WEIGHT in train.columns else None


def _label_shares(train: LabeledTexts, rows: int) -> np.ndarray:
    """Predict the label shares of the training split for every text."""
    shares_C = np.bincount(train.actual_N, minlength=len(train.labels)) / len(train.actual_N)
    return np.tile(shares_C, (rows, 1))


def _parameters(model: LinearModel) -> int:
    # With two classes one column mirrors the other.
    features, columns = model.weights_FC.shape
    return int(features + 1) * (int(columns) if columns > 2 else 1)


if __name__ == "__main__":
    main(sys.argv[1])
