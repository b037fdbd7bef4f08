"""A process: fit the three baselines of the `baseline` stage, C chosen on validation, and answer a split.

The stage itself also judges the test split, which is not to be read here; so its parts are called one by one.
"""

import sys
import time
from pathlib import Path

import numpy as np
from scipy.sparse import csr_array

from atnet.baselines.baselines import LINEAR, MAJORITY
from atnet.baselines.linear import LinearModel, TrainingTexts, fit_vectorizer, normalize_to_one, tokenize_words
from atnet.config import BaselineConfig
from atnet.evaluation.metrics import count_classes
from atnet.schema import WEIGHT
from atnet.storage import load_params, read_json, read_table
from benchmarks.accuracy.answers import JOB, load_facts, read_split, save_answers, save_facts
from benchmarks.accuracy.choosing import choose_wider
from benchmarks.accuracy.running import end_with_parent


def main(folder: Path) -> None:
    """Fit with the C that was chosen, chosen now if it was not, and answer the split that the job names."""
    end_with_parent()
    job, config = read_json(folder / JOB), load_params(folder / "params.yaml").baseline
    splits = Path(job["splits"])
    train, asked = read_split(splits, "train"), read_split(splits, job["split"])
    words, begun = tokenize_words(train.texts), time.perf_counter()
    counter, counts_NF = fit_vectorizer(
        words, max_n=config.max_ngram, min_document_frequency=config.min_document_frequency
    )
    counting = time.perf_counter() - begun
    texts = TrainingTexts(counts_NF, train.actual_N, len(train.labels), _weights(splits))
    facts = load_facts(folder)
    if not facts:
        judged = read_split(splits, "validation")
        counted = csr_array(counter.transform(tokenize_words(judged.texts)))
        facts = {name: choose(name, texts, (counted, judged.actual_N), config) for name in LINEAR}
    asked_NF = csr_array(counter.transform(tokenize_words(asked.texts)))
    given = {MAJORITY: _shares(train.actual_N, len(train.labels), len(asked.texts))}
    for name, found in facts.items():
        if name in LINEAR:
            begun = time.perf_counter()
            model = LINEAR[name](texts, regularization=found["C"], seed=config.seed)
            found["seconds"] = counting + time.perf_counter() - begun
            found["parameters"] = _parameters(model)
            given[name] = normalize_to_one(model.decision_function(asked_NF))
    if MAJORITY not in facts:
        save_facts(folder, {MAJORITY: {"seconds": 0.0, "parameters": len(train.labels)}, **facts})
    save_answers(folder, job["split"], asked.actual_N, given)


def choose(
    name: str, train: TrainingTexts, judged: tuple[csr_array, np.ndarray], config: BaselineConfig
) -> dict[str, object]:
    """Choose C as the stage does, by accuracy, then macro-F1, then the stronger one, but widen its range at need."""
    counts_NF, actual_N = judged

    def quality(strength: float) -> tuple[float, float]:
        model = LINEAR[name](train, regularization=strength, seed=config.seed)
        counts = count_classes(actual_N, model.decision_function(counts_NF).argmax(axis=1), train.classes)
        return float(counts.accuracy), float(counts.macro_f1)

    choice = choose_wider(config.regularization, quality)
    tried = {f"{value:g}": accuracy for value, (accuracy, *_) in sorted(choice.tried.items())}
    return {"C": choice.value, "at_border": choice.at_border, "tried": tried}


def _weights(splits: Path) -> np.ndarray | None:
    train = read_table(splits / "train.parquet")
    return train[WEIGHT].to_numpy(np.float64) if WEIGHT in train.columns else None


def _shares(actual_N: np.ndarray, classes: int, rows: int) -> np.ndarray:
    """Answer every text with the label shares of train."""
    return np.tile(np.bincount(actual_N, minlength=classes) / len(actual_N), (rows, 1))


def _parameters(model: LinearModel) -> int:
    # Of two classes one column mirrors the other.
    features, columns = model.weights_FC.shape
    return int(features + 1) * (int(columns) if columns > 2 else 1)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
