"""Fit the baselines of the `baseline` stage and predict a split: `... fit_linear validation`, then `test`.

On validation, C is chosen and recorded; on test, the recorded C is used. The stage itself also scores the test split,
which must not be read here, so its parts are called one by one.
"""

import sys
import time
from typing import Any

import numpy as np

from atnet.baselines.baselines import LINEAR, LINEAR_SVM, MAJORITY, ScoredTexts, make_fitter
from atnet.baselines.features import fit_counter
from atnet.baselines.linear import Fit, LinearModel, TrainingTexts
from atnet.baselines.svm import calibration_temperature
from atnet.config import BaselineConfig
from atnet.evaluation.metrics import count_classes
from atnet.files import split_table
from atnet.schema import WEIGHT
from atnet.storage import load_params, read_json, read_table, write_json
from benchmarks.accuracy.processes import exit_with_parent
from benchmarks.accuracy.results import LabeledTexts, facts_file, predictions_file, read_split, save_predictions
from benchmarks.accuracy.search import extending_search


def main(split: str) -> None:
    """Fit the models, choose C on validation, and write predictions."""
    exit_with_parent()
    config = load_params().baseline
    train, texts = read_split("train"), read_split(split)
    started = time.perf_counter()
    counter, counts = fit_counter(
        train.texts, max_n=config.max_ngram, min_document_frequency=config.min_document_frequency
    )
    counting_seconds = time.perf_counter() - started
    training = TrainingTexts(counts, train.actual_N, len(train.labels), _weights())
    scored = ScoredTexts(counter.transform(texts.texts), texts.actual_N)
    fits = {name: make_fitter(name, training, config) for name in LINEAR}
    chooses = split == "validation"
    facts = {name: choose_c(fits[name], scored, config) for name in LINEAR} if chooses else _recorded()
    predicted = {MAJORITY: _label_shares(train, len(texts.texts))}
    for name in LINEAR:
        started = time.perf_counter()
        model = make_fitter(name, training, config)(facts[name]["C"])
        facts[name]["seconds"] = counting_seconds + time.perf_counter() - started
        facts[name]["parameters"] = _parameters(model)
        if name == LINEAR_SVM:
            model = _calibrated(model, scored, facts[name], chooses=chooses)
        predicted[name] = model.probabilities(scored.counts)
    if chooses:
        write_json(facts_file("linear"), {MAJORITY: {"seconds": 0.0, "parameters": len(train.labels)}, **facts})
    save_predictions(predictions_file("linear", split), texts.actual_N, predicted)


def choose_c(fit: Fit, validation: ScoredTexts, config: BaselineConfig) -> dict[str, Any]:
    """Choose C as the stage does, by accuracy, then macro-F1, then the smaller value; extend the range if necessary."""

    def quality(strength: float) -> tuple[float, float]:
        scores_NC = fit(strength).decision_function(validation.counts)
        counts = count_classes(validation.actual_N, scores_NC.argmax(axis=1), scores_NC.shape[1])
        return float(counts.accuracy), float(counts.macro_f1)

    choice = extending_search(config.regularization, quality)
    accuracies = {f"{value:g}": accuracy for value, (accuracy, *_) in sorted(choice.qualities.items())}
    return {"C": choice.value, "at_border": choice.at_border, "tried": accuracies}


def _calibrated(model: LinearModel, scored: ScoredTexts, facts: dict[str, Any], *, chooses: bool) -> LinearModel:
    """Calibrate on validation and record the temperature; on test, use the recorded one."""
    if chooses:
        facts["temperature"] = calibration_temperature(model, scored.counts, scored.actual_N)
    return model.scaled(1 / facts["temperature"])


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
