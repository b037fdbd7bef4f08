"""Search fastText's settings on validation, or train with them and predict a split: `... fit_fasttext search`.

Bojanowski et al. 2017, Joulin et al. 2017; one thread, which makes a training repeatable. It uses the same words as
the linear baselines.

Letters in array names: N texts, C classes.
"""

import hashlib
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import fasttext
import numpy as np
import yaml

from atnet.baselines.features import tokenize_words
from atnet.files import STATE, split_table
from atnet.storage import read_json, write_json
from benchmarks.accuracy.graph import SEEDS_FILE
from benchmarks.accuracy.processes import exit_with_parent
from benchmarks.accuracy.results import (
    LabeledTexts,
    facts_file,
    predictions_file,
    read_split,
    save_predictions,
    search_file,
)
from benchmarks.accuracy.search import hill_climb

DIMENSIONS = 100
LEARNING_RATES = (0.05, 0.1, 0.25, 0.5, 1.0, 2.0)
EPOCHS = (2, 5, 10, 25, 50, 100)
WORD_NGRAMS = (1, 2, 3)
CHAR_NGRAMS = (3, 6)
LABEL_PREFIX = "__label__"
PROMISING = 0.01
"""Character n-grams make a training many times longer: they are searched only if they come this close at first."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What is searched."""

    word_ngrams: int = 2
    learning_rate: float = 0.5
    epochs: int = 10
    characters: bool = False
    """Also character n-grams of 3 to 6."""


def search(accuracy: Callable[[Settings], float]) -> tuple[Settings, list[str]]:
    """Choose learning rate, epochs and word n-grams in turn, then again; then try character n-grams.

    Returns:
        The best settings, and the names of those whose best value is at an end of its range.
    """

    def climb(name: str, values: Sequence[Any], start: Settings) -> Settings:
        choice = hill_climb(values, getattr(start, name), lambda value: (accuracy(replace(start, **{name: value})),))
        return replace(start, **{name: choice.value})

    def rate_and_epochs(start: Settings) -> Settings:
        return climb("epochs", EPOCHS, climb("learning_rate", LEARNING_RATES, start))

    words = rate_and_epochs(climb("word_ngrams", WORD_NGRAMS, rate_and_epochs(Settings())))
    with_characters = replace(words, characters=True)
    if accuracy(with_characters) > accuracy(words) - PROMISING:
        with_characters = rate_and_epochs(with_characters)
    best = max((words, with_characters), key=accuracy)
    ends = {"learning_rate": (LEARNING_RATES[0], LEARNING_RATES[-1]), "epochs": (EPOCHS[0], EPOCHS[-1])}
    return best, [name for name, values in ends.items() if getattr(best, name) in values]


def main(task: str) -> None:
    """Search, or train and predict the split that `task` names."""
    exit_with_parent()
    seeds = yaml.safe_load(SEEDS_FILE.read_text(encoding="utf-8"))
    if task == "search":
        best, at_border = search(_cached_accuracy(seeds["search_seed"]))
        write_json(search_file(), {"settings": asdict(best), "at_border": at_border})
        return
    train, texts, seed = read_split("train"), read_split(task), seeds["seed"]
    settings = Settings(**read_json(search_file())["settings"])
    with tempfile.TemporaryDirectory() as scratch:
        model, seconds = fit(settings, _lines(train, seed), seed, Path(scratch))
    if task == "validation":
        parameters = sum(int(np.prod(matrix.shape)) for matrix in (model.get_input_matrix(), model.get_output_matrix()))
        write_json(facts_file("fasttext"), {"seconds": seconds, "parameters": parameters, **asdict(settings)})
    predicted_NC = predict(model, tokenize_words(texts.texts), texts.labels)
    save_predictions(predictions_file("fasttext", task), texts.actual_N, {"fasttext": predicted_NC})


def fit(settings: Settings, lines: Iterable[str], seed: int, scratch: Path) -> tuple[Any, float]:
    """Train one model and return it with the seconds it took."""
    path = scratch / "train.txt"
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    min_characters, max_characters = CHAR_NGRAMS if settings.characters else (0, 0)
    started = time.perf_counter()
    model = fasttext.train_supervised(
        str(path),
        dim=DIMENSIONS,
        wordNgrams=settings.word_ngrams,
        lr=settings.learning_rate,
        epoch=settings.epochs,
        minn=min_characters,
        maxn=max_characters,
        thread=1,
        seed=seed,
        verbose=0,
    )
    return model, time.perf_counter() - started


def predict(model: Any, words: Sequence[Sequence[str]], labels: Sequence[str]) -> np.ndarray:
    """Return the class probabilities, (N, C)."""
    predicted_NC = np.zeros((len(words), len(labels)))
    for row, text in enumerate(words):
        # Not model.predict: it fails with NumPy 2, and for several texts it returns the first label's probability
        # for every label.
        for probability, name in model.f.predict(" ".join(text) + "\n", len(labels), -1.0, "strict"):
            predicted_NC[row, int(name.removeprefix(LABEL_PREFIX))] = probability
    # fastText returns nothing for a text without a known word.
    predicted_NC[predicted_NC.sum(axis=1) == 0] = 1.0
    return np.asarray(predicted_NC / predicted_NC.sum(axis=1, keepdims=True))


def _lines(train: LabeledTexts, seed: int) -> list[str]:
    # fastText reads the file from top to bottom in every epoch; official files are often sorted by label.
    order = np.random.default_rng(seed).permutation(len(train.texts))
    words = tokenize_words(train.texts)
    return [f"{LABEL_PREFIX}{train.actual_N[row]} {' '.join(words[row])}" for row in order]


def _cached_accuracy(seed: int) -> Callable[[Settings], float]:
    """Return a function that computes the validation accuracy of settings; trials survive an interrupted search."""
    train, validation = read_split("train"), read_split("validation")
    lines, words = _lines(train, seed), tokenize_words(validation.texts)
    path = STATE / f"fasttext-trials-{_key(seed)}.json"
    trials: dict[str, float] = read_json(path) if path.is_file() else {}

    def accuracy(settings: Settings) -> float:
        name = json.dumps(asdict(settings), sort_keys=True)
        if name not in trials:
            with tempfile.TemporaryDirectory() as scratch:
                model, _ = fit(settings, lines, seed, Path(scratch))
            predicted_N = predict(model, words, validation.labels).argmax(axis=1)
            trials[name] = float((predicted_N == validation.actual_N).mean())
            write_json(path, trials)
        return trials[name]

    return accuracy


def _key(seed: int) -> str:
    digest = hashlib.sha256(f"{seed}".encode())
    for path in (split_table("train"), split_table("validation"), Path(__file__)):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


if __name__ == "__main__":
    main(sys.argv[1])
