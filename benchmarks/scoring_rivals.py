"""What `atnet score` is compared with, as anyone would write it: one script per library, from CSV to CSV.

    python -m benchmarks.scoring_rivals keras MODEL_FOLDER INPUT OUTPUT
    python -m benchmarks.scoring_rivals fit TRAIN_TABLE MODEL_FILE
    python -m benchmarks.scoring_rivals sklearn MODEL_FILE INPUT OUTPUT

Each prints the seconds from the moment its model is loaded to the end.
"""

import os
import sys
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import pandas as pd

BATCH_TEXTS = 256


def score_with_keras(model_folder: Path, source: Path, target: Path) -> float:
    """Score with the trained Keras model and `predict`: texts padded to the longest that the tokenizer gives."""
    import keras
    from tokenizers import Tokenizer

    # The layers register themselves.
    import atnet.network.layers
    import atnet.wide.ngram_layers  # noqa: F401

    tokenizer = Tokenizer.from_file(str(model_folder / "tokenizer.json"))
    model = keras.models.model_from_json((model_folder / "architecture.json").read_text(encoding="utf-8"))
    model.load_weights(model_folder / "model.weights.h5")
    begun = time.perf_counter()
    table = pd.read_csv(source)
    encoded = [encoding.ids for encoding in tokenizer.encode_batch(table["text"].tolist(), add_special_tokens=False)]
    tokens = np.zeros((len(encoded), max(map(len, encoded))), np.int32)
    for row, ids in enumerate(encoded):
        tokens[row, : len(ids)] = ids
    logits = np.asarray(model.predict(tokens, batch_size=BATCH_TEXTS, verbose=0)["logits"])
    write_scores(table, np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True), ["negative", "positive"], target)
    return time.perf_counter() - begun


def fit_sklearn(train: Path, model_file: Path) -> float:
    """Fit TF-IDF and a logistic regression on the training split."""
    import joblib
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    rows = pd.read_parquet(train)
    vectorizer = TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True)
    model = make_pipeline(vectorizer, LogisticRegression(C=3.0, max_iter=1000))
    joblib.dump(model.fit(rows["text"], rows["label"]), model_file)
    return 0.0


def score_with_sklearn(model_file: Path, source: Path, target: Path) -> float:
    """Score with scikit-learn."""
    import joblib

    model = joblib.load(model_file)
    begun = time.perf_counter()
    table = pd.read_csv(source)
    write_scores(table, model.predict_proba(table["text"]), list(model.classes_), target)
    return time.perf_counter() - begun


def write_scores(table: pd.DataFrame, probabilities: np.ndarray, labels: list[str], target: Path) -> None:
    """Write id, label, score and one column per class."""
    best = probabilities.argmax(axis=1)
    scores = {f"probability_{label}": probabilities[:, column] for column, label in enumerate(labels)}
    columns = {"id": table["id"], "label": np.array(labels)[best], "score": probabilities.max(axis=1), **scores}
    pd.DataFrame(columns).to_csv(target, index=False)


def main() -> None:
    """Do what the first argument says."""
    commands = {"keras": score_with_keras, "fit": fit_sklearn, "sklearn": score_with_sklearn}
    print(f"{commands[sys.argv[1]](*map(Path, sys.argv[2:])):.4f}")


if __name__ == "__main__":
    main()
