"""Every kind of notification, from the place it comes from to a real receiver: once, and none twice."""

import json
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from atnet.config import OperateConfig, Params
from atnet.errors import StoreError
from atnet.files import LAST_BACKUP
from atnet.monitoring.notifications import Notification, append_notification
from atnet.notifications.addresses import read_addresses
from atnet.notifications.alert import Observations
from atnet.notifications.project_source import observe_backup, observe_disk, observe_drift
from atnet.notifications.release_source import observe_releases, release_alerts
from atnet.notifications.schedule_source import observe_prefect, observe_schedules
from atnet.notifications.service_source import observe_served_version, observe_service
from atnet.notifications.watch import Source, poll
from atnet.notifications.watch_state import read_watch_state
from atnet.registry.ledger import LedgerEntry, LedgerEvent, next_entry
from atnet.registry.ledger_store import LOCAL_COPY, append
from atnet.registry.versions import Registry, ensure_registered_model, open_registry, set_alias
from atnet.schedules.prefect_api import PrefectApi
from tests.receiver import Receiver, http_server, receiver
from tests.registered import registered

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
METRICS = 'atnet_texts_total 1.0\natnet_prediction_log_rows_total{{result="dropped"}} {}\n'


def event(action: str, number: int, champion: int | None = None) -> LedgerEvent:
    return LedgerEvent(f"{action} {number}", NOW.isoformat(), "ana", action, number, None, champion, "A reason.", "")


def ledger(*actions: str) -> list[LedgerEntry]:
    lines: list[LedgerEntry] = []
    for number, action in enumerate(actions, start=1):
        lines.append(next_entry(lines[-1] if lines else None, event(action, number, number)))
    return lines


def titles(observed: Observations) -> list[str]:
    return [condition.title for condition in observed.conditions if condition.active]


def test_the_lines_of_the_ledger_that_people_want_to_know_of_are_notified() -> None:
    lines = ledger("promoted", "rejected", "pending_approval", "rolled_back", "pruned")
    alerts = list(release_alerts(lines, "atnet"))
    assert [alert.title for alert in alerts] == [
        "Version 1 of atnet was promoted",
        "Version 2 of atnet was rejected",
        "Version 3 of atnet is waiting for approval",
        "atnet was rolled back to version 4",
    ]
    assert "`atnet approve 3` or `atnet reject`" in alerts[2].text
    assert len({alert.id for alert in alerts}) == 4


def test_a_full_disk_is_noticed(tmp_path: Path, params: Params) -> None:
    full = params.operate.model_copy(update={"min_free_disk": 0.999999})
    assert titles(observe_disk(tmp_path, full)) == ["Less than 100% of the disk is free"]
    assert titles(observe_disk(tmp_path, params.operate.model_copy(update={"min_free_disk": 1e-6}))) == []


def test_a_backup_that_is_too_old_or_missing_is_noticed(tmp_path: Path, params: Params) -> None:
    def observed() -> list[str]:
        return titles(observe_backup(tmp_path, params.operate, NOW))

    assert observed() == [], "before the first release there is nothing to lose"
    (tmp_path / LOCAL_COPY).parent.mkdir()
    (tmp_path / LOCAL_COPY).touch()
    assert observed() == ["The last backup is older than 7 days"]
    for days, expected in ((6, 0), (8, 1)):
        (tmp_path / LAST_BACKUP).write_text(json.dumps({"created": (NOW - timedelta(days=days)).isoformat()}))
        assert len(observed()) == expected


class World:
    """Prefect's server and the service, as far as they are asked; tests change what they answer."""

    def __init__(self) -> None:
        self.prefect_answers = True
        self.service: dict[str, Any] | None = {"status": "ready", "model": {"version": 1}, "rejected": None}
        self.dropped = 0.0
        self.runs: list[dict[str, Any]] = []

    def prefect(self, path: str, body: Any) -> tuple[int, Any]:
        if not self.prefect_answers:
            return 500, {}
        if path.endswith("deployments/count"):
            return 200, 1
        if "deployments/filter" in path:
            deployment = {"id": "d", "name": "scoring", "status": "READY", "work_pool_name": None, "paused": False}
            return 200, [deployment]
        states = body["flow_runs"]["state"]["type"]["any_"]
        return 200, [run for run in self.runs if run["state_type"] in states]

    def answer(self, path: str, body: Any) -> tuple[int, Any]:
        if path == "/metrics":
            return 200, METRICS.format(self.dropped)
        return (200 if self.service and self.service["status"] == "ready" else 503), self.service

    def add_run(self, name: str, state: str, since: datetime) -> None:
        run = {"id": name, "name": name, "deployment_id": "d", "state_type": state, "auto_scheduled": True}
        entered = {"timestamp": since.isoformat(), "message": "One class only."}
        self.runs.append({**run, "expected_start_time": since.isoformat(), "state": entered})


@pytest.fixture
def registry(tmp_path: Path, params: Params, empty_store: Path, monkeypatch: pytest.MonkeyPatch) -> Registry:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    shutil.copy(empty_store, tmp_path / "mlflow.db")
    registry = open_registry(params.tracking, tmp_path)
    ensure_registered_model(registry)
    set_alias(registry, "champion", registered(registry, "a").number)
    return registry


@pytest.fixture
def phone() -> Iterator[Receiver]:
    with receiver() as started:
        yield started


@pytest.mark.slow
def test_every_kind_arrives_once_and_none_twice(
    tmp_path: Path, params: Params, registry: Registry, phone: Receiver
) -> None:
    world, addresses = World(), read_addresses({"ATNET_NOTIFY": phone.address})
    with http_server(world.prefect) as prefect, http_server(world.answer) as service:
        api = PrefectApi(f"http://127.0.0.1:{prefect}/api")
        serve = params.serve.model_copy(update={"port": service})
        limits = params.operate.model_copy(update={"min_free_disk": 1e-6})

        def check(minute: float, limits: OperateConfig = limits) -> None:
            """Poll from the written state, as after a restart."""
            now = NOW + timedelta(minutes=minute)
            sources: dict[str, Source] = {
                "prefect": lambda: observe_prefect(api, limits),
                "schedules": lambda: observe_schedules(api, limits, now),
                "releases": lambda: observe_releases(registry),
                "drift": lambda: observe_drift(tmp_path / "monitoring"),
                "service": lambda: observe_service(serve, limits, tmp_path, registry),
                "service version": lambda: observe_served_version(serve, limits, tmp_path, registry),
                "disk": lambda: observe_disk(tmp_path, limits),
                "backup": lambda: observe_backup(tmp_path, limits, now),
            }
            poll(read_watch_state(tmp_path), sources, tmp_path, addresses, now)

        check(0)
        assert phone.titles == []
        world.add_run("bold-otter", "FAILED", NOW)
        world.add_run("calm-elk", "PENDING", NOW - timedelta(minutes=15))
        world.add_run("old-yak", "SCHEDULED", NOW - timedelta(days=2))
        world.add_run("new-yak", "SCHEDULED", NOW - timedelta(days=1))
        for number, action in enumerate(("promoted", "rejected", "pending_approval", "rolled_back"), start=1):
            append(registry, event(action, number, 1))
        drift = Notification("n1", "2026-11-24", NOW.isoformat(), 1, "a", "alarm", "label", "Texts have drifted.")
        append_notification(tmp_path / "monitoring", drift)
        set_alias(registry, "champion", registered(registry, "b").number)
        world.dropped = 7.0
        full = limits.model_copy(update={"min_free_disk": 0.999999})
        for minute in (1, 1.5, 2.5, 3):
            check(minute, full)
        world.service = {"status": "no model", "model": None}
        world.prefect_answers = False
        for minute in (4, 4.5, 5.5, 6):
            check(minute, full)
    expected = {
        "scoring bold-otter failed",
        "scoring calm-elk has been PENDING for over 10 minutes",
        "scoring is late by more than one interval",
        "Version 1 of atnet was promoted",
        "Version 2 of atnet was rejected",
        "Version 3 of atnet is waiting for approval",
        "atnet was rolled back to version 1",
        "Monitoring: drift in 2026-11-24",
        "The service serves version 1, but champion is version 2",
        "The prediction log is dropping rows",
        "Less than 100% of the disk is free",
        "The last backup is older than 7 days",
        "The service is not ready",
        "Prefect's server does not answer, so no schedule starts a run",
    }
    sent = [title for title in phone.titles if "again" not in title and title != "The service serves the champion"]
    assert sorted(sent) == sorted(expected)
    assert len(phone.titles) == len(set(phone.titles))


def test_without_a_version_the_service_cannot_be_ready_and_nobody_is_called(
    tmp_path: Path, params: Params, registry: Registry
) -> None:
    serve = params.serve.model_copy(update={"port": 9})
    assert titles(observe_service(serve, params.operate, tmp_path, registry)) == ["The service is not ready"]
    set_alias(registry, "champion", None)
    assert titles(observe_service(serve, params.operate, tmp_path, registry)) == []


def test_a_server_that_does_not_answer_is_no_news_about_its_runs(params: Params) -> None:
    with pytest.raises(StoreError):
        observe_schedules(PrefectApi("http://127.0.0.1:9/api"), params.operate, NOW)
