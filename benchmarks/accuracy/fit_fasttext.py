"""A process: search fastText's settings on validation, or train it with them and answer a split.

Bojanowski et al. 2017, Joulin et al. 2017; one thread, which makes a training repeatable. It sees the same words as
the linear baselines.

Letters in array names: N texts, C classes.
"""

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

from atnet.baselines.linear import tokenize_words
from atnet.storage import read_json, write_json
from benchmarks.accuracy.answers import JOB, SplitTable, load_facts, read_split, save_answers, save_facts
from benchmarks.accuracy.choosing import climb
from benchmarks.accuracy.running import end_with_parent

DIMENSIONS = 100
RATES = (0.05, 0.1, 0.25, 0.5, 1.0, 2.0)
EPOCHS = (2, 5, 10, 25, 50, 100)
NGRAMS = (1, 2, 3)
CHARACTERS = (3, 6)
PREFIX = "__label__"
TRIALS = "trials.json"
PROMISING = 0.01
"""With character n-grams a training takes many times longer: they are searched only if they come this close at once."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What is searched."""

    word_ngrams: int = 2
    learning_rate: float = 0.5
    epochs: int = 10
    characters: bool = False
    """Character n-grams of 3 to 6 too."""


def search(accuracy: Callable[[Settings], float]) -> tuple[Settings, list[str]]:
    """Choose rate, epochs and n-grams in turn, rate and epochs again; then with character n-grams, if promising.

    Returns:
        The best settings, and the names of those whose best value stands at an end of its range.
    """

    def along(name: str, ladder: Sequence[Any], start: Settings) -> Settings:
        choice = climb(ladder, getattr(start, name), lambda value: (accuracy(replace(start, **{name: value})),))
        return replace(start, **{name: choice.value})

    def rate_and_epochs(start: Settings) -> Settings:
        return along("epochs", EPOCHS, along("learning_rate", RATES, start))

    words = rate_and_epochs(along("word_ngrams", NGRAMS, rate_and_epochs(Settings())))
    spelt = replace(words, characters=True)
    if accuracy(spelt) > accuracy(words) - PROMISING:
        spelt = rate_and_epochs(spelt)
    best = max((words, spelt), key=accuracy)
    ends = {"learning_rate": (RATES[0], RATES[-1]), "epochs": (EPOCHS[0], EPOCHS[-1])}
    return best, [name for name, values in ends.items() if getattr(best, name) in values]


def main(folder: Path) -> None:
    """Search, or train and answer, as the job says."""
    end_with_parent()
    job = read_json(folder / JOB)
    train = read_split(Path(job["splits"]), "train")
    if job["act"] == "search":
        judged = read_split(Path(job["splits"]), "validation")
        best, at_border = search(_remembered(folder / TRIALS, train, judged, job["seed"]))
        save_facts(folder, {"settings": asdict(best), "at_border": at_border})
        return
    settings = Settings(**read_json(Path(job["search"]) / "facts.json")["settings"])
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        model, seconds = fitted(settings, _lines(train, job["seed"]), job["seed"], Path(scratch))
    asked = read_split(Path(job["splits"]), job["split"])
    if not load_facts(folder):
        parameters = sum(int(np.prod(matrix.shape)) for matrix in (model.get_input_matrix(), model.get_output_matrix()))
        save_facts(folder, {"seconds": seconds, "parameters": parameters, **asdict(settings)})
    save_answers(
        folder, job["split"], asked.actual_N, {"fasttext": answered(model, tokenize_words(asked.texts), asked.labels)}
    )


def fitted(settings: Settings, lines: Iterable[str], seed: int, scratch: Path) -> tuple[Any, float]:
    """Train one model; give it with the seconds it took."""
    path = scratch / "train.txt"
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    shortest, longest = CHARACTERS if settings.characters else (0, 0)
    begun = time.perf_counter()
    model = fasttext.train_supervised(
        str(path),
        dim=DIMENSIONS,
        wordNgrams=settings.word_ngrams,
        lr=settings.learning_rate,
        epoch=settings.epochs,
        minn=shortest,
        maxn=longest,
        thread=1,
        seed=seed,
        verbose=0,
    )
    return model, time.perf_counter() - begun


def answered(model: Any, words: Sequence[Sequence[str]], labels: Sequence[str]) -> np.ndarray:
    """Give the class probabilities, (N, C)."""
    shares_NC = np.zeros((len(words), len(labels)))
    for row, text in enumerate(words):
        # Not model.predict: with NumPy 2 it fails, and for several texts it gives every label the first one's share.
        for share, name in model.f.predict(" ".join(text) + "\n", len(labels), -1.0, "strict"):
            shares_NC[row, int(name.removeprefix(PREFIX))] = share
    # A text without a known word gets no answer.
    shares_NC[shares_NC.sum(axis=1) == 0] = 1.0
    return np.asarray(shares_NC / shares_NC.sum(axis=1, keepdims=True))


def _lines(train: SplitTable, seed: int) -> list[str]:
    # fastText reads the file from top to bottom in every epoch; official files stand in the order of their labels.
    order = np.random.default_rng(seed).permutation(len(train.texts))
    words = tokenize_words(train.texts)
    return [f"{PREFIX}{train.actual_N[row]} {' '.join(words[row])}" for row in order]


def _remembered(path: Path, train: SplitTable, judged: SplitTable, seed: int) -> Callable[[Settings], float]:
    """Give the validation accuracy of settings; each is tried once, also over a kill."""
    tried: dict[str, float] = read_json(path) if path.is_file() else {}
    lines, words = _lines(train, seed), tokenize_words(judged.texts)

    def accuracy(settings: Settings) -> float:
        name = json.dumps(asdict(settings), sort_keys=True)
        if name not in tried:
            with tempfile.TemporaryDirectory(dir=path.parent) as scratch:
                model, _ = fitted(settings, lines, seed, Path(scratch))
            given_N = answered(model, words, judged.labels).argmax(axis=1)
            tried[name] = float((given_N == judged.actual_N).mean())
            write_json(path, tried)
        return tried[name]

    return accuracy


if __name__ == "__main__":
    main(Path(sys.argv[1]))
