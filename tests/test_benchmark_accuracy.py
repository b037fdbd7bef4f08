"""The accuracy benchmark: intervals, search, project copies, the ledger of test evaluations, tables."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from atnet import files
from atnet.config import parse_params
from atnet.errors import ConfigurationError, DataFileError
from atnet.evaluation.bootstrap import Interval
from atnet.storage import write_json, write_text
from benchmarks.accuracy import compare, tables
from benchmarks.accuracy.__main__ import main, parse_arguments
from benchmarks.accuracy.comparison import BaselineComparison, ResultRow, result_rows, row_from_result
from benchmarks.accuracy.datasets import Dataset, locate_datasets, params_for, with_overrides
from benchmarks.accuracy.graph import BEFORE_TRAIN, TRAINING_STAGE, benchmark_graph, target
from benchmarks.accuracy.ledger import (
    TestEvaluation,
    append_evaluation,
    count_evaluations,
    find_evaluation,
    read_ledger,
)
from benchmarks.accuracy.models import (
    ATNET,
    ATNET_PUBLISHED,
    TITLES,
    VARIANTS,
    VECTOR_VARIANTS,
    Kind,
    ModelSpec,
    ablation_variants,
    compared_models,
)
from benchmarks.accuracy.processes import Command, CommandError, run, run_parallel
from benchmarks.accuracy.results import facts_file, predictions_file, save_predictions
from benchmarks.accuracy.runs import Run, configuration, execute
from benchmarks.accuracy.scores import accuracy_difference, draw_seeds, score_models
from benchmarks.accuracy.search import extending_search, hill_climb
from benchmarks.accuracy.workspace import Workspace
from benchmarks.project_copy import ROOT, command_environment

PARAMS: dict[str, Any] = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
NOW = datetime(2026, 1, 1, 10, tzinfo=UTC)


def probabilities(labels: np.ndarray, confidence: float = 0.9) -> np.ndarray:
    """Return the (N, 2) probabilities of a model that predicts these labels."""
    return np.where(np.eye(2, dtype=bool)[labels], confidence, 1 - confidence)


def predictions(actual: np.ndarray, errors: int, seed: int) -> np.ndarray:
    """Return the probabilities of a model that is wrong on that many rows."""
    predicted = actual.copy()
    rows = np.random.default_rng(seed).choice(len(actual), size=errors, replace=False)
    predicted[rows] = 1 - predicted[rows]
    return probabilities(predicted)


@pytest.fixture
def actual() -> np.ndarray:
    """Return the labels of 600 rows."""
    return np.random.default_rng(0).integers(2, size=600)


# --- intervals over texts and seeds


def test_equal_predictions_differ_by_exactly_nothing(actual: np.ndarray) -> None:
    same = predictions(actual, 90, seed=1)
    scores = score_models(actual, {"first": [same], "second": [same]})
    assert accuracy_difference(scores["first"], scores["second"]) == Interval(0.0, 0.0, 0.0)


def test_the_interval_of_a_clear_gain_is_above_zero_and_that_of_a_random_one_is_not(actual: np.ndarray) -> None:
    scores = score_models(
        actual,
        {
            "better": [predictions(actual, 30, seed) for seed in (1, 2, 3)],
            "worse": [predictions(actual, 120, seed) for seed in (4, 5)],
            "alike": [predictions(actual, 118, seed) for seed in (6, 7)],
        },
    )
    gain = accuracy_difference(scores["better"], scores["worse"])
    random_gain = accuracy_difference(scores["alike"], scores["worse"])
    assert gain.value == pytest.approx(90 / 600)
    assert tables.is_better(gain) == "yes"
    assert tables.is_better(random_gain) == "not shown"


def test_scores_are_means_over_the_seeds(actual: np.ndarray) -> None:
    scores = score_models(actual, {"model": [predictions(actual, 60, 1), predictions(actual, 120, 2)]})["model"]
    assert scores.accuracy.value == pytest.approx(1 - 90 / 600)
    # The confidence is 0.9: one seed is calibrated, the other is overconfident by 0.1.
    assert scores.calibration_error == pytest.approx(0.05)


def test_seeds_that_disagree_widen_the_interval(actual: np.ndarray) -> None:
    apart = score_models(actual, {"model": [predictions(actual, 30, 1), predictions(actual, 150, 2)]})["model"].accuracy
    alike = score_models(actual, {"model": [predictions(actual, 90, 1), predictions(actual, 90, 2)]})["model"].accuracy
    assert apart.high - apart.low > 1.5 * (alike.high - alike.low)


def test_another_model_in_the_call_does_not_change_the_scores_of_the_first(actual: np.ndarray) -> None:
    first = predictions(actual, 80, 1)
    alone = score_models(actual, {"a": [first]})
    together = score_models(actual, {"a": [first], "b": [predictions(actual, 90, 2)]})
    assert alone["a"].accuracy.value == together["a"].accuracy.value
    assert alone["a"].macro_f1.low == pytest.approx(together["a"].macro_f1.low, abs=0.01)


def test_variants_with_the_same_predictions_for_every_seed_do_not_differ(actual: np.ndarray) -> None:
    seeds = [predictions(actual, 60, 1), predictions(actual, 90, 2)]
    paired = score_models(actual, {"default": seeds, "same": seeds}, paired_seeds=True)
    assert accuracy_difference(paired["same"], paired["default"]) == Interval(0.0, 0.0, 0.0)
    independent = score_models(actual, {"default": seeds, "same": seeds})
    assert accuracy_difference(independent["same"], independent["default"]).high > 0


def test_seeds_are_drawn_with_replacement() -> None:
    drawn = draw_seeds(5, np.random.default_rng(1))
    assert np.allclose(drawn.sum(axis=1), 1)
    assert np.allclose(drawn.mean(axis=0), 0.2, atol=0.02)
    assert drawn.max() >= 0.6


# --- the search on validation


@pytest.mark.parametrize(("peak", "values"), [(1.0, 3), (30.0, 6), (0.1, 5)])
def test_a_range_is_extended_until_the_best_value_is_inside(peak: float, values: int) -> None:
    choice = extending_search([0.3, 1.0, 3.0], lambda value: (-abs(float(np.log(value / peak))),))
    assert choice.value == peak
    assert not choice.at_border
    assert len(choice.qualities) == values


def test_a_search_that_never_finds_a_peak_stops_and_reports_it() -> None:
    choice = extending_search([1.0, 3.0], lambda value: (value,), extensions=2)
    assert choice.value == 30.0
    assert choice.at_border


def test_of_equally_good_values_the_strongest_regularization_is_chosen() -> None:
    assert extending_search([1.0, 3.0, 10.0, 0.3], lambda value: (float(value >= 1),)).value == 1.0


def test_hill_climbing_tries_both_directions_and_stays_if_nothing_is_gained() -> None:
    assert hill_climb([1, 2, 3, 4], 2, lambda value: (float(value),)).value == 4
    assert hill_climb([1, 2, 3, 4], 3, lambda value: (-float(value),)).value == 1
    flat = hill_climb([1, 2, 3], 2, lambda _: (0.0,))
    assert (flat.value, flat.at_border) == (2, False)


def test_the_search_finds_the_best_fasttext_settings() -> None:
    pytest.importorskip("fasttext")
    from benchmarks.accuracy.fit_fasttext import Settings, search

    def accuracy(settings: Settings) -> float:
        return float(
            -abs(settings.word_ngrams - 3)
            - abs(np.log(settings.learning_rate / 0.25))
            - abs(np.log(settings.epochs / 25))
            + settings.characters
        )

    best = Settings(word_ngrams=3, learning_rate=0.25, epochs=25, characters=True)
    assert search(accuracy) == (best, [])


# --- datasets and params.yaml


def test_a_dataset_changes_only_the_data_and_label_settings(tmp_path: Path) -> None:
    for name in ("trec", "sms_spam"):
        params = params_for(PARAMS, name, tmp_path / "x.csv.gz")
        parse_params(yaml.safe_dump(params))
        unchanged = [section for section in PARAMS if params[section] == PARAMS[section]]
        assert set(PARAMS) - set(unchanged) == {"data", "validate"}
        assert params["data"]["path"] == "data/01_raw/x.csv.gz"
        assert params["data"]["columns"]["split"] == (None if name == "sms_spam" else "split")


def test_missing_datasets_are_named_with_what_to_do(tmp_path: Path) -> None:
    unset = locate_datasets(["default", "trec"], PARAMS, project=tmp_path, folder=None)
    assert not unset.available
    assert "ATNET_DATASETS is not set" in unset.missing["trec"]
    assert "dvc repro data/dvc.yaml:sample" in unset.missing["default"]
    (tmp_path / "trec.csv.gz").touch()
    partial = locate_datasets(["trec", "imdb50k"], PARAMS, project=tmp_path, folder=str(tmp_path))
    assert [dataset.name for dataset in partial.available] == ["trec"]
    assert str(tmp_path / "imdb50k.csv.gz") in partial.missing["imdb50k"]


def test_a_missing_dataset_on_the_command_line_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("ATNET_DATASETS", raising=False)
    monkeypatch.setattr("benchmarks.accuracy.__main__.FOLDER", tmp_path)
    assert main(["--sets", "trec"]) == 1
    assert "trec: ATNET_DATASETS is not set" in capsys.readouterr().err


def test_every_variant_has_valid_parameters() -> None:
    for overrides in (*VARIANTS.values(), *VECTOR_VARIANTS.values()):
        parse_params(yaml.safe_dump(with_overrides(PARAMS, overrides)))
    with pytest.raises(KeyError, match="not in params"):
        with_overrides(PARAMS, {"train.wdie": False})


def test_the_published_network_may_have_fewer_seeds_and_linear_models_have_one() -> None:
    models = {model.name: model for model in compared_models(list(TITLES), first_seed=13, seeds=5, published_seeds=1)}
    assert [len(models[name].seeds) for name in ("nb_svm", "fasttext", ATNET_PUBLISHED, ATNET)] == [1, 5, 1, 5]
    assert ablation_variants(["no wide branch"], first_seed=13, seeds=2)[0].name == "default"


def test_with_vectors_every_variant_of_the_ablation_starts_from_them(tmp_path: Path) -> None:
    variants = ablation_variants([], first_seed=13, seeds=2, vectors=tmp_path / "glove.txt")
    assert [variant.name for variant in variants] == ["default", *VECTOR_VARIANTS]
    assert {variant.overrides["vectors.pretrained"] for variant in variants} == {str(tmp_path / "glove.txt")}
    with pytest.raises(ConfigurationError, match="no variant 'two channels'"):
        ablation_variants(["two channels"], first_seed=13, seeds=2)


def test_an_ablation_never_reads_the_test_split(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse_arguments(["--ablation", "--test"])
    assert "validation only" in capsys.readouterr().err


# --- project copies


def graph() -> dict[str, Any]:
    """Return the stages of a project copy."""
    text = benchmark_graph((ROOT / "dvc.yaml").read_text(encoding="utf-8"))
    return dict(yaml.safe_load(text)["stages"])


def test_the_stages_before_train_are_the_projects_own() -> None:
    project = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    stages = graph()
    assert "persist" not in json.dumps(stages)
    for name in BEFORE_TRAIN:
        outs = [next(iter(out)) if isinstance(out, dict) else out for out in project[name]["outs"]]
        assert stages[name] == {**project[name], "outs": outs}
    assert set(project["train"]["deps"]) < set(stages["train"]["deps"])
    assert stages["train"]["params"] == project["train"]["params"]


def test_only_the_stages_for_the_test_split_read_it() -> None:
    readers = {name for name, stage in graph().items() if "data/03_splits/test.parquet" in stage["deps"]}
    kinds: tuple[Kind, ...] = ("atnet", "linear", "fasttext")
    # The other two do not learn from it: one encodes it, one excludes unlabeled texts that it has.
    assert readers - {"tokenize", "vectors"} == {target(kind, "test") for kind in kinds}


def test_the_dependencies_of_the_copys_stages_exist_in_it(tmp_path: Path) -> None:
    project = workspace(tmp_path).create_project(dataset(tmp_path), "atnet-13", PARAMS, {"seed": 13})
    stages = graph()
    entries = [out for stage in stages.values() for out in [*stage.get("outs", []), *stage.get("metrics", [])]]
    outputs = {next(iter(entry)) if isinstance(entry, dict) else entry for entry in entries}
    for name, stage in stages.items():
        for dep in stage["deps"]:
            given = {
                "${data.path}": PARAMS["data"]["path"],
                "${validate.expectations}": files.EXPECTATIONS,
                "${vectors.pretrained}": files.NO_FILE,
                "${vectors.unlabeled}": files.NO_FILE,
            }
            path = str(given.get(dep, dep))
            assert path in outputs or (project / path).exists() or dep == "${data.path}", (name, dep)


def workspace(folder: Path) -> Workspace:
    """Return a workspace whose copies are made from this project."""
    return Workspace(ROOT, folder / "copies", command_environment(ROOT))


def dataset(folder: Path, rows: int = 1) -> Dataset:
    """Write a dataset of two labels."""
    path = folder / "rows.csv"
    lines = [
        f'"film {row} was {word} and number {row * row}",{word}' for row in range(rows) for word in ("good", "bad")
    ]
    path.write_text("text,label\n" + "\n".join(lines) + "\n", encoding="utf-8")
    return Dataset("rows", path, params_for(PARAMS, "sms_spam", path))


def test_a_copy_keeps_its_outputs_when_it_is_created_again(tmp_path: Path) -> None:
    copies, data = workspace(tmp_path), dataset(tmp_path)
    project = copies.create_project(data, "a b", data.params, {"seed": 1})
    write_text(project / "results" / "x.json", "{}")
    (project / "src" / "left.py").touch()
    assert copies.create_project(data, "a b", with_overrides(data.params, {"train.seed": 5}), {"seed": 1}) == project
    assert (project / "results" / "x.json").is_file()
    assert not (project / "src" / "left.py").exists()
    assert yaml.safe_load((project / "params.yaml").read_text())["train"]["seed"] == 5


@pytest.mark.slow
def test_a_second_copy_restores_from_the_shared_cache_what_the_first_has_computed(tmp_path: Path) -> None:
    copies, data = workspace(tmp_path), dataset(tmp_path, rows=60)
    first = copies.create_project(data, "first", data.params, {"seed": 1, "search_seed": 1})
    copies.reproduce(first, "linear_validation")
    changed = with_overrides(data.params, {"train.seed": 99, "evaluate.seed": 1})
    second = copies.create_project(data, "second", changed, {"seed": 2, "search_seed": 1})
    output = copies.reproduce(second, "linear_validation")
    assert "Running stage" not in output
    assert output.count("is cached - skipping run") == 3
    assert copies.is_current(second, "linear_validation")
    assert not copies.is_current(second, "linear_test")
    assert json.loads((second / facts_file("linear")).read_text())["nb_svm"]["C"] > 0
    other = copies.create_project(data, "third", with_overrides(data.params, {"baseline.max_ngram": 1}), {"seed": 1})
    assert "Running stage 'linear_validation'" in copies.reproduce(other, "linear_validation")


# --- processes


def test_the_error_of_a_failed_command_contains_its_output(tmp_path: Path) -> None:
    command = Command("broken", (sys.executable, "-m", "no_such_module"), tmp_path, dict(os.environ))
    with pytest.raises(CommandError, match=r"broken ended with exit code 1:\n.*no_such_module"):
        run(command)


def test_no_further_item_is_started_after_an_error() -> None:
    started: list[str] = []

    def action(item: str) -> None:
        started.append(item)
        if item == "bad":
            raise CommandError("bad")
        time.sleep(0.05)

    with pytest.raises(CommandError):
        run_parallel(action, ["bad", *["good"] * 50], 2)
    assert len(started) < 10


def test_a_process_ends_with_its_parent() -> None:
    code = "import time; from benchmarks.accuracy.processes import exit_with_parent; exit_with_parent(); time.sleep(60)"
    process = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, cwd=ROOT)
    assert process.stdin is not None
    process.stdin.close()
    assert process.wait(timeout=20) == 1


# --- the ledger

EVALUATION = TestEvaluation(
    "trec", ATNET, "abc", (13, 14), "c0ffee", "2026-01-01T10:00+00:00", {"rows": 3, "seconds": 1.23456789}
)


def test_evaluations_are_appended_and_found_again(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    assert read_ledger(path) == []
    append_evaluation(path, EVALUATION)
    first = path.read_text()
    append_evaluation(path, replace(EVALUATION, configuration="def"))
    assert path.read_text().startswith(first)
    evaluations = read_ledger(path)
    evaluation = find_evaluation(evaluations, replace(EVALUATION, commit="other", date="later", result={}))
    assert evaluation is not None
    assert evaluation.result["seconds"] == 1.23457
    for other in ({"seeds": (13,)}, {"set": "sms_spam"}, {"configuration": "x"}, {"model": "nb_svm"}):
        assert find_evaluation(evaluations, replace(EVALUATION, **other)) is None
    assert count_evaluations(evaluations) == {("trec", ATNET): 2}


def test_a_damaged_line_is_named(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    append_evaluation(path, EVALUATION)
    path.write_text(path.read_text() + "{}\n")
    with pytest.raises(DataFileError, match=r"Line 2 of .*ledger\.jsonl"):
        read_ledger(path)


def test_the_committed_ledger_can_be_read() -> None:
    evaluations = read_ledger(ROOT / "benchmarks" / "test_ledger.jsonl")
    assert len(evaluations) >= 77
    assert {evaluation.model for evaluation in evaluations} <= set(TITLES)
    counts = count_evaluations(evaluations)
    assert counts["default", ATNET] >= 1
    assert counts["default", ATNET_PUBLISHED] >= 1


@dataclass
class Story:
    """Two trained models whose DVC commands are replaced by a function that writes predictions."""

    benchmark: compare.Benchmark
    runs: dict[ModelSpec, list[Run]]
    read: list[str] = field(default_factory=list)
    """The copies in which the test split was read."""

    def evaluate(self, *, again: bool = False) -> tuple[list[ResultRow], list[str]]:
        """Evaluate on the test split."""
        return compare.evaluate_on_test(self.benchmark, "rows", self.runs, again=again, now=NOW)


ERRORS = {"nb_svm": 120, ATNET: 30, "majority": 250}


def fake_reproduce(actual: np.ndarray, read: list[str]) -> Callable[..., str]:
    """Return a replacement of `dvc repro` that writes what the stages would write."""

    def reproduce(self: Workspace, project: Path, name: str) -> str:
        kind, split = name.rsplit("_", 1)
        model = ATNET if kind == "atnet" else project.name
        if split == "test":
            read.append(project.name)
        write_json(project / facts_file(kind), {"seconds": 1.5, "parameters": 10})
        save_predictions(
            project / predictions_file(kind, split), actual, {model: predictions(actual, ERRORS[model], ERRORS[model])}
        )
        stage = {"cmd": "x", "deps": [{"path": "a", "md5": kind}], "params": {"params.yaml": {"train": {"seed": 13}}}}
        stages = {name: stage for name in TRAINING_STAGE.values() if name.startswith(("train", kind))}
        write_text(project / "dvc.lock", yaml.safe_dump({"stages": stages}))
        return ""

    return reproduce


@pytest.fixture
def story(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, actual: np.ndarray) -> Story:
    """Return two models that are trained and not yet evaluated on test."""
    monkeypatch.setattr(compare, "LEDGER", tmp_path / "ledger.jsonl")
    monkeypatch.setattr(compare, "commit", lambda: "c0ffee")
    read: list[str] = []
    monkeypatch.setattr(Workspace, "reproduce", fake_reproduce(actual, read))
    monkeypatch.setattr(
        Workspace,
        "is_current",
        lambda self, project, name: (project / "results" / f"{name}.npz").is_file(),
    )
    copies = workspace(tmp_path)
    runs = {spec: [planned(copies, spec)] for spec in (model("nb_svm", "linear"), model(ATNET, "atnet"))}
    execute(copies, [run for model_runs in runs.values() for run in model_runs], "validation", 1)
    return Story(compare.Benchmark(copies, (), 1), runs, read)


def model(name: str, kind: Kind) -> ModelSpec:
    """Return a model with one seed."""
    return ModelSpec(name, kind, (13,))


def planned(copies: Workspace, spec: ModelSpec) -> Run:
    """Return the run of a model in a copy of its name."""
    return Run("rows", spec.name, copies.folder / "rows" / spec.name, spec.kind, spec.name, 1)


def test_the_test_split_is_read_once_per_configuration(story: Story) -> None:
    rows, notes = story.evaluate()
    assert sorted(story.read) == ["atnet", "nb_svm"]
    assert len(read_ledger(compare.LEDGER)) == 2
    assert "read now for nb_svm, atnet" in notes[0]
    again, later = story.evaluate()
    assert len(story.read) == 2
    assert len(read_ledger(compare.LEDGER)) == 2
    assert "from the ledger, not read again" in later[0]
    assert [row.model for row in again] == ["nb_svm", "atnet"]
    assert again[1].against is not None
    assert rows[1].against is not None
    assert again[1].against.accuracy.value == pytest.approx(rows[1].against.accuracy.value, abs=1e-5)


def test_the_ledger_is_enough_where_the_predictions_are_gone(story: Story) -> None:
    story.evaluate()
    for model_runs in story.runs.values():
        (model_runs[0].project / predictions_file(model_runs[0].kind, "test")).unlink()
    rows, _ = story.evaluate()
    assert len(story.read) == 2
    assert rows[1].against is not None
    assert rows[1].against.model == "nb_svm"


def test_a_second_evaluation_is_counted(story: Story) -> None:
    story.evaluate()
    _, notes = story.evaluate(again=True)
    assert "evaluated on this test split 2 times" in notes[-1]


def test_the_configuration_follows_data_code_and_parameters_but_not_the_seed(story: Story) -> None:
    (atnet_run,) = next(runs for spec, runs in story.runs.items() if spec.name == ATNET)
    before = configuration(atnet_run)

    def rewritten(change: Callable[[dict[str, Any]], None]) -> str:
        lock = yaml.safe_load((atnet_run.project / "dvc.lock").read_text())
        change(lock["stages"]["train"])
        write_text(atnet_run.project / "dvc.lock", yaml.safe_dump(lock))
        return configuration(atnet_run)

    assert rewritten(lambda stage: stage["params"]["params.yaml"]["train"].update(seed=14)) == before
    assert rewritten(lambda stage: stage["params"]["params.yaml"]["train"].update(filters=1)) != before
    filters = configuration(atnet_run)
    assert rewritten(lambda stage: stage["deps"][0].update(md5="other")) != filters


# --- tables

ROW = ResultRow(
    "trec",
    ATNET,
    (13, 14),
    489,
    Interval(0.905, 0.89, 0.92),
    Interval(0.9, 0.88, 0.91),
    0.0213,
    12.34,
    1234567,
    BaselineComparison("nb_svm", Interval(0.011, -0.002, 0.025)),
)


def test_a_row_survives_the_ledger() -> None:
    assert row_from_result("trec", ATNET, (13, 14), json.loads(json.dumps(ROW.as_result()))) == ROW


def test_the_tables_show_points_intervals_and_whether_the_model_is_better() -> None:
    assert (
        "| trec | **AtNet, default** | 90.5 | 89.0 to 92.0 | 90.0 | 88.0 to 91.0 | 0.021 | 12.3 | 1,234,567 | 2 |"
        in tables.models_table([ROW])
    )
    title = TITLES[ATNET]
    assert f"| trec | {title} | NB-SVM(1,2) | +1.1 | -0.2 to +2.5 | not shown |" in tables.baseline_table([ROW])
    better = replace(ROW, against=BaselineComparison("nb_svm", Interval(0.02, 0.001, 0.04)))
    assert "| +0.1 to +4.0 | yes |" in tables.baseline_table([better])


def test_the_comparison_is_with_the_best_baseline(story: Story) -> None:
    copies = story.benchmark.workspace
    weak = model("majority", "linear")
    runs: dict[ModelSpec, Sequence[Run]] = {**story.runs, weak: [planned(copies, weak)]}
    execute(copies, runs[weak], "validation", 1)
    rows = {row.model: row for row in result_rows("rows", runs, "validation")}
    against = rows[ATNET].against
    assert against is not None
    assert against.model == "nb_svm"
    assert rows["nb_svm"].against is None


def test_dropped_test_texts_are_counted() -> None:
    splits = {name: {"rows": rows} for name, rows in (("train", 4826), ("validation", 626), ("test", 489))}
    dropped = {"validation": {"rows": 0}, "test": {"rows": 11}}
    report = {"splits": splits, "excluded": dropped, "labels": {"overall_share": dict.fromkeys("abcdef", 0.1)}}
    assert "| trec | 6 | 4,826 | 626 | 489 | 0 | 11 |" in tables.datasets_table({"trec": report})


def test_the_ablation_shows_each_difference_from_the_default() -> None:
    differences = {
        "trec": {
            "default": (Interval(0.9, 0.88, 0.92), Interval(0.0, 0.0, 0.0)),
            "no wide branch": (Interval(0.88, 0.86, 0.9), Interval(-0.02, -0.03, -0.01)),
        }
    }
    table = tables.ablation_table(differences)
    assert "| default | 90.0 |  |" in table
    assert "| no wide branch | 88.0 | -2.0 (-3.0 to -1.0) |" in table


def test_a_choice_at_the_end_of_its_range_is_marked() -> None:
    chosen = tables.chosen_list({"trec": {"nb_svm": {"C": 300.0, "at_border": True}}})
    assert "C = 300 (AT THE END of the range)" in chosen
