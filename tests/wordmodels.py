"""Naive Bayes classifiers that are trained at once, in a project folder as the stages leave it before `publish`."""

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

from atnet import files
from atnet.config import Params
from atnet.inference import Predictor, softmax
from atnet.schema import text_hash
from tests.finishedproject import DETAILS, METRICS, SLICES
from tests.texts import SENTIMENT, labeled_texts
from tests.tinymodel import HISTORY, sum_of_weights

LABELS = ("negative", "positive")
SUITE = {
    "language": "generated",
    "labels": {label: label for label in LABELS},
    "words": {label: SENTIMENT["en"][label].split()[:12] for label in LABELS},
    "mft": [{"group": label, "label": label, "texts": [f"a {{{label}}} film"]} for label in LABELS],
}
"""Texts with one indicative word, for the gate's behavior check."""


def write_word_project(root: Path, params: Params) -> None:
    """Write splits of generated texts, the predictions of a weak baseline and an evaluation."""
    table = labeled_texts(2400, seed=5)
    table = table.assign(text_hash=[text_hash(text) for text in table["text"]], group=table["id"])
    for name, rows in {"train": slice(0, 1500), "validation": slice(1500, 1700), "test": slice(1700, 2400)}.items():
        path = root / files.SPLITS / f"{name}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        table.iloc[rows].to_parquet(path, index=False)
    test = table.iloc[1700:]
    baseline = root / files.BASELINE / "predictions.parquet"
    baseline.parent.mkdir(parents=True, exist_ok=True)
    pd.DataFrame({"id": test["id"], "majority": "negative"}).to_parquet(baseline, index=False)
    evaluation = root / files.EVALUATION
    evaluation.mkdir(parents=True, exist_ok=True)
    for name, value in {"metrics": METRICS, "details": DETAILS, "slices": SLICES}.items():
        (evaluation / f"{name}.json").write_text(json.dumps(value))
    (evaluation / "report.html").write_text("<h1>Report</h1>")


def train_word_model(root: Path, params: Params, *, rows: int, shuffled: bool = False) -> None:
    """Write a model of log-count ratios from the first rows of the training split; few rows give a weak model."""
    train = pd.read_parquet(root / files.SPLITS / "train.parquet").head(rows)
    labels = train["label"].to_numpy()
    if shuffled:
        labels = np.random.default_rng(1).permutation(labels)
    words, weights = _weights(train["text"].tolist(), list(labels))
    folder = root / files.MODEL
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tokenizer.json").write_text(_tokenizer(words).to_str(), encoding="utf-8")
    (folder / "model.onnx").write_bytes(sum_of_weights(weights))
    (folder / "architecture.json").write_text("{}\n")
    (folder / "model.weights.h5").write_bytes(weights.tobytes())
    (folder / "train_hashes.txt").write_text("".join(f"{text}\n" for text in sorted(set(train["text_hash"]))))
    (folder / "history.csv").write_text(HISTORY)
    _calibrate(root, params, folder)


def _weights(texts: list[str], labels: list[str]) -> tuple[list[str], np.ndarray]:
    pre_tokenizer = _tokenizer([]).pre_tokenizer
    counts = {label: Counter[str]() for label in LABELS}
    for text, label in zip(texts, labels, strict=True):
        counts[label].update({word for word, _ in pre_tokenizer.pre_tokenize_str(text.lower())})
    words = sorted(set().union(*counts.values()))
    ratio = np.array([np.log((counts["positive"][word] + 1) / (counts["negative"][word] + 1)) for word in words])
    # Padding and unknown words have no weight.
    column = np.concatenate([[0.0, 0.0], ratio])
    return words, np.stack([-column, column], axis=1).astype(np.float32)


def _calibrate(root: Path, params: Params, folder: Path) -> None:
    """Choose the temperature on the validation texts, as training does."""
    validation = pd.read_parquet(root / files.SPLITS / "validation.parquet")
    settings = {"labels": LABELS, "temperature": 1.0, "pad_to": None}
    (folder / "inference_config.json").write_text(json.dumps(settings))
    logits = Predictor.load(folder).predict(validation["text"].tolist()).logits
    actual = validation["label"].map(LABELS.index).to_numpy()

    def loss(temperature: float) -> float:
        return -float(np.log(softmax(logits / temperature)[np.arange(len(actual)), actual] + 1e-12).mean())

    best = min(np.geomspace(0.3, 50, 60), key=loss)
    (folder / "inference_config.json").write_text(json.dumps({**settings, "temperature": round(float(best), 4)}))


def _tokenizer(words: list[str]) -> Tokenizer:
    vocabulary = ["[PAD]", "[UNK]", *words]
    tokenizer = Tokenizer(models.WordLevel({word: index for index, word in enumerate(vocabulary)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.enable_truncation(64)
    return tokenizer
