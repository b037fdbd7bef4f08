"""The monitoring flow: how it ends, what is notified, and when a training is started."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from prefect.client.schemas.objects import State

from atnet.errors import StoreError
from atnet.monitoring.notifications import Notification, unsent_notifications
from pipelines import monitoring as pipeline
from tests.monitoredproject import MonitoredProject, make_monitored_project, monitor_quickly, new_texts, usual_texts

ROWS = 60


class Calls:
    """What the flow did in Prefect."""

    def __init__(self) -> None:
        self.notified: list[Notification] = []
        self.started: list[tuple[str, Mapping[str, Any], str]] = []

    def start(self, name: str, parameters: Mapping[str, Any], *, key: str) -> str:
        self.started.append((name, parameters, key))
        return f"Started {name}."

    def info(self, message: str) -> None:
        """Accept a line of the log."""


@pytest.fixture(scope="module")
def shared_project(tmp_path_factory: pytest.TempPathFactory, empty_store: Path) -> MonitoredProject:
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        return make_monitored_project(tmp_path_factory.mktemp("flow"), empty_store)


@pytest.fixture
def project(shared_project: MonitoredProject, monkeypatch: pytest.MonkeyPatch) -> Iterator[MonitoredProject]:
    """Return a project without records; tasks run without Prefect, and windows without figures and MLflow runs."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(shared_project.root)
    monitor_quickly(shared_project, monkeypatch)
    monkeypatch.setattr(pipeline, "monitor_windows", pipeline.monitor_windows.fn)
    monkeypatch.setattr(pipeline, "show_result", lambda windows: None)
    yield shared_project
    for path in shared_project.folder.glob("*.jsonl"):
        path.unlink()


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Calls:
    calls = Calls()
    monkeypatch.setattr(pipeline, "notify", calls.notified.append)
    monkeypatch.setattr(pipeline, "start_deployment", calls.start)
    monkeypatch.setattr(pipeline, "get_run_logger", lambda: calls)
    return calls


def run_flow(**parameters: Any) -> State:
    state: State = pipeline.monitoring.fn(**parameters)
    return state


def test_an_alarm_is_notified_once_and_asks_for_labels(project: MonitoredProject, calls: Calls) -> None:
    paths = [project.window(f"new-{seed}", new_texts(ROWS, seed)) for seed in range(3)]
    names = [run_flow(path=path).name for path in paths]
    assert names == ["NoAlarm", "Alarm", "Alarm"]
    assert [notification.action for notification in calls.notified] == ["label"]
    assert calls.started == []


def test_with_enough_new_labels_an_alarm_starts_one_training_that_hands_over_to_the_gate(
    project: MonitoredProject, calls: Calls
) -> None:
    data = project.root / project.params.data.path
    before = data.read_bytes()
    try:
        rows = new_texts(55, 50).assign(id=[f"new-{row}" for row in range(55)])
        pd.concat([pd.read_csv(data), rows]).to_csv(data, index=False)
        for seed in range(3):
            run_flow(path=project.window(f"retrain-{seed}", new_texts(ROWS, 10 + seed)))
    finally:
        data.write_bytes(before)
    (started,) = calls.started
    assert started == ("training/training", {"start_release": True}, calls.notified[0].id)


def test_a_training_is_not_started_if_that_is_turned_off(project: MonitoredProject, calls: Calls) -> None:
    data = project.root / project.params.data.path
    before = data.read_bytes()
    try:
        rows = new_texts(55, 50).assign(id=[f"new-{row}" for row in range(55)])
        pd.concat([pd.read_csv(data), rows]).to_csv(data, index=False)
        for seed in range(2):
            run_flow(path=project.window(f"off-{seed}", new_texts(ROWS, 20 + seed)), start_training=False)
    finally:
        data.write_bytes(before)
    assert [notification.action for notification in calls.notified] == ["retrain"]
    assert calls.started == []


def test_a_notification_that_could_not_be_sent_is_sent_by_the_next_run(
    project: MonitoredProject, calls: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(notification: Notification) -> None:
        raise StoreError("The Prefect server stopped answering.")

    run_flow(path=project.window("unsent-0", new_texts(ROWS, 30)))
    with monkeypatch.context() as patch:
        patch.setattr(pipeline, "notify", fail)
        assert run_flow(path=project.window("unsent-1", new_texts(ROWS, 31))).type.value == "FAILED"
    assert len(unsent_notifications(project.folder)) == 1
    run_flow(path=project.window("unsent-2", usual_texts(ROWS, 32)))
    assert [notification.state for notification in calls.notified] == ["alarm"]
    assert unsent_notifications(project.folder) == []


def test_without_predictions_there_is_nothing_to_do(project: MonitoredProject, calls: Calls) -> None:
    state = run_flow()
    assert (state.name, state.type.value) == ("NoPredictions", "COMPLETED")


def test_an_error_is_the_message_of_the_failed_flow(project: MonitoredProject, calls: Calls) -> None:
    state = run_flow(path=project.root / "missing.csv")
    assert state.type.value == "FAILED"
    assert "missing.csv is missing" in str(state.message)
