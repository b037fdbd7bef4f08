"""Learning curves and label issues."""

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
from atnet.analysis.folds import assign_folds, make_folds, nested_subset
from atnet.analysis.label_issues import LabelIssues, find_label_issues, fold_tasks, label_issue_table
from atnet.analysis.learning_curve import curve_tasks, learning_curve
from atnet.analysis.power_law import fit_power_law
from atnet.analysis.rating_agreement import compare_with_ratings
from atnet.analysis.run import analyze_labels, analyze_learning_curve, make_learner
from atnet.analysis.subprocess_learner import network_learner
from atnet.analysis.tasks import Task, TaskPredictions
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


def split_rows(rows: int, *, seed: int = 0, labels: int = 2) -> pd.DataFrame:
    """Build rows as the split stage writes them; every second row is a near duplicate of the row before it."""
    table = labeled_texts(rows, "en", 6 if labels == 6 else 2, seed)
    groups = [text_hash(table[TEXT][row // 2 * 2]) for row in range(rows)]
    return table.assign(text_hash=table[TEXT].map(text_hash), group=groups)


def write_splits(folder: Path, params: Params) -> None:
    """Write a training and a validation split."""
    for name, rows, seed in (("train", 400, 1), ("validation", 200, 2)):
        write_table(folder / files.SPLITS / f"{name}.parquet", split_rows(rows, seed=seed))


def test_a_smaller_subset_is_part_of_every_larger_one_and_has_every_label() -> None:
    table = split_rows(200, labels=6)
    subsets = [nested_subset(table, fraction, seed=1) for fraction in (0.01, 0.1, 0.5, 1.0)]
    for smaller, larger in pairwise(subsets):
        assert set(smaller.index) <= set(larger.index)
        assert set(smaller[LABEL]) == set(table[LABEL])
    assert len(subsets[0]) == 6
    assert abs(len(subsets[2]) - 100) <= 6
    assert subsets[-1].equals(table)


def test_new_texts_do_not_change_the_order_of_existing_ones() -> None:
    table = split_rows(200)
    before = nested_subset(table.head(100), 0.3, seed=1)
    after = nested_subset(table, 0.3, seed=1)
    # Of the old rows, those with the lowest hashes are selected first in both cases.
    old = after.index.intersection(table.head(100).index)
    assert set(old) <= set(before.index) or set(before.index) <= set(old)


def test_near_duplicates_share_a_fold_and_no_model_is_trained_on_its_own_fold() -> None:
    table = split_rows(300)
    assert (pd.Series(assign_folds(table, 5, seed=3)).groupby(table[GROUP]).nunique() == 1).all()
    folds = make_folds(table, 5, seed=3)
    assert sorted(np.concatenate([fold.rows for fold in folds])) == list(range(300))
    for fold in folds:
        own = set(table[GROUP].iloc[fold.rows])
        assert own.isdisjoint(fold.train[GROUP])
        assert own.isdisjoint(fold.validation[GROUP])
        assert set(fold.train[GROUP]).isdisjoint(fold.validation[GROUP])


def test_folds_have_similar_sizes_although_the_split_used_the_same_hash(params: Params) -> None:
    from atnet.schema import unit_hash

    # The groups that the split stage assigns to train and validation: those above the test split's end.
    groups = [f"group-{row}" for row in range(4000) if unit_hash(f"group-{row}", params.split.seed) > 0.1]
    sizes = np.bincount(assign_folds(pd.DataFrame({GROUP: groups}), 5, seed=params.split.seed))
    assert sizes.min() > 0.9 * sizes.max()


def test_too_few_rows_for_the_folds_are_refused() -> None:
    with pytest.raises(DataContractError, match=r"Lower analyze\.folds"):
        make_folds(split_rows(4), 2, seed=1)


@pytest.mark.parametrize(("floor", "scale", "exponent"), [(0.05, 3.0, 0.4), (0.0, 1.2, 0.2), (0.1, 8.0, 0.9)])
def test_the_fit_recovers_a_known_curve(floor: float, scale: float, exponent: float) -> None:
    rows = np.array([1000.0, 2500, 5000, 10000])
    law = fit_power_law(rows, floor + scale * rows**-exponent)
    assert math.isclose(law.error_at(20000), floor + scale * 20000**-exponent, rel_tol=0.005)


def test_more_texts_never_make_the_fitted_error_larger() -> None:
    rows = np.array([100.0, 200, 400, 800])
    law = fit_power_law(rows, np.array([0.2, 0.21, 0.22, 0.24]))
    assert law.error_at(1600) <= law.error_at(800) <= law.error_at(100)
    assert math.isclose(law.error_at(800), 0.2175, rel_tol=0.01)


def predictions_with_errors(errors: Sequence[int], actual: Sequence[str], seeds: int = 1) -> Iterator[TaskPredictions]:
    """Predict the right label except for the first so many texts."""
    labels = sorted(set(actual))
    for count in errors:
        right = np.array([labels.index(label) for label in actual])
        predicted = np.where(np.arange(len(right)) < count, 1 - right, right)
        yield TaskPredictions(labels, np.repeat(np.eye(2)[predicted][None], seeds, axis=0))


def test_the_curve_is_extrapolated_to_twice_the_texts_with_an_interval(small: Params) -> None:
    validation = split_rows(200)
    tasks = curve_tasks(split_rows(400), validation, small.analyze)
    actual = validation[LABEL].tolist()
    predictions = list(predictions_with_errors([40, 28, 20], actual, seeds=2))
    curve = learning_curve("atnet", tasks, predictions, actual, small.analyze)
    assert [point.train_rows for point in curve.points] == [100, 200, 400]
    assert [round(point.accuracy.value, 3) for point in curve.points] == [0.8, 0.86, 0.9]
    assert curve.doubled_rows == 800
    assert 0.9 < curve.doubled_accuracy.value < 1
    assert curve.doubled_accuracy.low < curve.doubled_accuracy.value < curve.doubled_accuracy.high
    assert curve.gain.low >= 0
    assert curve.extrapolated_last is None


def test_with_four_points_the_last_one_is_also_extrapolated_from_the_others(small: Params) -> None:
    config = small.analyze.model_copy(update={"train_fractions": [0.125, 0.25, 0.5, 1.0]})
    validation = split_rows(200)
    tasks, actual = curve_tasks(split_rows(400), validation, config), validation[LABEL].tolist()
    predictions = list(predictions_with_errors([60, 45, 33, 25], actual))
    curve = learning_curve("nb_svm", tasks, predictions, actual, config)
    assert curve.extrapolated_last == pytest.approx(0.875, abs=0.02)


def test_fractions_that_select_the_same_texts_are_refused(small: Params) -> None:
    config = small.analyze.model_copy(update={"train_fractions": [0.001, 0.002, 1.0]})
    with pytest.raises(DataContractError, match="too few"):
        curve_tasks(split_rows(40), split_rows(20), config)


@pytest.mark.parametrize("fractions", [[0.5, 0.25, 1.0], [0.1, 0.5, 0.9], [0.5, 1.0]])
def test_fractions_must_increase_to_one(fractions: list[float]) -> None:
    with pytest.raises(ConfigurationError, match=r"analyze\.train_fractions"):
        params_with({"analyze": {"train_fractions": fractions}})


def test_flipped_labels_lead_the_list(small: Params) -> None:
    table = split_rows(600).drop_duplicates(TEXT).reset_index(drop=True).assign(split="train")
    flipped = np.arange(len(table)) % 20 == 0
    other = {"negative": "positive", "positive": "negative"}
    spoiled = table.assign(label=np.where(flipped, table[LABEL].map(other), table[LABEL]))
    folds = make_folds(spoiled, 3, seed=1)
    predictions = list(make_learner("nb_svm", small)(fold_tasks(folds, spoiled)))
    issues = find_label_issues(spoiled, folds, predictions)
    first = issues.issues[: flipped.sum() // 2]
    # 6% of these texts suggest the other label on their own.
    assert flipped[first].mean() > 0.4
    assert flipped[issues.issues].sum() > 0.6 * flipped.sum()
    listed = label_issue_table(spoiled, issues)
    assert listed["label_quality"].is_monotonic_increasing
    assert (listed["given_label"] != listed["predicted_label"]).all()


def test_a_label_missing_from_a_fold_has_probability_zero_there() -> None:
    predictions = TaskPredictions(["a", "c"], np.array([[[0.25, 0.75]]]))
    assert predictions.aligned_to(["a", "b", "c"]).tolist() == [[[0.25, 0.0, 0.75]]]


def test_the_comparison_with_ratings_counts_ambiguous_texts(small: Params) -> None:
    ratings = np.array([0.6, -0.7, 2.0, -3.0, 0.8, np.nan])
    mispredicted = np.array([1, 1, 1, 0, 0, 1])
    issues = LabelIssues(
        labels=["a", "b"],
        given_labels=np.zeros(6, np.int64),
        probabilities=np.eye(2)[mispredicted],
        quality=np.array([0.1, 0.2, 0.3, 0.9, 0.8, 0.1]),
        issues=np.array([0, 1, 2, 5]),
    )
    agreement = compare_with_ratings(ratings, issues, small.analyze)
    groups = {group.name: group for group in agreement.groups}
    assert groups["all rows"].rows == 5
    assert groups["label issue"].rows == 3
    assert groups["mispredicted out of fold"].rows == 3
    assert math.isclose(groups["label issue"].ambiguous, 2 / 3)
    assert math.isclose(groups["no label issue"].ambiguous, 1 / 2)
    assert math.isclose(agreement.ambiguous_recall, 2 / 3)
    assert math.isclose(agreement.mean_abs_rating_difference.value, 1.1 - 1.9)


@pytest.mark.slow
def test_both_analyses_write_pages_tables_and_the_same_bytes_twice(
    small: Params, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_splits(tmp_path, small)
    for folder in ("first", "second"):
        analyze_learning_curve(small, Path(folder), ["nb_svm"], 1)
        analyze_labels(small, Path(folder), "nb_svm")
    written = {path.name: path.read_bytes() for path in Path("first").iterdir()}
    assert sorted(written) == [
        f"{name}.{end}" for name in ("label_issues", "learning_curve") for end in ("csv", "html", "json")
    ]
    assert written == {path.name: path.read_bytes() for path in Path("second").iterdir()}
    curve = pd.read_csv("first/learning_curve.csv")
    assert curve["train_rows"].tolist() == [100, 200, 400, 800]
    assert json.loads(written["label_issues.json"])["rows"] == 600
    listed = pd.read_csv("first/label_issues.csv")
    assert set(listed[SPLIT]) <= {"train", "validation"}
    assert b"http" not in written["learning_curve.html"] + written["label_issues.html"]


def test_texts_are_escaped_in_the_page_and_defused_in_the_csv_file(
    small: Params, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_splits(tmp_path, small)
    path = tmp_path / files.SPLITS / "train.parquet"
    table = pd.read_parquet(path)
    write_table(path, table.assign(text="=<script>alert(1)</script> " + table[TEXT]))
    analyze_labels(small, Path("out"), "nb_svm")
    page = (tmp_path / "out" / "label_issues.html").read_text(encoding="utf-8")
    assert "&lt;script&gt;" in page
    assert "<script>" not in page
    texts = pd.read_csv(tmp_path / "out" / "label_issues.csv")[TEXT]
    assert not texts.str.startswith("=").any()
    assert texts.str.startswith("'=<script>").any()


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
        make_learner("bert", small)


@pytest.mark.slow
def test_atnet_is_trained_in_a_child_process(small: Params) -> None:
    table, texts = split_rows(300), split_rows(40, seed=3)[TEXT].tolist()
    task = Task(table.head(240), table.tail(60), texts)
    twice = [list(network_learner(small, [13, 14])([task])) for _ in range(2)]
    probabilities = twice[0][0].probabilities
    assert probabilities.shape == (2, 40, 2)
    assert np.allclose(probabilities.sum(axis=2), 1)
    assert not np.array_equal(probabilities[0], probabilities[1])
    assert np.array_equal(probabilities, twice[1][0].probabilities)


@pytest.mark.slow
def test_an_error_in_the_training_process_is_reported_with_its_message(small: Params) -> None:
    words = pd.DataFrame({TEXT: ["one", "two", "three"], LABEL: ["a", "b", "a"], "id": ["1", "2", "3"]})
    rare = words.assign(text_hash=words[TEXT].map(text_hash))
    picky = small.model_copy(update={"tokenize": small.tokenize.model_copy(update={"min_frequency": 2})})
    with pytest.raises(AtnetError, match="No word occurs 2 times"):
        list(network_learner(picky, [13])([Task(rare, rare, ["one"])]))
