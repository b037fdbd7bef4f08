"""Word vectors in a real project: DVC watches the file, and the model, its export and its card use it."""

from pathlib import Path

import numpy as np
import pytest

from atnet.inference import Predictor
from tests.projects import add_own_data, make_project, stages_run
from tests.texts import SENTIMENT, labeled_texts

pytestmark = pytest.mark.slow

DIMENSIONS = 12
UNSEEN = "splendid"


def write_vectors(path: Path, *, scale: float = 1.0) -> None:
    """Write vectors in which positive words, one of them in no text, are close to each other."""
    rng = np.random.default_rng(0)
    centers = dict(zip(("negative", "positive"), rng.normal(size=(2, DIMENSIONS)), strict=True))
    words = {word: label for label, line in SENTIMENT["en"].items() for word in line.split()}
    with path.open("w", encoding="utf-8") as file:
        for word, label in {**words, UNSEEN: "positive"}.items():
            values = scale * (centers[label] + 0.1 * rng.normal(size=DIMENSIONS))
            file.write(f"{word} {' '.join(f'{value:.4f}' for value in values)}\n")


def test_dvc_watches_the_file_and_unseen_words_have_a_meaning(tmp_path: Path) -> None:
    settings = {
        "vectors": {"pretrained": "data/v.txt", "unlabeled": "data/more.csv"},
        "train": {"wide": False, "epochs": 12},
    }
    project = make_project(tmp_path, settings)
    add_own_data(project, labeled_texts(400))
    write_vectors(tmp_path / "data" / "v.txt")
    labeled_texts(100, seed=5)[["text"]].to_csv(tmp_path / "data" / "more.csv", index=False)
    printed = project.dvc("repro", "train")
    assert "100 unlabeled texts counted too" in printed
    assert {"tokenize", "vectors", "train"} <= set(stages_run(printed))

    predictor = Predictor.load(tmp_path / "data" / "07_model")
    positive = predictor.labels.index("positive")
    known, unknown = predictor.predict([UNSEEN, "zzzz"]).probabilities[:, positive]
    assert known > 0.6 > unknown, "a word of the file alone is understood"
    explanation = predictor.explain([f"the film is {UNSEEN}"])[0]
    assert explanation.label == "positive"

    assert stages_run(project.dvc("repro", "train")) == []
    write_vectors(tmp_path / "data" / "v.txt", scale=2.0)
    assert "data/v.txt" in project.dvc("status", "tokenize")
    assert {"tokenize", "vectors", "train"} <= set(stages_run(project.dvc("repro", "train")))


def test_unchanged_projects_without_files_depend_on_the_file_that_means_none(tmp_path: Path) -> None:
    project = make_project(tmp_path)
    add_own_data(project, labeled_texts(200))
    assert "vectors" in stages_run(project.dvc("repro", "vectors"))
    assert stages_run(project.dvc("repro", "vectors")) == []
