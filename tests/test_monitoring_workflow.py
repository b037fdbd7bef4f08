"""`atnet monitor` on a real registry: what is found, recorded, told and shown for every kind of window."""

import json
import re
import shutil
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from atnet import cli
from atnet.errors import DataFileError, ReleaseError
from atnet.monitoring import champion as champion_module
from atnet.monitoring import report, workflow
from atnet.monitoring.records import read_notifications, read_windows
from atnet.monitoring.sentences import summarize
from atnet.monitoring.window_checks import CheckedWindow
from atnet.monitoring.workflow import Outcome, Request, monitor
from atnet.registry.versions import CHAMPION, set_alias
from atnet.tracking.store import open_store
from tests.monitoredproject import NOW, MonitoredProject, make_monitored_project, new_texts, usual_texts
from tests.test_monitoring_windows import log_rows, write_log

ROWS = 70


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, empty_store: Path) -> MonitoredProject:
    """Make the project and draw the thresholds once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        project = make_monitored_project(tmp_path_factory.mktemp("monitored"), empty_store)
        look(project, project.window("first", usual_texts(ROWS, 0)))
    return project


@pytest.fixture
def whole_project(made: MonitoredProject, monkeypatch: pytest.MonkeyPatch) -> Iterator[MonitoredProject]:
    """Give the project without records; thresholds and the copy of the champion stay."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(made.root)
    for path in made.folder.glob("*.jsonl"):
        path.unlink()
    yield made
    set_alias(made.registry, CHAMPION, 1)


@pytest.fixture
def project(whole_project: MonitoredProject, monkeypatch: pytest.MonkeyPatch) -> MonitoredProject:
    """Give it without Great Expectations, pictures and MLflow runs, which take most of a window's time."""
    monkeypatch.setattr(workflow, "check_window", lambda *_: CheckedWindow([], {}))
    monkeypatch.setattr(workflow, "track_windows", lambda *_: "no run")
    monkeypatch.setattr(report, "_figures", lambda *_: {})
    return whole_project


def look(
    project: MonitoredProject, path: Path | None = None, *, now: datetime = NOW, first: date | None = None
) -> list[Outcome]:
    return list(monitor(project.params, project.root, Request(path, first, first), now=now))


def told(outcome: Outcome) -> str:
    return "\n".join(summarize(outcome.record, outcome.inputs, outcome.measured, outcome.decision))


def test_more_of_the_same_is_no_drift(project: MonitoredProject) -> None:
    (outcome,) = look(project, project.window("same", usual_texts(ROWS, 1)))
    assert outcome.record.result == "no_drift"
    assert outcome.record.state == "ok"
    assert outcome.record.compared == 60
    assert outcome.measured.comparison is not None
    assert outcome.measured.comparison.reference_rows == 240
    assert "no drift" in told(outcome)
    assert "Estimated accuracy" in told(outcome)


def test_another_language_alarms_when_it_persists_and_is_told_once(project: MonitoredProject) -> None:
    outcomes = [look(project, project.window(f"other-{seed}", new_texts(ROWS, seed)))[0] for seed in range(3)]
    assert [one.record.result for one in outcomes] == ["drift"] * 3
    assert [one.record.state for one in outcomes] == ["ok", "alarm", "alarm"]
    assert "not persistent" in told(outcomes[0])
    assert "another language or script" in told(outcomes[0])
    assert "ALARM" in told(outcomes[1])
    assert "`atnet review`" in told(outcomes[1])
    (notification,) = read_notifications(project.folder)
    assert (notification.state, notification.action) == ("alarm", "label")


def test_new_labeled_rows_turn_the_advice_into_retrain(project: MonitoredProject) -> None:
    data = project.root / project.params.data.path
    before = data.read_bytes()
    try:
        rows = new_texts(55, 50).assign(id=[f"new-{row}" for row in range(55)])
        pd.concat([pd.read_csv(data), rows]).to_csv(data, index=False)
        for seed in range(2):
            (outcome,) = look(project, project.window(f"more-{seed}", new_texts(ROWS, 10 + seed)))
        assert outcome.record.new_labeled_rows == 55
        assert outcome.record.action == "retrain"
        assert "train again" in told(outcome)
    finally:
        data.write_bytes(before)


def test_labels_in_the_file_give_a_measured_accuracy(project: MonitoredProject) -> None:
    (outcome,) = look(project, project.window("labeled", usual_texts(ROWS, 3), labels=True))
    assert outcome.record.estimates["measured"] is not None
    assert outcome.record.estimates["labeled"] == ROWS
    assert f"Accuracy on {ROWS} labeled rows" in told(outcome)


def test_answers_of_the_model_are_not_taken_for_labels(project: MonitoredProject) -> None:
    texts = usual_texts(ROWS, 4)
    predictor = champion_module.load_champion(project.params, project.root).predictor
    scored = texts.assign(label=predictor.predict(texts["text"].tolist()).predicted)
    (outcome,) = look(project, project.window("scored", scored, labels=True))
    assert outcome.record.estimates["measured"] is None
    assert "taken for answers" in told(outcome)


@pytest.mark.parametrize(
    ("name", "texts", "words"),
    [
        ("one-row", usual_texts(1, 5), "too few distinct texts"),
        ("one-text", pd.concat([usual_texts(1, 6)] * 200), "Rows that repeat a text of the window"),
        ("few", new_texts(29, 7), "That is no sign that nothing changed"),
    ],
)
def test_too_few_distinct_texts_are_never_called_no_drift(
    name: str, texts: pd.DataFrame, words: str, project: MonitoredProject
) -> None:
    (outcome,) = look(project, project.window(name, texts))
    assert outcome.record.result == "too_few"
    assert outcome.record.state == "ok"
    assert words in told(outcome)
    assert outcome.report.is_file()


def test_rows_that_the_champion_was_trained_on_are_left_out(project: MonitoredProject) -> None:
    train = pd.read_parquet(project.root / project.params.folders.splits / "train.parquet").head(300)
    (outcome,) = look(project, project.window("trained", train))
    assert outcome.record.result == "too_few"
    assert "trained on, left out since it is surer of those: 300" in told(outcome)
    both = pd.concat([train, usual_texts(ROWS, 8)])
    (outcome,) = look(project, project.window("trained-and-new", both))
    assert outcome.record.result == "no_drift"


def test_the_held_out_rows_themselves_are_left_out_on_both_sides(project: MonitoredProject) -> None:
    reference = champion_module.load_champion(project.params, project.root).reference
    (outcome,) = look(project, project.window("reference", reference.table))
    assert outcome.record.result == "too_few"
    assert f"left out on both sides: {len(reference)}" in told(outcome)


def test_an_empty_file_is_refused_in_one_message_and_leaves_no_record(project: MonitoredProject) -> None:
    path = project.root / "empty.csv"
    path.write_text("")
    with pytest.raises(DataFileError, match="is empty"):
        look(project, path)
    assert read_windows(project.folder) == []


def test_the_same_window_twice_counts_once(project: MonitoredProject) -> None:
    path = project.window("again", new_texts(ROWS, 20))
    states = [look(project, path)[0].record.state for _ in range(3)]
    assert states == ["ok"] * 3
    assert len(read_windows(project.folder)) == 1


def write_days(project: MonitoredProject, days: int, *, with_text: bool = True, sha256: str | None = None) -> None:
    champion = champion_module.load_champion(project.params, project.root)
    for day in range(1, days + 1):
        texts = usual_texts(ROWS, 100 + day)["text"].tolist()
        rows = log_rows(texts, with_text=with_text, sha256=sha256 or champion.sha256)
        write_log(project.root / project.params.monitor.predictions, date(2026, 11, day), rows)


@pytest.fixture
def log(project: MonitoredProject) -> Iterator[MonitoredProject]:
    """Give the project a prediction log of three days."""
    write_days(project, 3)
    yield project
    shutil.rmtree(project.root / project.params.monitor.predictions)


def test_the_newest_whole_day_is_monitored_and_missed_days_are_made_up_for(log: MonitoredProject) -> None:
    assert [one.record.name for one in look(log, now=datetime.fromisoformat("2026-11-02T02:00:00+00:00"))] == [
        "2026-11-01"
    ]
    assert [one.record.name for one in look(log, now=NOW)] == ["2026-11-02", "2026-11-03"]
    assert look(log, now=NOW) == []
    assert [record.result for record in read_windows(log.folder)] == ["no_drift"] * 3


def test_a_kill_before_the_record_loses_nothing(log: MonitoredProject, monkeypatch: pytest.MonkeyPatch) -> None:
    look(log, first=date(2026, 11, 1))
    monkeypatch.setattr(workflow, "append_window", _killed)
    with pytest.raises(KeyboardInterrupt):
        look(log, now=NOW)
    monkeypatch.undo()
    monkeypatch.chdir(log.root)
    assert [one.record.name for one in look(log, now=NOW)] == ["2026-11-02", "2026-11-03"]


def _killed(*_: object) -> None:
    raise KeyboardInterrupt


def test_a_kill_after_the_record_tells_the_alarm_with_the_next_window(
    project: MonitoredProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    look(project, project.window("kill-0", new_texts(ROWS, 30)))
    with monkeypatch.context() as patch:
        patch.setattr(workflow, "append_notification", _killed)
        with pytest.raises(KeyboardInterrupt):
            look(project, project.window("kill-1", new_texts(ROWS, 31)))
    assert read_notifications(project.folder) == []
    assert read_windows(project.folder)[-1].state == "alarm"
    (outcome,) = look(project, project.window("kill-2", new_texts(ROWS, 32)))
    assert outcome.notification is not None
    assert len(read_notifications(project.folder)) == 1


def test_without_texts_answers_lengths_and_unknown_words_are_compared(project: MonitoredProject) -> None:
    write_days(project, 1, with_text=False)
    (outcome,) = look(project, first=date(2026, 11, 1))
    assert set(outcome.record.effects) == {"probability_ks", "unknown_words", "length_ks"}
    assert "The texts were not logged" in told(outcome)
    # Every answer of the log is the same, 80 % positive: nothing like the champion's on held-out rows.
    assert outcome.record.result == "drift"


def test_rows_of_another_model_without_a_text_are_left_out(project: MonitoredProject) -> None:
    write_days(project, 1, with_text=False, sha256="b" * 64)
    (outcome,) = look(project, first=date(2026, 11, 1))
    assert outcome.record.result == "too_few"
    assert f"Rows of another model than version 1, without a text to answer again, left out: {ROWS}" in told(outcome)


def test_with_texts_the_answers_of_another_model_do_not_matter(project: MonitoredProject) -> None:
    write_days(project, 1, sha256="b" * 64)
    (outcome,) = look(project, first=date(2026, 11, 1))
    assert outcome.record.result == "no_drift"


def test_a_new_champion_starts_without_the_windows_of_the_old_one(project: MonitoredProject) -> None:
    for seed in range(2):
        look(project, project.window(f"old-{seed}", new_texts(ROWS, 40 + seed)))
    version = project.release(rows=1200)
    assert version != 1
    (outcome,) = look(project, project.window("old-1", new_texts(ROWS, 41)))
    assert outcome.record.model_version == version
    assert outcome.record.state == "ok"


def test_without_a_champion_the_next_step_is_named(project: MonitoredProject) -> None:
    set_alias(project.registry, CHAMPION, None)
    with pytest.raises(ReleaseError, match="Run `atnet release` first"):
        look(project, project.window("x", usual_texts(ROWS, 9)))


def test_a_data_version_that_is_gone_is_named_with_the_next_step(
    project: MonitoredProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = project.release(rows=900)
    assert version != 1
    path = project.root / project.params.folders.splits / "test.parquet"
    whole = path.read_bytes()
    monkeypatch.setattr(champion_module, "_in_cache", lambda root, md5: root / "nowhere" / md5)
    try:
        pd.read_parquet(path).head(100).to_parquet(path, index=False)
        with pytest.raises(DataFileError, match=r"The test split of version \d+ .* run `dvc pull`"):
            look(project, project.window("x", usual_texts(ROWS, 9)))
    finally:
        path.write_bytes(whole)


def test_the_champions_copy_outlives_the_splits_it_was_trained_on(project: MonitoredProject) -> None:
    path = project.root / project.params.folders.splits / "test.parquet"
    whole = path.read_bytes()
    try:
        path.unlink()
        (outcome,) = look(project, project.window("later", usual_texts(ROWS, 12)))
        assert outcome.record.result == "no_drift"
    finally:
        path.write_bytes(whole)


def test_the_report_stands_alone_and_shows_texts_as_text(whole_project: MonitoredProject) -> None:
    texts = new_texts(ROWS, 60)
    texts["text"] = "<script>alert(1)</script> " + texts["text"]
    (outcome,) = look(whole_project, whole_project.window("script", texts))
    page = outcome.report.read_text(encoding="utf-8")
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert not re.search(r'(?:src|href)="(?:https?:)?//', page)
    for heading in ("Statistics", "Does it hurt?", "Over time", "Words that moved most", "Method"):
        assert f"<h2>{heading}</h2>" in page
    assert (outcome.report.parent / "docs" / "index.html").is_file()
    assert json.loads((outcome.report.parent / "result.json").read_text())["result"] == "drift"
    newest = (whole_project.folder / "report.html").read_text(encoding="utf-8")
    assert f'href="windows/{outcome.report.parent.name}/docs/index.html"' in newest


def test_every_window_is_a_step_of_the_models_run_and_what_was_missed_is_logged_later(
    whole_project: MonitoredProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    look(whole_project, whole_project.window("step-1", usual_texts(ROWS, 70)))
    with monkeypatch.context() as patch:
        patch.setattr(workflow, "track_windows", _killed)
        with pytest.raises(KeyboardInterrupt):
            look(whole_project, whole_project.window("step-2", usual_texts(ROWS, 71)))
    (outcome,) = look(whole_project, whole_project.window("step-3", new_texts(ROWS, 72)))
    config = whole_project.params.tracking.model_copy(update={"experiment": whole_project.params.monitor.experiment})
    store = open_store(config, whole_project.root)
    runs = store.client.search_runs([store.experiment_id], "tags.`model.version` = '1'")
    assert len(runs) == 1
    steps = {metric.step for metric in store.client.get_metric_history(runs[0].info.run_id, "drift/p_value")}
    assert {1, 2, 3} <= steps
    assert runs[0].data.metrics["effect/unknown_words"] == pytest.approx(outcome.record.effects["unknown_words"])
    assert runs[0].data.tags["model.sha256"] == outcome.record.model_sha256


def test_old_reports_are_deleted(project: MonitoredProject, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workflow, "KEPT_REPORTS", 2)
    for seed in range(3):
        (outcome,) = look(project, project.window(f"kept-{seed}", usual_texts(20, 80 + seed)))
    kept = [path.name for path in (project.folder / "windows").iterdir()]
    assert len(kept) == 2
    assert outcome.report.parent.name in kept


def test_the_command_says_alarm_by_its_exit_code(whole_project: MonitoredProject) -> None:
    paths = [whole_project.window(f"cli-{seed}", new_texts(ROWS, 90 + seed)) for seed in range(2)]
    runs = [CliRunner().invoke(cli.app, ["monitor", str(path)]) for path in paths]
    assert [run.exit_code for run in runs] == [0, 3], runs[1].output
    assert "monitor: ALARM" in runs[1].output
    assert "report data/monitoring/windows/" in runs[1].output


def test_the_command_says_when_nothing_is_due(log: MonitoredProject) -> None:
    yesterday = datetime.now().astimezone().date() - timedelta(days=1)
    write_log(log.root / log.params.monitor.predictions, yesterday, log_rows(["a text"]))
    assert CliRunner().invoke(cli.app, ["monitor"]).exit_code == 0
    second = CliRunner().invoke(cli.app, ["monitor"])
    assert "nothing is due" in second.output
