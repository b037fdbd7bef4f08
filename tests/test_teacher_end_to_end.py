"""A model that learns from a teacher, through the real stages, against one that sees the labels alone."""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from atnet import files
from atnet.schema import HARD_LABEL, text_hash
from tests.projects import OWN_DATA, Project, make_project
from tests.texts import SENTIMENT, labeled_texts

STAGES = ("validate", "split", "tokenize", "vectors", "baseline", "train", "evaluate")
LABELED, TAUGHT, HELD_OUT = 40, 800, 300
"""Training rows with a label, training rows with a teacher's probabilities only, rows of validation and test each."""
TEACHER = {"negative": "p_neg", "positive": "p_pos"}


def project_of(root: Path, table: pd.DataFrame, teacher: dict[str, str] | None) -> Project:
    """Run the stages on a file with an official split."""
    columns = {"label": "label", "id": "id", "split": "part", "rating": None, "slices": [], "teacher": teacher}
    project = make_project(root, {"data.columns": columns, "train": {"epochs": 4, "soft_target_slope": None}})
    path = root / OWN_DATA
    path.parent.mkdir(exist_ok=True)
    table.to_csv(path, index=False)
    for stage in STAGES:
        project.run(sys.executable, "-m", f"atnet.stages.{stage}")
    return project


def taught_file() -> pd.DataFrame:
    """Generate the file; the teacher knows the indicative words, and does not see the labels."""
    table = labeled_texts(LABELED + TAUGHT + 2 * HELD_OUT)
    positive = [sum(word in text.lower() for word in SENTIMENT["en"]["positive"].split()) for text in table["text"]]
    probability = np.where(np.array(positive) > 0, 0.95, 0.05)
    parts = np.repeat(["train", "validation", "test"], [LABELED + TAUGHT, HELD_OUT, HELD_OUT])
    table = table.assign(part=parts, p_pos=probability, p_neg=(1 - probability).round(2))
    table.loc[LABELED : LABELED + TAUGHT - 1, "label"] = None
    # A copy of a test text, which the student must not learn from.
    copied = table.tail(1).assign(id="copied", label=None, part="train")
    return pd.concat([table, copied], ignore_index=True)


@pytest.mark.slow
def test_a_student_learns_from_the_teacher_and_is_scored_on_hard_labels(tmp_path: Path) -> None:
    table = taught_file()
    student = project_of(tmp_path / "student", table, TEACHER)
    alone = project_of(tmp_path / "alone", table[table["label"].notna()].drop(columns=["p_pos", "p_neg"]), None)

    split = student.json(str(files.SPLIT_REPORT))
    assert split["splits"]["train"]["rows"] == LABELED
    assert split["teacher_only"]["rows"] == TAUGHT
    assert split["teacher_only"]["excluded"] == {"rows": 1, "first_ids": ["copied"]}
    for name in ("validation", "test"):
        with_teacher = pd.read_parquet(student.root / files.split_table(name))
        assert with_teacher[HARD_LABEL].all()
        assert with_teacher["id"].tolist() == pd.read_parquet(alone.root / files.split_table(name))["id"].tolist()

    # The baselines are the same: they are fitted on labels alone.
    for path in (files.BASELINE_PREDICTIONS, files.BASELINE_METRICS):
        assert (student.root / path).read_bytes() == (alone.root / path).read_bytes()

    hashes = set((student.root / files.MODEL / "train_hashes.txt").read_text().split())
    assert {text_hash(text) for text in table["text"][: LABELED + TAUGHT]} == hashes
    scores = [project.json(str(files.METRICS)) for project in (student, alone)]
    assert scores[0]["rows"] == scores[1]["rows"] == HELD_OUT
    assert scores[0]["accuracy"]["value"] > scores[1]["accuracy"]["value"] + 0.05
