"""What the analyses say about the data."""

import json
import math
import sys
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from atnet import files
from atnet.analysis.folds import fold_numbers, make_folds, nested_subset
from atnet.analysis.label_issues import find_label_issues, fold_tasks, label_issue_table
from atnet.analysis.learning_curve import curve_tasks, learning_curve
from atnet.analysis.power_law import fit_power_law
from atnet.analysis.rating_agreement import compare_with_ratings
from atnet.analysis.run import analyze_labels, analyze_learning_curve, learner
from atnet.analysis.subprocess_learner import network_learner
from atnet.analysis.tasks import LearnerPredictions, Task
from atnet.cli import app as cli
from atnet.config import Params
from atnet.errors import AtnetError, ConfigurationError, DataContractError
from atnet.schema import GROUP, LABEL, SPLIT, TEXT, text_hash
from atnet.storage import write_table
from tests.settings import LABELED, params_file, params_with
from tests.texts import labeled_texts

SMALL = {
    "analyze": {"bootstrap_samples": 100, "folds": 3, "train_fractions": [0.25, 0.5, 1.0]},
    "baseline": {"regularization": [1.0]},
    "train": {"embedding_dimensions": 8, "filters": 8, "epochs": 2, "soft_target_slope": None},
}


@pytest.fixture
def small() -> Params:
    return params_with(LABELED, SMALL)


def hashed(rows: int, *, seed: int = 0, labels: int = 2) -> pd.DataFrame:
    """Make rows as the split stage leaves them; every second one is a near duplicate of the row before it."""
    table = labeled_texts(rows, "en", 6 if labels == 6 else 2, seed)
    groups = [text_hash(table[TEXT][row // 2 * 2]) for row in range(rows)]
    return table.assign(text_hash=table[TEXT].map(text_hash), group=groups)


def write_splits(folder: Path, params: Params) -> None:
    """Write a training and a validation split."""
    for name, rows, seed in (("train", 400, 1), ("validation", 200, 2)):
        write_table(folder / files.SPLITS / f"{name}.parquet", hashed(rows, seed=seed))


def test_a_smaller_share_lies_within_every_larger_one_and_holds_every_label() -> None:
    table = hashed(200, labels=6)
    parts = [nested_subset(table, share, seed=1) for share in (0.01, 0.1, 0.5, 1.0)]
    for smaller, larger in pairwise(parts):
        assert set(smaller.index) <= set(larger.index)
        assert set(smaller[LABEL]) == set(table[LABEL])
    assert len(parts[0]) == 6
    assert abs(len(parts[2]) - 100) <= 6
    assert parts[-1].equals(table)


def test_texts_that_are_added_do_not_reorder_those_that_were_there() -> None:
    table = hashed(200)
    before = nested_subset(table.head(100), 0.3, seed=1)
    after = nested_subset(table, 0.3, seed=1)
    # Of the old rows, those with the lowest hashes are the first to be taken either way.
    kept = after.index.intersection(table.head(100).index)
    assert set(kept) <= set(before.index) or set(before.index) <= set(kept)


def test_near_duplicates_share_a_fold_and_no_fold_is_learned_from_by_its_own_judge() -> None:
    table = hashed(300)
    assert (pd.Series(fold_numbers(table, 5, seed=3)).groupby(table[GROUP]).nunique() == 1).all()
    folds = make_folds(table, 5, seed=3)
    assert sorted(np.concatenate([fold.rows for fold in folds])) == list(range(300))
    for fold in folds:
        own = set(table[GROUP].iloc[fold.rows])
        assert own.isdisjoint(fold.train[GROUP])
        assert own.isdisjoint(fold.stopping[GROUP])
        assert set(fold.train[GROUP]).isdisjoint(fold.stopping[GROUP])


def test_folds_are_of_one_size_though_the_split_was_cut_by_the_same_hash(params: Params) -> None:
    from atnet.schema import unit_hash

    # The groups that the split stage leaves to train and validation: those above the test side's end.
    groups = [f"group-{row}" for row in range(4000) if unit_hash(f"group-{row}", params.split.seed) > 0.1]
    sizes = np.bincount(fold_numbers(pd.DataFrame({GROUP: groups}), 5, seed=params.split.seed))
    assert sizes.min() > 0.9 * sizes.max()


def test_too_few_rows_for_the_folds_are_refused() -> None:
    with pytest.raises(DataContractError, match=r"Lower analyze\.folds"):
        make_folds(hashed(4), 2, seed=1)


@pytest.mark.parametrize(("floor", "scale", "exponent"), [(0.05, 3.0, 0.4), (0.0, 1.2, 0.2), (0.1, 8.0, 0.9)])
def test_the_fit_finds_a_curve_that_is_there(floor: float, scale: float, exponent: float) -> None:
    rows = np.array([1000.0, 2500, 5000, 10000])
    law = fit_power_law(rows, floor + scale * rows**-exponent)
    assert math.isclose(law.error_at(20000), floor + scale * 20000**-exponent, rel_tol=0.005)


def test_more_texts_never_make_the_fitted_error_larger() -> None:
    rows = np.array([100.0, 200, 400, 800])
    law = fit_power_law(rows, np.array([0.2, 0.21, 0.22, 0.24]))
    assert law.error_at(1600) <= law.error_at(800) <= law.error_at(100)
    assert math.isclose(law.error_at(800), 0.2175, rel_tol=0.01)


def answers_for(wrong: Sequence[int], actual: Sequence[str], seeds: int = 1) -> Iterator[LearnerPredictions]:
    """Answer rightly but for the first so many texts."""
    labels = sorted(set(actual))
    for count in wrong:
        right = np.array([labels.index(label) for label in actual])
        given = np.where(np.arange(len(right)) < count, 1 - right, right)
        yield LearnerPredictions(labels, np.repeat(np.eye(2)[given][None], seeds, axis=0))


def test_the_curve_leads_on_to_twice_the_texts_within_its_interval(small: Params) -> None:
    validation = hashed(200)
    tasks = curve_tasks(hashed(400), validation, small.analyze)
    actual = validation[LABEL].tolist()
    curve = learning_curve("atnet", tasks, list(answers_for([40, 28, 20], actual, seeds=2)), actual, small.analyze)
    assert [point.rows for point in curve.points] == [100, 200, 400]
    assert [round(point.accuracy.value, 3) for point in curve.points] == [0.8, 0.86, 0.9]
    assert curve.more_rows == 800
    assert 0.9 < curve.more.value < 1
    assert curve.more.low < curve.more.value < curve.more.high
    assert curve.gain.low >= 0
    assert curve.foretold is None


def test_shares_that_are_the_same_texts_are_refused(small: Params) -> None:
    config = small.analyze.model_copy(update={"train_fractions": [0.001, 0.002, 1.0]})
    with pytest.raises(DataContractError, match="too few"):
        curve_tasks(hashed(40), hashed(20), config)


@pytest.mark.parametrize("shares", [[0.5, 0.25, 1.0], [0.1, 0.5, 0.9], [0.5, 1.0]])
def test_shares_must_rise_to_one(shares: list[float]) -> None:
    with pytest.raises(ConfigurationError, match=r"analyze\.train_fractions"):
        params_with({"analyze": {"train_fractions": shares}})


def test_labels_that_were_turned_around_lead_the_list(small: Params) -> None:
    table = hashed(600).drop_duplicates(TEXT).reset_index(drop=True).assign(split="train")
    turned = np.arange(len(table)) % 20 == 0
    other = {"negative": "positive", "positive": "negative"}
    spoiled = table.assign(label=np.where(turned, table[LABEL].map(other), table[LABEL]))
    folds = make_folds(spoiled, 3, seed=1)
    found = find_label_issues(spoiled, folds, list(learner("nb_svm", small)(fold_tasks(folds, spoiled))))
    first = found.flagged[: turned.sum() // 2]
    # 6 % of these texts speak for the other label by themselves.
    assert turned[first].mean() > 0.4
    assert turned[found.flagged].sum() > 0.6 * turned.sum()
    listed = label_issue_table(spoiled, found)
    assert listed["score"].is_monotonic_increasing
    assert (listed["label"] != listed["suggested"]).all()


def test_a_label_that_a_fold_never_saw_has_probability_zero_there() -> None:
    answers = LearnerPredictions(["a", "c"], np.array([[[0.25, 0.75]]]))
    assert answers.over(["a", "b", "c"]).tolist() == [[[0.25, 0.0, 0.75]]]


def test_the_comparison_counts_what_people_were_unsure_of(small: Params) -> None:
    ratings = np.array([0.6, -0.7, 2.0, -3.0, 0.8, np.nan])
    flagged = np.array([0, 1, 2, 5])
    wrong = np.array([True, True, True, False, False, True])
    doubt = compare_with_ratings(ratings, flagged, wrong, np.array([0.1, 0.2, 0.3, 0.9, 0.8, 0.1]), small.analyze)
    groups = {group.name: group for group in doubt.groups}
    assert groups["all rows"].rows == 5
    assert groups["flagged"].rows == 3
    assert math.isclose(groups["flagged"].unsure, 2 / 3)
    assert math.isclose(groups["not flagged"].unsure, 1 / 2)
    assert math.isclose(doubt.found, 2 / 3)
    assert math.isclose(doubt.difference.value, 1.1 - 1.9)


def test_both_analyses_write_pages_tables_and_the_same_bytes_twice(
    small: Params, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_splits(tmp_path, small)
    for folder in ("first", "second"):
        analyze_learning_curve(small, Path(folder), ["nb_svm"], 1, tell=lambda line: None)
        analyze_labels(small, Path(folder), "nb_svm", tell=lambda line: None)
    written = {path.name: path.read_bytes() for path in Path("first").iterdir()}
    assert sorted(written) == [
        f"{name}.{end}" for name in ("labels", "learning_curve") for end in ("csv", "html", "json")
    ]
    assert written == {path.name: path.read_bytes() for path in Path("second").iterdir()}
    curve = pd.read_csv("first/learning_curve.csv")
    assert curve["texts"].tolist() == [100, 200, 400, 800]
    assert json.loads(written["labels.json"])["rows"] == 600
    listed = pd.read_csv("first/labels.csv")
    assert set(listed[SPLIT]) <= {"train", "validation"}
    assert b"http" not in written["learning_curve.html"] + written["labels.html"]


def test_a_text_is_shown_as_text(small: Params, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_splits(tmp_path, small)
    path = tmp_path / files.SPLITS / "train.parquet"
    table = pd.read_parquet(path)
    write_table(path, table.assign(text="<script>alert(1)</script> " + table[TEXT]))
    analyze_labels(small, Path("out"), "nb_svm", tell=lambda line: None)
    page = (tmp_path / "out" / "labels.html").read_text(encoding="utf-8")
    assert "&lt;script&gt;" in page
    assert "<script>" not in page


@pytest.mark.parametrize("command", [["learning-curve"], ["labels"]])
def test_without_data_the_command_names_the_next_step(
    command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    params_file(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["atnet", "analyze", *command])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 1
    assert "Run `make pipeline` first" in capsys.readouterr().err


def test_an_unknown_model_is_refused_by_name(small: Params) -> None:
    with pytest.raises(ConfigurationError, match="atnet, tfidf_logistic_regression, nb_svm"):
        learner("bert", small)


@pytest.mark.slow
def test_atnet_learns_tasks_in_a_process_of_its_own(small: Params) -> None:
    table, asked = hashed(300), hashed(40, seed=3)[TEXT].tolist()
    task = Task(table.head(240), table.tail(60), asked)
    twice = [list(network_learner(small, [13, 14])([task])) for _ in range(2)]
    probabilities = twice[0][0].probabilities
    assert probabilities.shape == (2, 40, 2)
    assert np.allclose(probabilities.sum(axis=2), 1)
    assert not np.array_equal(probabilities[0], probabilities[1])
    assert np.array_equal(probabilities, twice[1][0].probabilities)


@pytest.mark.slow
def test_a_fault_in_the_training_process_is_told_in_its_words(small: Params) -> None:
    words = pd.DataFrame({TEXT: ["one", "two", "three"], LABEL: ["a", "b", "a"], "id": ["1", "2", "3"]})
    rare = words.assign(text_hash=words[TEXT].map(text_hash))
    picky = small.model_copy(update={"tokenize": small.tokenize.model_copy(update={"min_frequency": 2})})
    with pytest.raises(AtnetError, match="No word stands 2 times"):
        list(network_learner(picky, [13])([Task(rare, rare, ["one"])]))
