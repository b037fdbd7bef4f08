"""The models of the learning curve, the fastest first; each learns from a task's rows alone."""

import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from atnet.analysis.tasks import Task, TaskPredictions, linear_learner
from atnet.baselines.baselines import LINEAR_SVM, NB_SVM, TFIDF
from atnet.baselines.features import tokenize_words
from atnet.config import Params
from atnet.schema import LABEL, TEXT
from atnet.storage import read_json, write_json, write_table
from atnet.text.pretrained import select_vectors
from atnet.text.tokenization import new_tokenizer
from atnet.text.vector_files import open_vectors
from benchmarks.accuracy.search import extending_search

FASTTEXT, AVERAGED, ATNET, ATNET_PRETRAINED = "fasttext", "averaged_vectors", "atnet", "atnet_pretrained"


@dataclass(frozen=True, slots=True)
class Setting:
    """What a model may use besides the rows."""

    params: Params
    """Of the dataset; `vectors.pretrained` is a file where the model uses one."""
    seed: int
    cache: Path
    """Folder for what is searched once for several draws."""


Fit = Callable[[Task, Setting], TaskPredictions]


@dataclass(frozen=True, slots=True)
class Model:
    """A row of the table."""

    name: str
    title: str
    fit: Fit
    is_random: bool
    """Whether two trainings on the same rows differ."""
    needs_vectors: bool = False


def fit_linear(name: str) -> Fit:
    """Return the fit of a linear baseline."""

    def fit(task: Task, setting: Setting) -> TaskPredictions:
        return next(linear_learner(name, setting.params.baseline)([task]))

    return fit


def fit_averaged(task: Task, setting: Setting) -> TaskPredictions:
    """Fit a logistic regression on the mean of a text's word vectors; choose C on validation."""
    labels = sorted(task.train[LABEL].unique().tolist())
    tables = (task.train[TEXT].tolist(), task.validation[TEXT].tolist(), task.texts)
    words = [tokenize_words(texts) for texts in tables]
    distinct = sorted({word for texts in words for text in texts for word in text})
    stream = open_vectors(Path(setting.params.vectors.pretrained))
    file = select_vectors(stream, distinct, new_tokenizer(setting.params.tokenize), first_words=0)
    row_of = {word: row for row, word in enumerate(file.words)}
    train, validation, test = (np.stack([_mean(text, row_of, file.vectors_WD) for text in texts]) for texts in words)
    actual_N = pd.Index(labels).get_indexer(pd.Index(task.validation[LABEL]))

    def fitted(strength: float) -> LogisticRegression:
        model = make_pipeline(StandardScaler(), LogisticRegression(C=strength, max_iter=2000))
        return model.fit(train, task.train[LABEL])

    def quality(strength: float) -> tuple[float, float]:
        probabilities = fitted(strength).predict_proba(validation)
        right = probabilities[np.arange(len(actual_N)), actual_N]
        return float((probabilities.argmax(axis=1) == actual_N).mean()), float(np.log(right + 1e-9).mean())

    best = extending_search([0.001, 0.01, 0.1, 1.0], quality, extensions=2).value
    return TaskPredictions(labels, fitted(best).predict_proba(test)[None])


def fit_fasttext(task: Task, setting: Setting) -> TaskPredictions:
    """Train fastText with the settings that are best on validation, as the accuracy benchmark does."""
    # Only here: the package is optional.
    from benchmarks.accuracy import fit_fasttext as fasttext

    labels = sorted(task.train[LABEL].unique().tolist())
    words, validation_words = tokenize_words(task.train[TEXT].tolist()), tokenize_words(task.validation[TEXT].tolist())
    ids_N, actual_N = (pd.Index(labels).get_indexer(pd.Index(part[LABEL])) for part in (task.train, task.validation))
    order = np.random.default_rng(setting.seed).permutation(len(words))
    lines = [f"{fasttext.LABEL_PREFIX}{ids_N[row]} {' '.join(words[row])}" for row in order]
    with tempfile.TemporaryDirectory() as scratch:
        tried: dict[fasttext.Settings, float] = {}

        def accuracy(settings: fasttext.Settings) -> float:
            if settings not in tried:
                model, _ = fasttext.fit(settings, lines, setting.seed, Path(scratch))
                predicted_N = fasttext.predict(model, validation_words, labels).argmax(axis=1)
                tried[settings] = float((predicted_N == actual_N).mean())
            return tried[settings]

        path = setting.cache / "fasttext.json"
        if not path.is_file():
            write_json(path, asdict(fasttext.search(accuracy)[0]))
        model, _ = fasttext.fit(fasttext.Settings(**read_json(path)), lines, setting.seed, Path(scratch))
        return TaskPredictions(labels, fasttext.predict(model, tokenize_words(task.texts), labels)[None])


def fit_atnet(task: Task, setting: Setting) -> TaskPredictions:
    """Do what the stages tokenize, vectors and train do, in this process."""
    # Only here: TensorFlow takes seconds to import.
    from atnet.analysis.network_worker import run_task

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_table(folder / "train.parquet", task.train)
        write_table(folder / "validation.parquet", task.validation)
        write_table(folder / "texts.parquet", pd.DataFrame({TEXT: task.texts}))
        run_task(folder, setting.params, [setting.seed])
        with np.load(folder / "predictions.npz") as arrays:
            return TaskPredictions(arrays["labels"].tolist(), arrays["probabilities"])


MODELS = (
    Model(TFIDF, "TF-IDF(1,2) + logistic regression", fit_linear(TFIDF), is_random=False),
    Model(NB_SVM, "NB-SVM(1,2)", fit_linear(NB_SVM), is_random=False),
    Model(LINEAR_SVM, "linear SVM, words(1,2) + characters(2,5)", fit_linear(LINEAR_SVM), is_random=False),
    Model(AVERAGED, "pretrained vectors averaged + logistic regression", fit_averaged, False, needs_vectors=True),
    Model(FASTTEXT, "fastText", fit_fasttext, is_random=True),
    Model(ATNET, "AtNet from scratch", fit_atnet, is_random=True),
    Model(ATNET_PRETRAINED, "AtNet from pretrained vectors", fit_atnet, True, needs_vectors=True),
)


def _mean(words: list[str], row_of: dict[str, int], vectors_WD: np.ndarray) -> np.ndarray:
    rows = [row_of[word] for word in words if word in row_of]
    mean: np.ndarray = vectors_WD[rows].mean(axis=0) if rows else np.zeros(vectors_WD.shape[1], np.float32)
    return mean
