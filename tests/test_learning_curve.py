"""The learning curve benchmark: draws, cache, scores and the converter of the vectors."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from atnet.analysis.tasks import Task, TaskPredictions
from atnet.baselines.baselines import TFIDF
from atnet.config import Params
from atnet.schema import LABEL, TEXT
from benchmarks.convert_wink_vectors import text_lines
from benchmarks.learning_curve.cells import ALL, Cell, SplitData, cells
from benchmarks.learning_curve.curve import curve_table, draw_curve, score_cells
from benchmarks.learning_curve.models import ATNET, AVERAGED, FASTTEXT, MODELS, Setting, fit_averaged
from tests.texts import SENTIMENT, labeled_texts

BY_NAME = {model.name: model for model in MODELS}


@pytest.fixture
def data(tmp_path: Path, params: Params) -> SplitData:
    table = labeled_texts(900)
    return SplitData(
        "generated", tmp_path, params, {"train": table[:600], "validation": table[600:750], "test": table[750:]}
    )


def test_small_draws_are_part_of_larger_ones_and_all_rows_are_the_same_in_every_draw(data: SplitData) -> None:
    small, large, other = (
        Cell(data, size, draw, BY_NAME[TFIDF]).task() for size, draw in ((250, 0), (500, 0), (250, 1))
    )
    assert len(small.train) == 250
    assert len(small.validation) == 62
    assert set(small.train["id"]) < set(large.train["id"])
    assert set(small.train["id"]) != set(other.train["id"])
    assert small.texts == data.tables["test"][TEXT].tolist()
    assert len(Cell(data, ALL, 3, BY_NAME[TFIDF]).task().train) == 600


def test_cells_are_ordered_by_cost_and_a_model_without_randomness_learns_from_all_rows_once(data: SplitData) -> None:
    planned = list(cells([data], [ATNET, TFIDF], [ALL, 250, 2000], draws=2))
    assert [(cell.size, cell.model.name) for cell in planned[::2]] == [
        (250, TFIDF),
        (250, ATNET),
        (ALL, TFIDF),
        (ALL, ATNET),
    ], "2,000 rows are more than there are"
    assert planned[4].path == planned[5].path
    assert planned[6].path != planned[7].path


def test_validation_rows_have_labels_that_the_draw_has(data: SplitData) -> None:
    rare = data.tables["validation"].copy()
    rare.iloc[:20, rare.columns.get_loc(LABEL)] = "rare"
    task = Cell(SplitData("x", data.folder, data.params, {**data.tables, "validation": rare}), 250, 0, BY_NAME[TFIDF])
    assert set(task.task().validation[LABEL]) == {"negative", "positive"}


def predictions(data: SplitData, right: float, seed: int) -> TaskPredictions:
    """Predict the given share of the test rows right."""
    rng = np.random.default_rng(seed)
    wrong = rng.random(len(data.actual_N)) > right
    return TaskPredictions(data.labels, np.eye(2)[np.where(wrong, 1 - data.actual_N, data.actual_N)][None])


def test_the_table_shows_complete_cells_and_the_plot_is_drawn(data: SplitData, tmp_path: Path) -> None:
    planned = list(cells([data], [TFIDF, ATNET, FASTTEXT], [250], draws=2))
    for cell in planned:
        if cell.model.name == TFIDF or cell.model.name == ATNET or cell.draw == 0:
            cell.save(predictions(data, 0.9 if cell.model.name == ATNET else 0.6, cell.draw), 1.0)
    curve = score_cells(planned)
    table = curve_table(curve)

    assert set(curve["generated", 250]) == {TFIDF, ATNET}, "fastText has one draw of two"
    assert curve["generated", 250][ATNET].accuracy.value > 0.8
    assert "AtNet from scratch: difference from the best other" in table
    draw_curve(curve, {"generated": 600}, tmp_path / "curve.svg")
    assert "AtNet from scratch" in (tmp_path / "curve.svg").read_text()


def test_averaged_vectors_learn(data: SplitData, tmp_path: Path) -> None:
    sentiment = {
        word: sign for sign, key in ((-1, "negative"), (1, "positive")) for word in SENTIMENT["en"][key].split()
    }
    words = {word: sentiment.get(word, 0) for text in data.tables["train"][TEXT] for word in text.lower().split()}
    (tmp_path / "v.txt").write_text("".join(f"{word} {sign} 0.5 0.{len(word)}\n" for word, sign in words.items()))
    vectors = data.params.vectors.model_copy(update={"pretrained": str(tmp_path / "v.txt")})
    params = data.params.model_copy(update={"vectors": vectors})
    task: Task = Cell(data, 500, 0, BY_NAME[AVERAGED]).task()
    predicted = fit_averaged(task, Setting(params, 0, tmp_path)).probabilities[0].argmax(axis=1)
    assert (predicted == data.actual_N).mean() > 0.75


def test_the_package_of_vectors_is_converted_without_norm_and_index() -> None:
    package = {"dimensions": 2, "words": ["the", "of"], "vectors": {"the": [0.5, 1, 9, 0], "of": [2, -1, 9, 1]}}
    assert list(text_lines(package)) == ["the 0.5 1\n", "of 2 -1\n"]
    assert pd.Index(package["words"]).is_unique
