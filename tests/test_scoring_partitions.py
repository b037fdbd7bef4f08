"""Partitions: scored once, scored again when they must be, ranges of days, and what a fault leaves behind."""

import json
from datetime import date
from pathlib import Path

import pandas as pd
import pyarrow.dataset
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from atnet.cli.app import command_line
from atnet.errors import AtnetError, ConfigurationError, DataContractError, DataFileError, ProcessInterrupted
from atnet.scoring import destinations, partition_scorer
from atnet.scoring.file_source import FileSource
from atnet.scoring.manifest import ScoringModel
from atnet.scoring.partitions import Partition, select_days
from atnet.scoring.score import find_pending
from tests.scoringproject import job, local_model, run, score_in_process, write_csv, write_project


@pytest.fixture(autouse=True)
def _in_process(monkeypatch: pytest.MonkeyPatch) -> None:
    score_in_process(monkeypatch)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_project(tmp_path)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> ScoringModel:
    return local_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def newer(tmp_path_factory: pytest.TempPathFactory) -> ScoringModel:
    return local_model(tmp_path_factory.mktemp("newer"), scale=2.0, version=2)


def days(root: Path, *numbers: int) -> None:
    for number in numbers:
        write_csv(root / "in" / f"date=2026-11-{number:02}" / "part-0.csv", 3 + number)


def state(folder: Path) -> dict[str, tuple[bytes, int]]:
    """Return every file with its bytes and the time of its last change."""
    return {str(path): (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.rglob("*") if path.is_file()}


def test_a_folder_is_scored_partition_by_partition(root: Path, model: ScoringModel) -> None:
    days(root, 1, 2)
    (root / "in" / "README.md").write_text("not data")
    (root / "in" / "_part.csv").write_text("not data either")
    outcome = run(job(root, "in", "scored"), model)
    assert [manifest.partition for manifest in outcome.scored] == [
        "date=2026-11-01/part-0.csv",
        "date=2026-11-02/part-0.csv",
    ]
    assert pq.ParquetFile(root / "scored" / "date=2026-11-02" / "part-0.parquet").metadata.num_rows == 5
    # The files beside the outputs do not disturb readers of the folder.
    assert pyarrow.dataset.dataset(root / "scored", partitioning="hive").count_rows() == 9
    assert "2 partitions, 9 rows, scored by version 1 of atnet" in outcome.summary()


def test_a_second_run_does_nothing(root: Path, model: ScoringModel) -> None:
    days(root, 1, 2)
    run(job(root, "in", "scored"), model)
    before = state(root / "scored")
    outcome = run(job(root, "in", "scored"), model)
    assert outcome.summary() == "nothing to score: 2 partitions up to date"
    assert state(root / "scored") == before


def test_what_changed_is_scored_again_and_nothing_else(root: Path, model: ScoringModel) -> None:
    days(root, 1, 2)
    run(job(root, "in", "scored"), model)
    days(root, 3)
    write_csv(root / "in" / "date=2026-11-01" / "part-0.csv", 10)
    plan = find_pending(job(root, "in", "scored"), model_sha256=None)
    assert [(pending.partition.name[5:15], pending.reason) for pending in plan.pending] == [
        ("2026-11-01", "the input changed"),
        ("2026-11-03", "not scored yet"),
    ]
    outcome = run(job(root, "in", "scored"), model)
    assert [manifest.rows_out for manifest in outcome.scored] == [10, 6]


def test_force_scores_again(root: Path, model: ScoringModel) -> None:
    days(root, 1)
    run(job(root, "in", "scored"), model)
    plan = find_pending(job(root, "in", "scored", force=True), model_sha256=None)
    assert [pending.reason for pending in plan.pending] == ["--force"]


def test_a_new_model_makes_partitions_stale_only_on_request(
    root: Path, model: ScoringModel, newer: ScoringModel
) -> None:
    days(root, 1)
    run(job(root, "in", "scored"), model)
    days(root, 2)
    outcome = run(job(root, "in", "scored"), newer)
    assert [manifest.partition[5:15] for manifest in outcome.scored] == ["2026-11-02"]
    assert "Another version scored 1 partition; --stale scores them again." in outcome.summary()
    outcome = run(job(root, "in", "scored", stale=True), newer)
    assert [(pending.partition.name[5:15], pending.reason) for pending in outcome.plan.pending] == [
        ("2026-11-01", "scored by version 1")
    ]
    assert run(job(root, "in", "scored", stale=True), newer).scored == ()


def test_other_options_make_partitions_stale(root: Path, model: ScoringModel) -> None:
    days(root, 1)
    run(job(root, "in", "scored"), model)
    plan = find_pending(job(root, "in", "scored", explain=3), model_sha256=None)
    assert [pending.reason for pending in plan.pending] == ["the options changed"]


@pytest.mark.parametrize("damage", ["delete output", "cut output", "damage manifest", "other format"])
def test_a_partition_whose_output_is_not_whole_is_scored_again(root: Path, model: ScoringModel, damage: str) -> None:
    write_csv(root / "in.csv", 20)
    run(job(root, "in.csv", "out.csv"), model)
    whole = (root / "out.csv").read_bytes()
    manifest = root / "_out.csv.manifest.json"
    if damage == "delete output":
        (root / "out.csv").unlink()
    elif damage == "cut output":
        (root / "out.csv").write_bytes(whole[:-10])
    elif damage == "damage manifest":
        manifest.write_bytes(manifest.read_bytes()[:40])
    else:
        manifest.write_text(json.dumps({**json.loads(manifest.read_text()), "format": 99}))
    assert len(run(job(root, "in.csv", "out.csv"), model).scored) == 1
    assert (root / "out.csv").read_bytes() == whole


def test_a_range_of_days_is_scored_and_missing_days_are_reported(root: Path, model: ScoringModel) -> None:
    days(root, 1, 2, 5, 8)
    write_csv(root / "in" / "undated.csv", 2)
    outcome = run(job(root, "in", "scored", first=date(2026, 11, 2), last=date(2026, 11, 6)), model)
    assert [manifest.partition[5:15] for manifest in outcome.scored] == ["2026-11-02", "2026-11-05"]
    assert "Not part of the range, because the name has no date: 1 partition." in outcome.summary()
    assert "Without a partition: 3 days of the range, 2026-11-03, 2026-11-04, 2026-11-06." in outcome.summary()


def test_a_range_can_be_open_and_cannot_be_empty() -> None:
    partitions = [Partition(f"2026-11-{day:02}.csv") for day in (1, 2, 3)]
    assert [p.name for p in select_days(partitions, None, date(2026, 11, 2)).partitions] == [
        "2026-11-01.csv",
        "2026-11-02.csv",
    ]
    assert [p.name for p in select_days(partitions, date(2026, 11, 3), None).partitions] == ["2026-11-03.csv"]
    with pytest.raises(DataContractError, match="is empty"):
        select_days(partitions, date(2026, 11, 3), date(2026, 11, 2))
    with pytest.raises(DataContractError, match="No partition has a date"):
        select_days([Partition("a.csv")], date(2026, 11, 3), None)


@pytest.mark.parametrize(
    ("name", "day"),
    [
        ("date=2026-11-05/part-0.csv", date(2026, 11, 5)),
        ("2026-13-45/reviews_2026-02-03.csv", date(2026, 2, 3)),
        ("12026-11-05.csv", None),
        ("reviews.csv", None),
    ],
)
def test_the_day_of_a_partition_is_the_first_date_in_its_name(name: str, day: date | None) -> None:
    assert Partition(name).day == day


def test_one_bad_partition_does_not_keep_the_others_from_being_scored(root: Path, model: ScoringModel) -> None:
    days(root, 1, 3)
    bad = root / "in" / "date=2026-11-02.csv"
    bad.write_text("id,text\na,good\na,bad\n")
    outcome = run(job(root, "in", "scored"), model)
    assert len(outcome.scored) == 2
    assert "1 partition could not be scored:\n  date=2026-11-02.csv: " in outcome.summary()
    assert "1 id with more than one row: 'a' (rows 1 and 2)" in outcome.summary()
    bad.write_text("id,text\na,good\nb,bad\n")
    assert [manifest.rows_out for manifest in run(job(root, "in", "scored"), model).scored] == [2]


def test_a_partition_that_can_no_longer_be_read_fails_alone(
    root: Path, model: ScoringModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    days(root, 1, 2)
    run(job(root, "in", "scored"), model)
    digest = FileSource.digest

    def unreadable(self: FileSource, partition: Partition) -> str:
        if "2026-11-01" in partition.name:
            raise DataFileError("cannot be read")
        return digest(self, partition)

    monkeypatch.setattr(FileSource, "digest", unreadable)
    outcome = run(job(root, "in", "scored"), model)
    assert [failure.partition.name[5:15] for failure in outcome.failed] == ["2026-11-01"]
    assert len(outcome.plan.up_to_date) == 1


@pytest.mark.parametrize("name", ["out.csv", "out.jsonl", "out.csv.gz", "out.parquet"])
def test_a_file_of_another_program_is_replaced_only_on_request(root: Path, model: ScoringModel, name: str) -> None:
    write_csv(root / "in.csv", 5)
    own = b"\x1f\x8b damaged" if name.endswith(".gz") else b"id,price\n1,2\n"
    (root / name).write_bytes(own)
    with pytest.raises(ConfigurationError, match=r"exists and was not written by `atnet score`.* --force"):
        run(job(root, "in.csv", name), model)
    assert (root / name).read_bytes() == own

    assert len(run(job(root, "in.csv", name, force=True), model).scored) == 1
    (root / f"_{name}.manifest.json").unlink()
    # As after a kill before the manifest is written.
    assert len(run(job(root, "in.csv", name), model).scored) == 1


def test_a_folder_without_data_files_is_named(
    root: Path, model: ScoringModel, caplog: pytest.LogCaptureFixture
) -> None:
    (root / "empty").mkdir()
    outcome = run(job(root, "empty", "scored"), model)
    assert (outcome.summary(), outcome.plan.has_input) == ("nothing to score", False)
    assert "empty has no CSV, JSON Lines or Parquet file to score." in caplog.text


def test_the_command_fails_for_a_folder_without_data_files_but_not_for_one_that_is_up_to_date(
    root: Path, model: ScoringModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(root)
    (root / "empty").mkdir()
    write_csv(root / "in" / "a.csv", 2)
    run(job(root, "in", "scored"), model)

    failed = CliRunner().invoke(command_line("score"), ["score", "empty", "other"])
    assert (failed.exit_code, failed.stdout) == (1, "")
    assert "empty has no CSV, JSON Lines or Parquet file to score. Check the path" in failed.stderr
    done = CliRunner().invoke(command_line("score"), ["score", "in", "scored"])
    assert (done.exit_code, done.stdout) == (0, "score: nothing to score: 1 partition up to date\n")


def test_two_inputs_with_one_output_are_refused(root: Path) -> None:
    write_csv(root / "in" / "a.csv", 2)
    (root / "in" / "a.jsonl").write_text("")
    with pytest.raises(ConfigurationError, match=r"a\.csv and a\.jsonl would both be scored to"):
        find_pending(job(root, "in", "scored"), model_sha256=None)


def test_an_input_that_does_not_exist_is_named(root: Path) -> None:
    with pytest.raises(DataFileError, match=r"nowhere\.csv does not exist"):
        find_pending(job(root, "nowhere.csv", "out.csv"), model_sha256=None)


def test_an_input_that_changes_meanwhile_is_not_taken_for_scored(
    root: Path, model: ScoringModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_csv(root / "in.csv", 20)
    check = partition_scorer.check_input

    def growing(*args: object, **options: object) -> object:
        facts = check(*args, **options)  # type: ignore[arg-type]
        with (root / "in.csv").open("a") as file:
            file.write("late,good\n")
        return facts

    monkeypatch.setattr(partition_scorer, "check_input", growing)
    (failure,) = run(job(root, "in.csv", "out.csv"), model).failed
    assert "changed while it was being scored" in failure.message
    assert not (root / "out.csv").exists()


@pytest.mark.parametrize("step", ["first chunk", "between the renames", "before the manifest"])
def test_a_run_that_is_cut_short_leaves_the_earlier_output_or_none_and_is_done_again(
    root: Path, model: ScoringModel, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    write_csv(root / "in.csv", 20)
    run(job(root, "in.csv", "out.csv"), model)
    before = (root / "out.csv").read_bytes()
    write_csv(root / "in.csv", 30)

    def fail(*_: object, **__: object) -> None:
        raise ProcessInterrupted("killed")

    with monkeypatch.context() as broken:
        if step == "first chunk":
            broken.setattr(partition_scorer, "write_result", fail)
        elif step == "between the renames":
            broken.setattr(destinations.PartFile, "commit", fail)
        else:
            broken.setattr(destinations, "durable_file", fail)
        with pytest.raises(ProcessInterrupted):
            run(job(root, "in.csv", "out.csv"), model)
    if step == "before the manifest":
        assert len(pd.read_csv(root / "out.csv")) == 30
    else:
        assert (root / "out.csv").read_bytes() == before
    assert [path.name for path in root.glob(".*.part")] == []
    (manifest,) = run(job(root, "in.csv", "out.csv"), model).scored
    assert manifest.rows_out == len(pd.read_csv(root / "out.csv")) == 30


def test_two_runs_do_not_write_to_one_output(root: Path, model: ScoringModel, monkeypatch: pytest.MonkeyPatch) -> None:
    write_csv(root / "in.csv", 2)
    check = partition_scorer.check_input

    def meanwhile(*args: object, **options: object) -> object:
        with pytest.raises(AtnetError, match="Another `atnet score` is writing to"):
            run(job(root, "in.csv", "out.csv"), model)
        return check(*args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(partition_scorer, "check_input", meanwhile)
    assert len(run(job(root, "in.csv", "out.csv"), model).scored) == 1


def test_the_manifest_names_input_model_and_code(root: Path, model: ScoringModel) -> None:
    write_csv(root / "in.csv", 2)
    run(job(root, "in.csv", "out.csv"), model)
    manifest = json.loads((root / "_out.csv.manifest.json").read_text())
    assert manifest["partition"] == "in.csv"
    assert len(manifest["input_sha256"]) == 64
    assert (manifest["model"], manifest["version"], manifest["model_sha256"]) == ("atnet", 1, model.sha256)
    assert set(manifest["code"]) == {"package", "commit", "dirty"}
    assert manifest["output_bytes"] == (root / "out.csv").stat().st_size
    assert manifest["started"] <= manifest["finished"]
