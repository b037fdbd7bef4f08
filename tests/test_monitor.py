"""`atnet monitor` on a real registry: results, records, notifications and reports for every kind of window."""

import json
import re
import shutil
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from atnet import files
from atnet.cli.app import command_line
from atnet.errors import DataFileError, ReleaseError
from atnet.monitoring import champion as champion_module
from atnet.monitoring import monitor as monitor_module
from atnet.monitoring.monitor import MonitorOutcome, MonitorRequest, monitor
from atnet.monitoring.notifications import read_notifications
from atnet.monitoring.window_records import read_windows
from atnet.monitoring.window_summary import summarize_window
from atnet.registry.versions import CHAMPION, set_alias
from atnet.tracking.store import open_store
from tests.monitoredproject import (
    NOW,
    MonitoredProject,
    make_monitored_project,
    monitor_quickly,
    new_texts,
    usual_texts,
)
from tests.test_monitoring_windows import log_rows, write_log

ROWS = 70
PREDICTIONS = Path("data/predictions")


@pytest.fixture(scope="module")
def shared_project(tmp_path_factory: pytest.TempPathFactory, empty_store: Path) -> MonitoredProject:
    """Create the project and draw the thresholds once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        project = make_monitored_project(tmp_path_factory.mktemp("monitored"), empty_store)
        run_monitor(project, project.window("first", usual_texts(ROWS, 0)))
    return project


@pytest.fixture
def full_project(shared_project: MonitoredProject, monkeypatch: pytest.MonkeyPatch) -> Iterator[MonitoredProject]:
    """Return the project without records; thresholds and the copy of the champion stay."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(shared_project.root)
    for path in shared_project.folder.glob("*.jsonl"):
        path.unlink()
    yield shared_project
    set_alias(shared_project.registry, CHAMPION, 1)


@pytest.fixture
def project(full_project: MonitoredProject, monkeypatch: pytest.MonkeyPatch) -> MonitoredProject:
    """Return the project with quick windows."""
    monitor_quickly(full_project, monkeypatch)
    return full_project


def run_monitor(
    project: MonitoredProject, path: Path | None = None, *, now: datetime = NOW, first: date | None = None
) -> list[MonitorOutcome]:
    return list(monitor(project.params, project.root, MonitorRequest(path, first, first), now=now))


def summary(outcome: MonitorOutcome) -> str:
    return "\n".join(summarize_window(outcome.record, outcome.inputs, outcome.measured, outcome.decision))


def test_more_of_the_same_is_no_drift(project: MonitoredProject) -> None:
    (outcome,) = run_monitor(project, project.window("same", usual_texts(ROWS, 1)))
    assert outcome.record.result == "no_drift"
    assert outcome.record.state == "ok"
    assert outcome.record.compared == 60
    assert outcome.measured.comparison is not None
    assert outcome.measured.comparison.reference_rows == 240
    assert "no drift" in summary(outcome)
    assert "Estimated accuracy" in summary(outcome)


def test_another_language_is_an_alarm_if_it_persists_and_is_notified_once(project: MonitoredProject) -> None:
    outcomes = [run_monitor(project, project.window(f"other-{seed}", new_texts(ROWS, seed)))[0] for seed in range(3)]
    assert [outcome.record.result for outcome in outcomes] == ["drift"] * 3
    assert [outcome.record.state for outcome in outcomes] == ["ok", "alarm", "alarm"]
    assert "not persistent" in summary(outcomes[0])
    assert "another language or script" in summary(outcomes[0])
    assert "ALARM" in summary(outcomes[1])
    assert "`atnet review`" in summary(outcomes[1])
    (notification,) = read_notifications(project.folder)
    assert (notification.state, notification.action) == ("alarm", "label")


def test_with_enough_new_labeled_rows_the_action_is_retrain(project: MonitoredProject) -> None:
    data = project.root / project.params.data.path
    before = data.read_bytes()
    try:
        rows = new_texts(55, 50).assign(id=[f"new-{row}" for row in range(55)])
        pd.concat([pd.read_csv(data), rows]).to_csv(data, index=False)
        for seed in range(2):
            (outcome,) = run_monitor(project, project.window(f"more-{seed}", new_texts(ROWS, 10 + seed)))
        assert outcome.record.new_labeled_rows == 55
        assert outcome.record.action == "retrain"
        assert "retrain (deployment `training`" in summary(outcome)
    finally:
        data.write_bytes(before)


def test_labels_in_the_file_give_a_measured_accuracy(project: MonitoredProject) -> None:
    (outcome,) = run_monitor(project, project.window("labeled", usual_texts(ROWS, 3), labels=True))
    assert outcome.record.estimates["measured"] is not None
    assert outcome.record.estimates["labeled"] == ROWS
    assert f"Accuracy on {ROWS} labeled rows" in summary(outcome)


def test_predictions_of_the_model_are_not_used_as_labels(project: MonitoredProject) -> None:
    texts = usual_texts(ROWS, 4)
    predictor = champion_module.load_champion(project.params, project.root).predictor
    scored = texts.assign(label=predictor.predict(texts["text"].tolist()).predicted)
    (outcome,) = run_monitor(project, project.window("scored", scored, labels=True))
    assert outcome.record.estimates["measured"] is None
    assert "they are not used as true labels" in summary(outcome)


@pytest.mark.parametrize(
    ("name", "texts", "words"),
    [
        ("one-row", usual_texts(1, 5), "too few distinct texts"),
        ("one-text", pd.concat([usual_texts(1, 6)] * 200), "Rows that repeat a text of the window"),
        ("few", new_texts(29, 7), "This does not mean that nothing has changed"),
    ],
)
def test_too_few_distinct_texts_are_never_called_no_drift(
    name: str, texts: pd.DataFrame, words: str, project: MonitoredProject
) -> None:
    (outcome,) = run_monitor(project, project.window(name, texts))
    assert outcome.record.result == "too_few"
    assert outcome.record.state == "ok"
    assert words in summary(outcome)
    assert outcome.report.is_file()


def test_rows_that_the_champion_was_trained_on_are_excluded(project: MonitoredProject) -> None:
    train = pd.read_parquet(project.root / files.split_table("train")).head(300)
    (outcome,) = run_monitor(project, project.window("trained", train))
    assert outcome.record.result == "too_few"
    assert "trained on, excluded because it is surer of them: 300" in summary(outcome)
    both = pd.concat([train, usual_texts(ROWS, 8)])
    (outcome,) = run_monitor(project, project.window("trained-and-new", both))
    assert outcome.record.result == "no_drift"


def test_the_held_out_rows_themselves_are_excluded_from_both_sides(project: MonitoredProject) -> None:
    reference = champion_module.load_champion(project.params, project.root).reference
    (outcome,) = run_monitor(project, project.window("reference", reference.table))
    assert outcome.record.result == "too_few"
    assert f"excluded from both sides: {len(reference):,}" in summary(outcome)


def test_an_empty_file_is_an_error_and_leaves_no_record(project: MonitoredProject) -> None:
    path = project.root / "empty.csv"
    path.write_text("")
    with pytest.raises(DataFileError, match="is empty"):
        run_monitor(project, path)
    assert read_windows(project.folder) == []


def test_the_same_window_twice_counts_once(project: MonitoredProject) -> None:
    path = project.window("again", new_texts(ROWS, 20))
    states = [run_monitor(project, path)[0].record.state for _ in range(3)]
    assert states == ["ok"] * 3
    assert len(read_windows(project.folder)) == 1


def write_days(project: MonitoredProject, days: int, *, with_text: bool = True, sha256: str | None = None) -> None:
    champion = champion_module.load_champion(project.params, project.root)
    for day in range(1, days + 1):
        texts = usual_texts(ROWS, 100 + day)["text"].tolist()
        rows = log_rows(texts, with_text=with_text, sha256=sha256 or champion.sha256)
        write_log(project.root / PREDICTIONS, date(2026, 11, day), rows)


@pytest.fixture
def log(project: MonitoredProject) -> Iterator[MonitoredProject]:
    """Return the project with a prediction log of three days."""
    write_days(project, 3)
    yield project
    shutil.rmtree(project.root / PREDICTIONS)


def test_the_newest_whole_day_is_monitored_and_missed_days_are_caught_up(log: MonitoredProject) -> None:
    assert [
        outcome.record.name for outcome in run_monitor(log, now=datetime.fromisoformat("2026-11-02T02:00:00+00:00"))
    ] == ["2026-11-01"]
    assert [outcome.record.name for outcome in run_monitor(log, now=NOW)] == ["2026-11-02", "2026-11-03"]
    assert run_monitor(log, now=NOW) == []
    assert [record.result for record in read_windows(log.folder)] == ["no_drift"] * 3


@pytest.mark.slow
def test_a_kill_before_the_record_loses_nothing(log: MonitoredProject, monkeypatch: pytest.MonkeyPatch) -> None:
    run_monitor(log, first=date(2026, 11, 1))
    monkeypatch.setattr(monitor_module, "append_window", _killed)
    with pytest.raises(KeyboardInterrupt):
        run_monitor(log, now=NOW)
    monkeypatch.undo()
    monkeypatch.chdir(log.root)
    assert [outcome.record.name for outcome in run_monitor(log, now=NOW)] == ["2026-11-02", "2026-11-03"]


def _killed(*_: object) -> None:
    raise KeyboardInterrupt


def test_after_a_kill_before_the_notification_the_next_window_notifies(
    project: MonitoredProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_monitor(project, project.window("kill-0", new_texts(ROWS, 30)))
    with monkeypatch.context() as patch:
        patch.setattr(monitor_module, "append_notification", _killed)
        with pytest.raises(KeyboardInterrupt):
            run_monitor(project, project.window("kill-1", new_texts(ROWS, 31)))
    assert read_notifications(project.folder) == []
    assert read_windows(project.folder)[-1].state == "alarm"
    (outcome,) = run_monitor(project, project.window("kill-2", new_texts(ROWS, 32)))
    assert outcome.notification is not None
    assert len(read_notifications(project.folder)) == 1


def test_without_texts_predictions_lengths_and_unknown_words_are_compared(project: MonitoredProject) -> None:
    write_days(project, 1, with_text=False)
    (outcome,) = run_monitor(project, first=date(2026, 11, 1))
    assert set(outcome.record.effects) == {"probability_ks", "unknown_words", "length_ks"}
    assert "The texts were not logged" in summary(outcome)
    # Every prediction of the log is the same, 80 % positive, unlike the champion's on held-out rows.
    assert outcome.record.result == "drift"


def test_rows_of_another_model_without_a_text_are_excluded(project: MonitoredProject) -> None:
    write_days(project, 1, with_text=False, sha256="b" * 64)
    (outcome,) = run_monitor(project, first=date(2026, 11, 1))
    assert outcome.record.result == "too_few"
    assert f"Rows predicted by another model than version 1, without a text, excluded: {ROWS}" in summary(outcome)


def test_with_texts_the_predictions_of_another_model_do_not_matter(project: MonitoredProject) -> None:
    write_days(project, 1, sha256="b" * 64)
    (outcome,) = run_monitor(project, first=date(2026, 11, 1))
    assert outcome.record.result == "no_drift"


@pytest.mark.slow
def test_a_new_champion_starts_without_the_windows_of_the_old_one(project: MonitoredProject) -> None:
    for seed in range(2):
        run_monitor(project, project.window(f"old-{seed}", new_texts(ROWS, 40 + seed)))
    version = project.release(rows=1200)
    assert version != 1
    (outcome,) = run_monitor(project, project.window("old-1", new_texts(ROWS, 41)))
    assert outcome.record.model_version == version
    assert outcome.record.state == "ok"


def test_without_a_champion_the_error_has_the_next_step(project: MonitoredProject) -> None:
    set_alias(project.registry, CHAMPION, None)
    with pytest.raises(ReleaseError, match="Run `atnet release` first"):
        run_monitor(project, project.window("x", usual_texts(ROWS, 9)))


def test_a_missing_data_version_is_an_error_with_the_next_step(
    project: MonitoredProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = project.release(rows=900)
    assert version != 1
    path = project.root / files.split_table("test")
    content = path.read_bytes()
    monkeypatch.setattr(champion_module, "_in_cache", lambda root, md5: root / "nowhere" / md5)
    try:
        pd.read_parquet(path).head(100).to_parquet(path, index=False)
        with pytest.raises(DataFileError, match=r"The test split of version \d+ .* run `dvc pull`"):
            run_monitor(project, project.window("x", usual_texts(ROWS, 9)))
    finally:
        path.write_bytes(content)


def test_the_copied_splits_are_used_when_those_of_the_project_are_gone(full_project: MonitoredProject) -> None:
    project = full_project
    path = project.root / files.split_table("test")
    content = path.read_bytes()
    try:
        path.unlink()
        (outcome,) = run_monitor(project, project.window("later", usual_texts(ROWS, 12)))
        assert outcome.record.result == "no_drift"
    finally:
        path.write_bytes(content)


def test_the_report_needs_no_other_file_and_escapes_texts(full_project: MonitoredProject) -> None:
    texts = new_texts(ROWS, 60)
    texts["text"] = "<script>alert(1)</script> " + texts["text"]
    (outcome,) = run_monitor(full_project, full_project.window("script", texts))
    page = outcome.report.read_text(encoding="utf-8")
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert not re.search(r'(?:src|href)="(?:https?:)?//', page)
    for heading in ("Statistics", "Accuracy", "Over time", "Words that moved most", "Method"):
        assert f"<h2>{heading}</h2>" in page
    assert (outcome.report.parent / "docs" / "index.html").is_file()
    assert json.loads((outcome.report.parent / "result.json").read_text())["result"] == "drift"
    newest = (full_project.folder / "report.html").read_text(encoding="utf-8")
    assert f'href="windows/{outcome.report.parent.name}/docs/index.html"' in newest


@pytest.mark.slow
def test_every_window_is_a_step_of_the_models_run_and_missed_steps_are_logged_later(
    full_project: MonitoredProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_monitor(full_project, full_project.window("step-1", usual_texts(ROWS, 70)))
    with monkeypatch.context() as patch:
        patch.setattr(monitor_module, "track_windows", _killed)
        with pytest.raises(KeyboardInterrupt):
            run_monitor(full_project, full_project.window("step-2", usual_texts(ROWS, 71)))
    (outcome,) = run_monitor(full_project, full_project.window("step-3", new_texts(ROWS, 72)))
    config = full_project.params.tracking.model_copy(update={"experiment": full_project.params.monitor.experiment})
    store = open_store(config, full_project.root)
    runs = store.client.search_runs([store.experiment_id], "tags.`model.version` = '1'")
    assert len(runs) == 1
    steps = {metric.step for metric in store.client.get_metric_history(runs[0].info.run_id, "drift/p_value")}
    assert {1, 2, 3} <= steps
    assert runs[0].data.metrics["effect/unknown_words"] == pytest.approx(outcome.record.effects["unknown_words"])
    assert runs[0].data.tags["model.sha256"] == outcome.record.model_sha256


def test_old_reports_are_deleted(project: MonitoredProject, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(monitor_module, "MAX_REPORTS", 2)
    for seed in range(3):
        (outcome,) = run_monitor(project, project.window(f"kept-{seed}", usual_texts(20, 80 + seed)))
    names = [path.name for path in (project.folder / "windows").iterdir()]
    assert len(names) == 2
    assert outcome.report.parent.name in names


@pytest.mark.slow
def test_the_exit_code_of_the_command_is_3_for_an_alarm(full_project: MonitoredProject) -> None:
    paths = [full_project.window(f"cli-{seed}", new_texts(ROWS, 90 + seed)) for seed in range(2)]
    runs = [CliRunner().invoke(command_line("monitor"), ["monitor", str(path)]) for path in paths]
    assert [run.exit_code for run in runs] == [0, 3], runs[1].output
    assert "monitor: ALARM" in runs[1].output
    assert "report data/monitoring/windows/" in runs[1].output


def test_the_command_reports_that_nothing_is_due(log: MonitoredProject) -> None:
    yesterday = datetime.now().astimezone().date() - timedelta(days=1)
    write_log(log.root / PREDICTIONS, yesterday, log_rows(["a text"]))
    assert CliRunner().invoke(command_line("monitor"), ["monitor"]).exit_code == 0
    second = CliRunner().invoke(command_line("monitor"), ["monitor"])
    assert "nothing is due" in second.output
