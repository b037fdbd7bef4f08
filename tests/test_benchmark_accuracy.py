import json
import os
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml

from atnet.config import parse_params
from atnet.errors import DataFileError
from atnet.evaluation.bootstrap import Interval
from benchmarks.accuracy import benchmark as course
from benchmarks.accuracy import report
from benchmarks.accuracy.__main__ import main, parsed
from benchmarks.accuracy.answers import save_answers, save_facts
from benchmarks.accuracy.choosing import choose_wider, climb
from benchmarks.accuracy.figures import Against, Row, row_from_result, rows_of
from benchmarks.accuracy.graph import makers, read_graph, stage_key
from benchmarks.accuracy.ledger import Look, append_look, count_looks, find_look, read_ledger
from benchmarks.accuracy.models import ATNET, VARIANTS, Entrant, entrants, variants
from benchmarks.accuracy.running import Command, Faulty, run, side_by_side
from benchmarks.accuracy.scores import difference, draw_seeds, judge
from benchmarks.accuracy.sets import LabelledSet, changed, locate, pointed_at
from benchmarks.accuracy.tasks import Run, configuration, execute
from benchmarks.accuracy.workshop import Workshop
from benchmarks.copied import ROOT

PARAMS = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
GRAPH = read_graph((ROOT / "dvc.yaml").read_text(encoding="utf-8"))


def shares(labels, classes=2, sure=0.9):
    return np.where(np.eye(classes, dtype=bool)[labels], sure, (1 - sure) / (classes - 1))


def answers(actual, wrong, seed):
    """Give the probabilities of a model that errs on so many rows."""
    given = actual.copy()
    rows = np.random.default_rng(seed).choice(len(actual), size=wrong, replace=False)
    given[rows] = 1 - given[rows]
    return shares(given)


@pytest.fixture
def actual():
    return np.random.default_rng(0).integers(2, size=600)


# --- intervals over texts and seeds


def test_equal_answers_differ_by_exactly_nothing(actual):
    same = answers(actual, 90, seed=1)
    judged = judge(actual, {"first": [same], "second": [same]})
    assert difference(judged["first"], judged["second"]) == Interval(0.0, 0.0, 0.0)


def test_a_clear_gain_lies_above_zero_and_a_chance_one_does_not(actual):
    judged = judge(
        actual,
        {
            "better": [answers(actual, 30, seed) for seed in (1, 2, 3)],
            "worse": [answers(actual, 120, seed) for seed in (4, 5)],
            "alike": [answers(actual, 118, seed) for seed in (6, 7)],
        },
    )
    gain, chance = difference(judged["better"], judged["worse"]), difference(judged["alike"], judged["worse"])
    assert gain.value == pytest.approx(90 / 600)
    assert report.verdict(gain) == "yes"
    assert report.verdict(chance) == "not shown"


def test_figures_are_means_over_the_seeds(actual):
    judged = judge(actual, {"one": [answers(actual, 60, 1), answers(actual, 120, 2)]})["one"]
    assert judged.accuracy.value == pytest.approx(1 - 90 / 600)
    # Stated confidence is 0.9; one seed keeps it, the other falls short by 0.1.
    assert judged.calibration_error == pytest.approx(0.05)


def test_seeds_that_disagree_widen_the_interval(actual):
    apart = judge(actual, {"one": [answers(actual, 30, 1), answers(actual, 150, 2)]})["one"].accuracy
    alike = judge(actual, {"one": [answers(actual, 90, 1), answers(actual, 90, 2)]})["one"].accuracy
    assert apart.high - apart.low > 1.5 * (alike.high - alike.low)


def test_another_model_in_the_call_leaves_the_figures_of_the_first_as_they_are(actual):
    mine = answers(actual, 80, 1)
    alone, beside = judge(actual, {"a": [mine]}), judge(actual, {"a": [mine], "b": [answers(actual, 90, 2)]})
    assert alone["a"].accuracy.value == beside["a"].accuracy.value
    assert alone["a"].macro_f1.low == pytest.approx(beside["a"].macro_f1.low, abs=0.01)


def test_variants_that_give_the_same_answers_with_every_seed_do_not_differ(actual):
    seeds = [answers(actual, 60, 1), answers(actual, 90, 2)]
    judged = judge(actual, {"default": seeds, "same": seeds}, paired_seeds=True)
    assert difference(judged["same"], judged["default"]) == Interval(0.0, 0.0, 0.0)
    apart = judge(actual, {"default": seeds, "same": seeds})
    assert difference(apart["same"], apart["default"]).high > 0


def test_seeds_are_drawn_with_replacement():
    drawn = draw_seeds(5, np.random.default_rng(1))
    assert np.allclose(drawn.sum(axis=1), 1)
    assert np.allclose(drawn.mean(axis=0), 0.2, atol=0.02)
    assert drawn.max() >= 0.6


# --- the search on validation


@pytest.mark.parametrize(("peak", "tried"), [(1.0, 3), (30.0, 6), (0.1, 5)])
def test_a_range_is_widened_until_the_best_stands_inside(peak, tried):
    choice = choose_wider([0.3, 1.0, 3.0], lambda value: (-abs(np.log(value / peak)),))
    assert choice.value == peak
    assert not choice.at_border
    assert len(choice.tried) == tried


def test_a_range_without_end_is_given_up_and_said():
    choice = choose_wider([1.0, 3.0], lambda value: (value,), widest=2)
    assert choice.value == 30.0
    assert choice.at_border


def test_of_equal_values_the_strongest_regularisation_wins():
    assert choose_wider([1.0, 3.0, 10.0, 0.3], lambda value: (float(value >= 1),)).value == 1.0


def test_climbing_goes_both_ways_and_stays_where_nothing_is_gained():
    assert climb([1, 2, 3, 4], 2, lambda value: (float(value),)).value == 4
    assert climb([1, 2, 3, 4], 3, lambda value: (-float(value),)).value == 1
    level = climb([1, 2, 3], 2, lambda _: (0.0,))
    assert (level.value, level.at_border) == (2, False)


def test_fasttext_is_searched_around_what_is_best():
    fasttext = pytest.importorskip("fasttext")
    assert fasttext
    from benchmarks.accuracy.fit_fasttext import Settings, search

    wanted = Settings(word_ngrams=3, learning_rate=0.25, epochs=25, characters=True)

    def accuracy(settings):
        return (
            -abs(settings.word_ngrams - 3)
            - abs(np.log(settings.learning_rate / 0.25))
            - abs(np.log(settings.epochs / 25))
            + settings.characters
        )

    assert search(accuracy) == (wanted, [])


# --- sets and params.yaml


def test_a_set_changes_only_where_the_data_are(tmp_path):
    for name in ("trec", "sms_spam"):
        pointed = pointed_at(PARAMS, name, tmp_path / "x.csv.gz")
        parse_params(yaml.safe_dump(pointed))
        same = [section for section in PARAMS if pointed[section] == PARAMS[section]]
        assert set(PARAMS) - set(same) == {"data", "validate"}
        assert pointed["data"]["columns"]["split"] == (None if name == "sms_spam" else "split")


def test_missing_sets_are_named_with_what_to_do(tmp_path):
    unset = locate(["default", "trec"], PARAMS, project=tmp_path, folder=None)
    assert not unset.found
    assert "ATNET_DATASETS is not set" in unset.missing["trec"]
    assert "dvc repro data/dvc.yaml:sample" in unset.missing["default"]
    (tmp_path / "trec.csv.gz").touch()
    empty = locate(["trec", "imdb50k"], PARAMS, project=tmp_path, folder=str(tmp_path))
    assert [one.name for one in empty.found] == ["trec"]
    assert str(tmp_path / "imdb50k.csv.gz") in empty.missing["imdb50k"]


def test_asking_for_a_missing_set_ends_with_a_message(tmp_path, monkeypatch, capsys):
    monkeypatch.delenv("ATNET_DATASETS", raising=False)
    monkeypatch.setattr("benchmarks.accuracy.__main__.CACHE", tmp_path)
    assert main(["--sets", "trec"]) == 1
    assert "trec: ATNET_DATASETS is not set" in capsys.readouterr().err


def test_every_variant_gives_parameters_that_can_be_used():
    for overrides in VARIANTS.values():
        parse_params(yaml.safe_dump(changed(PARAMS, overrides)))
    with pytest.raises(KeyError, match="not in params"):
        changed(PARAMS, {"train.wdie": False})


def test_seed_mode_may_have_fewer_seeds_and_linear_models_have_one():
    found = {one.name: one for one in entrants(list(report.TITLES), first_seed=13, seeds=5, seed_mode_seeds=1)}
    assert [len(found[name].seeds) for name in ("nb_svm", "fasttext", "atnet_seed", "atnet")] == [1, 5, 1, 5]
    assert variants(["no wide branch"], first_seed=13, seeds=2)[0].name == "default"


def test_an_ablation_never_looks_at_the_test_split(capsys):
    with pytest.raises(SystemExit):
        parsed(["--ablation", "--test"])
    assert "validation only" in capsys.readouterr().err


# --- keys of results


def key(stage, params=PARAMS, data="d", code="c"):
    return stage_key(GRAPH, stage, params, hash_of=lambda _: code, data_hash=data)


def test_the_key_of_a_training_follows_all_it_depends_on():
    assert set(makers(GRAPH, "train").values()) >= {"tokenize", "vectors"}
    different = [
        key("train"),
        key("train", data="e"),
        key("train", code="f"),
        key("train", changed(PARAMS, {"train.seed": 99})),
        key("train", changed(PARAMS, {"tokenize.lowercase": False})),
    ]
    assert len(set(different)) == len(different)
    assert key("train") == key("train", changed(PARAMS, {"data.path": "moved.csv", "evaluate.seed": 1}))
    assert key("split") == key("split", changed(PARAMS, {"train.seed": 99}))


@pytest.fixture
def workshop(tmp_path):
    return Workshop(ROOT, tmp_path / "cache", GRAPH, {**os.environ, "PYTHONPATH": str(ROOT)})


@pytest.fixture
def labeled(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text("text,label\na,b\n", encoding="utf-8")
    return LabelledSet("rows", path, changed(PARAMS, {"data.path": str(path)}))


def test_the_configuration_of_a_model_leaves_its_seeds_out(workshop, labeled):
    first, second = (configuration(workshop, labeled, Entrant(ATNET, "atnet", seeds)) for seeds in ((13, 14), (20,)))
    seed_mode = configuration(workshop, labeled, Entrant("x", "atnet", (13,), {"train.attention": "published"}))
    assert first == second != seed_mode


# --- resuming


def test_what_is_finished_is_not_run_again(workshop, labeled, monkeypatch):
    ran = []

    def fake(command: Command) -> str:
        ran.append(command.name)
        job = json.loads((command.folder / "job.json").read_text())
        if job["fails"] and len(ran) < 3:
            raise Faulty("cut short")
        save_facts(command.folder, {"seconds": 1.0, "parameters": 2})
        save_answers(command.folder, job["split"], np.zeros(3, int), {"atnet": shares(np.zeros(3, int))})
        return ""

    monkeypatch.setattr("benchmarks.accuracy.tasks.run", fake)
    runs = [Run(name, "m", workshop.cache / name, labeled, {"fails": name == "b"}, "atnet") for name in "ab"]
    with pytest.raises(Faulty):
        execute(workshop, runs, "validation", 1)
    execute(workshop, runs, "validation", 1)
    execute(workshop, runs, "validation", 1)
    assert ran == ["a", "b", "b"]
    execute(workshop, runs[:1], "test", 1)
    assert ran == ["a", "b", "b", "a"]


def test_a_stage_that_was_cut_short_begins_anew_and_a_whole_one_is_kept(workshop, labeled, monkeypatch):
    ran = []

    def fake(command: Command) -> str:
        ran.append(command.module[0])
        assert not (command.folder / "left.part").exists()
        return "printed"

    monkeypatch.setattr("benchmarks.accuracy.workshop.run", fake)
    folder = workshop.folder("split", labeled)
    folder.mkdir(parents=True)
    (folder / "left.part").touch()
    assert workshop.ensure("split", labeled) == folder / "split"
    workshop.ensure("split", labeled)
    assert ran == ["atnet.stages.validate", "atnet.stages.split"]


# --- processes


def test_a_failed_process_tells_what_it_printed(tmp_path):
    with pytest.raises(Faulty, match=r"broken ended with 1:\n.*no_such_module"):
        run(Command("broken", ("no_such_module",), tmp_path, os.environ))


def test_no_further_item_is_begun_after_a_fault():
    begun = threading.Event()

    def act(item):
        if item == "bad":
            raise Faulty("bad")
        begun.set()
        time.sleep(0.05)

    with pytest.raises(Faulty):
        side_by_side(act, ["bad", *["good"] * 50], 2)


def test_a_process_ends_with_the_one_that_began_it(tmp_path):
    code = "import time; from benchmarks.accuracy.running import end_with_parent; end_with_parent(); time.sleep(60)"
    process = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, cwd=ROOT)
    assert process.stdin is not None
    process.stdin.close()
    assert process.wait(timeout=20) == 1


# --- the ledger

LOOK = Look("trec", ATNET, "abc", (13, 14), "c0ffee", "2026-01-01T10:00+00:00", {"rows": 3, "seconds": 1.23456789})


def test_looks_are_added_and_found_again(tmp_path):
    path = tmp_path / "ledger.jsonl"
    assert read_ledger(path) == []
    append_look(path, LOOK)
    first = path.read_text()
    append_look(path, replace(LOOK, configuration="def"))
    assert path.read_text().startswith(first)
    looks = read_ledger(path)
    assert find_look(looks, replace(LOOK, commit="other", date="later", result={})).result["seconds"] == 1.23457
    for other in ({"seeds": (13,)}, {"set": "sms_spam"}, {"configuration": "x"}, {"model": "nb_svm"}):
        assert find_look(looks, replace(LOOK, **other)) is None
    assert count_looks(looks) == {("trec", ATNET): 2}


def test_a_damaged_line_is_named(tmp_path):
    path = tmp_path / "ledger.jsonl"
    append_look(path, LOOK)
    path.write_text(path.read_text() + "{}\n")
    with pytest.raises(DataFileError, match=r"Line 2 of .*ledger\.jsonl"):
        read_ledger(path)


@pytest.fixture
def finished(workshop, labeled, tmp_path, monkeypatch, actual):
    """Give two models on a set whose processes are replaced by one that writes answers and counts the readings."""
    monkeypatch.setattr(course, "LEDGER", tmp_path / "ledger.jsonl")
    monkeypatch.setattr(course, "commit", lambda: "c0ffee")
    read = []

    def fake(command: Command) -> str:
        read.append(command.name)
        job = json.loads((command.folder / "job.json").read_text())
        save_facts(command.folder, {"seconds": 1.5, "parameters": 10})
        save_answers(command.folder, job["split"], actual, {job["as"]: answers(actual, job["wrong"], job["wrong"])})
        return ""

    monkeypatch.setattr("benchmarks.accuracy.tasks.run", fake)
    ours, other = Entrant(ATNET, "atnet", (13,)), Entrant("nb_svm", "linear", (13,))
    runs = {
        one: [Run(one.name, "m", workshop.cache / one.name, labeled, {"as": one.name, "wrong": wrong}, one.name)]
        for one, wrong in ((other, 120), (ours, 30))
    }
    return course.Benchmark(workshop, (labeled,), 1), labeled, runs, read


def test_the_test_split_is_read_once_for_a_configuration(finished):
    benchmark, labeled, runs, read = finished
    rows, said = course.looked(benchmark, labeled, runs, again=False)
    assert sorted(read) == ["atnet", "nb_svm"]
    assert len(read_ledger(course.LEDGER)) == 2
    assert "read now for nb_svm, atnet" in said[0]
    again, told = course.looked(benchmark, labeled, runs, again=False)
    assert len(read) == 2
    assert len(read_ledger(course.LEDGER)) == 2
    assert "answered from the ledger, not read again" in told[0]
    assert [row.model for row in again] == ["nb_svm", "atnet"]
    assert again[1].against.accuracy.value == pytest.approx(rows[1].against.accuracy.value, abs=1e-5)


def test_the_ledger_answers_where_the_cache_is_gone(finished):
    benchmark, labeled, runs, read = finished
    course.looked(benchmark, labeled, runs, again=False)
    for its in runs.values():
        (its[0].folder / "test.npz").unlink()
    rows, _ = course.looked(benchmark, labeled, runs, again=False)
    assert len(read) == 2
    assert rows[1].against.model == "nb_svm"


def test_a_second_look_is_counted(finished):
    benchmark, labeled, runs, _ = finished
    course.looked(benchmark, labeled, runs, again=False)
    _, said = course.looked(benchmark, labeled, runs, again=True)
    assert "2 looks of AtNet's default" in said[-1]


# --- tables

ROW = Row(
    "trec",
    ATNET,
    (13, 14),
    489,
    Interval(0.905, 0.89, 0.92),
    Interval(0.9, 0.88, 0.91),
    0.0213,
    12.34,
    1234567,
    Against("nb_svm", Interval(0.011, -0.002, 0.025)),
)


def test_a_row_survives_the_ledger():
    assert row_from_result("trec", ATNET, (13, 14), json.loads(json.dumps(ROW.as_result()))) == ROW


def test_the_tables_show_points_intervals_and_the_verdict():
    assert (
        "| trec | **AtNet, default** | 90.5 | 89.0 to 92.0 | 90.0 | 88.0 to 91.0 | 0.021 | 12.3 | 1,234,567 | 2 |"
        in (report.models_table([ROW]))
    )
    assert "| trec | NB-SVM(1,2) | +1.1 | -0.2 to +2.5 | not shown |" in report.against_table([ROW])
    better = replace(ROW, against=Against("nb_svm", Interval(0.02, 0.001, 0.04)))
    assert "| +0.1 to +4.0 | yes |" in report.against_table([better])


def test_the_best_baseline_is_the_one_compared_with(finished, actual):
    benchmark, labeled, runs, _ = finished
    weak = Entrant("majority", "linear", (13,))
    folder = benchmark.workshop.cache / "weak"
    given = {**runs, weak: [Run("weak", "m", folder, labeled, {"as": "majority", "wrong": 250}, "majority")]}
    execute(benchmark.workshop, [one for its in given.values() for one in its], "validation", 1)
    rows = {row.model: row for row in rows_of("rows", given, "validation")}
    assert rows[ATNET].against.model == "nb_svm"
    assert rows["nb_svm"].against is None


def test_left_out_test_texts_are_counted():
    sides = {name: {"rows": rows} for name, rows in (("train", 4826), ("validation", 626), ("test", 489))}
    left_out = {"validation": {"rows": 0}, "test": {"rows": 11}}
    described = {"splits": sides, "excluded": left_out, "labels": {"overall_share": dict.fromkeys("abcdef", 0.1)}}
    assert "| trec | 6 | 4,826 | 626 | 489 | 0 | 11 |" in report.sets_table({"trec": described})


def test_the_ablation_shows_each_difference_from_the_default():
    found = {
        "trec": {
            "default": (Interval(0.9, 0.88, 0.92), Interval(0.0, 0.0, 0.0)),
            "no wide branch": (Interval(0.88, 0.86, 0.9), Interval(-0.02, -0.03, -0.01)),
        }
    }
    table = report.ablation_table(found)
    assert "| default | 90.0 |  |" in table
    assert "| no wide branch | 88.0 | -2.0 (-3.0 to -1.0) |" in table


def test_a_choice_at_the_end_of_its_range_is_shouted():
    chosen = report.chosen_list({"trec": {"nb_svm": {"C": 300.0, "at_border": True}}})
    assert "C = 300 (AT THE END of the range)" in chosen


def test_the_committed_ledger_can_be_read():
    assert all(isinstance(look, Look) for look in read_ledger(Path(course.__file__).parents[1] / "test_ledger.jsonl"))
