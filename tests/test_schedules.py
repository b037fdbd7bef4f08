"""Stuck and missed runs: what is found, and a real Prefect server on which it is ended."""

import json
import threading
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from atnet.errors import StoreError
from atnet.schedules.flow_runs import FlowRun, HeldSlots, late_by_an_interval, read_deployments
from atnet.schedules.live_runs import is_run_alive, lock_run
from atnet.schedules.prefect_api import PrefectApi
from atnet.schedules.sweep import EndRun, Sweep, _dead, _missed, apply_sweep, find_sweep, without_slots
from pipelines.deployments import sweep_regularly
from tests.projects import Project, make_project
from tests.receiver import http_server
from tests.servers import prefect_server, wait_until
from tests.settings import params_file

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
TEN_MINUTES = timedelta(minutes=10)


def run(
    name: str, state: str = "SCHEDULED", *, minutes: float = 0, deployment: str = "a", auto: bool = True
) -> FlowRun:
    since = NOW - timedelta(minutes=minutes)
    return FlowRun(name, name, deployment, deployment, state, since, "", since, auto)


def test_all_but_the_newest_missed_run_of_each_schedule_are_cancelled() -> None:
    due = [run("1", minutes=30), run("2", minutes=20), run("b1", minutes=15, deployment="b"), run("3", minutes=10)]
    assert [end.run.name for end in _missed(due)] == ["1", "2"]


def test_runs_that_a_user_started_are_kept() -> None:
    due = [run("mine", minutes=30, auto=False), run("1", minutes=20), run("2", minutes=10)]
    assert [end.run.name for end in _missed(due)] == ["1"]


def test_runs_without_a_process_are_ended_when_they_are_old_enough() -> None:
    active = [
        run("pending", "PENDING", minutes=11),
        run("just pending", "PENDING", minutes=9),
        run("running", "RUNNING", minutes=2),
        run("just started", "RUNNING", minutes=0.5),
    ]
    ends = {end.run.name: end for end in _dead(active, NOW, TEN_MINUTES)}
    assert set(ends) == {"pending", "running"}
    assert "more than 10 minutes" in ends["pending"].reason


def test_a_schedule_is_late_by_an_interval_when_its_next_run_is_due_too() -> None:
    due = [run("1", minutes=30), run("b1", deployment="b"), run("2", minutes=5), run("mine", auto=False)]
    assert {name: len(runs) for name, runs in late_by_an_interval(due).items()} == {"a": 2}


def test_a_run_is_alive_as_long_as_its_process_locks_its_file(tmp_path: Path) -> None:
    assert not is_run_alive(tmp_path, "x")
    file = lock_run(tmp_path, "x")
    assert is_run_alive(tmp_path, "x")
    file.close()
    assert not is_run_alive(tmp_path, "x")


def test_a_busy_server_is_asked_again_and_a_missing_one_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    answers = [(503, {}), (200, [])]
    with http_server(lambda path, body: answers.pop(0)) as port:
        assert read_deployments(PrefectApi(f"http://127.0.0.1:{port}/api")) == {}
    with pytest.raises(StoreError, match=r"does not answer.*make up"):
        read_deployments(PrefectApi("http://127.0.0.1:9/api"))


@pytest.fixture
def project_folder(tmp_path: Path) -> Path:
    params_file(tmp_path)
    return tmp_path


class FakeServer:
    """A Prefect server with one deployment and one RUNNING run, whose process has gone."""

    def __init__(self, entrypoint: str) -> None:
        self.deployment = {"id": "d", "name": "a", "status": "READY", "paused": False, "entrypoint": entrypoint}
        self.states: list[str] = []

    def answer(self, path: str, body: Any) -> tuple[int, Any]:
        if path.endswith("/set_state"):
            self.states.append(body["state"]["type"])
            return 200, {}
        if "deployments" in path:
            return 200, [self.deployment]
        if "flow_runs" in path and "RUNNING" in body["flow_runs"]["state"]["type"]["any_"] and not self.states:
            times = {"created": "2026-11-25T12:00:00Z", "updated": "2026-11-25T12:00:00Z"}
            return 200, [{"id": "r", "name": "calm-elk", "deployment_id": "d", "state_type": "RUNNING", **times}]
        return 200, []


def test_the_runs_of_another_program_on_the_same_server_are_left_alone(tmp_path: Path) -> None:
    for entrypoint, ended in (("pipelines/a.py:a", 1), ("other.py:a", 0)):
        with http_server(FakeServer(entrypoint).answer) as port:
            api = PrefectApi(f"http://127.0.0.1:{port}/api")
            sweep = find_sweep(api, tmp_path, datetime.now(UTC), max_pending=TEN_MINUTES)
        assert len(sweep.runs) == ended


def test_dead_runs_are_ended_while_the_schedules_run(project_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project_folder)
    server, stop = FakeServer("pipelines/a.py:a"), threading.Event()
    with http_server(server.answer) as port:
        address = f"http://127.0.0.1:{port}/api"
        sweeper = threading.Thread(
            target=sweep_regularly, args=(project_folder, address, stop), kwargs={"seconds": 0.01}
        )
        sweeper.start()
        wait_until(lambda: bool(server.states), seconds=30)
        stop.set()
        sweeper.join()
    assert server.states == ["CRASHED"]


def test_while_runs_start_no_slot_is_freed() -> None:
    ends = (EndRun(run("1"), "CRASHED", ""), EndRun(run("2"), "CANCELLED", ""))
    assert without_slots(Sweep(ends, (HeldSlots("a", "l", 1, 0),))) == Sweep(ends, ())


# A real server


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return make_project(tmp_path_factory.mktemp("project"))


@pytest.fixture(scope="module")
def api(project: Project) -> Iterator[PrefectApi]:
    with prefect_server(project.root, project.environment(PREFECT_HOME=str(project.root / ".prefect"))) as address:
        yield PrefectApi(address)


def _deployment(api: PrefectApi) -> str:
    """Create a deployment with a limit of one run and return its id."""
    flow = api.post("flows/", {"name": "scoring"})
    entrypoint = "pipelines/scoring.py:scoring"
    body = {"name": "scoring", "flow_id": flow["id"], "concurrency_limit": 1, "entrypoint": entrypoint}
    return str(api.post("deployments/", body)["id"])


def _create_run(api: PrefectApi, deployment: str, state: dict[str, Any]) -> str:
    run = api.post(f"deployments/{deployment}/create_flow_run", {"state": state})
    return str(run["id"])


def _set(api: PrefectApi, run_id: str, kind: str) -> str:
    return str(api.post(f"flow_runs/{run_id}/set_state", {"state": {"type": kind, "name": kind.title()}})["status"])


def _state(api: PrefectApi, run_id: str) -> str:
    with urllib.request.urlopen(f"{api.address}/flow_runs/{run_id}", timeout=30) as response:
        return str(json.load(response)["state_type"])


@pytest.mark.slow
def test_a_killed_run_holds_its_slot_until_the_sweep_ends_it(api: PrefectApi, tmp_path: Path) -> None:
    deployment = _deployment(api)
    killed, refused = (_create_run(api, deployment, {"type": "SCHEDULED"}) for _ in range(2))
    assert _set(api, killed, "PENDING") == "ACCEPT"
    assert _set(api, refused, "PENDING") == "REJECT", "the limit is one run"
    sweep = find_sweep(api, tmp_path, datetime.now(UTC), max_pending=TEN_MINUTES)
    assert sweep.describe() == []
    later = datetime.now(UTC) + timedelta(minutes=11)
    sweep = find_sweep(api, tmp_path, later, max_pending=TEN_MINUTES)
    assert [end.run.id for end in sweep.runs] == [killed]
    apply_sweep(api, tmp_path, sweep)
    assert _state(api, killed) == "CRASHED"
    # One that was refused waits for half a minute: another one takes the free slot now.
    following = _create_run(api, deployment, {"type": "SCHEDULED"})
    assert _set(api, following, "PENDING") == "ACCEPT"
    # The following one is killed while it runs; as long as its process lives, it is left alone.
    assert _set(api, following, "RUNNING") == "ACCEPT"
    with lock_run(tmp_path, following):
        assert find_sweep(api, tmp_path, later, max_pending=TEN_MINUTES).runs == ()
    apply_sweep(api, tmp_path, find_sweep(api, tmp_path, later, max_pending=TEN_MINUTES))
    assert _state(api, following) == "CRASHED"


@pytest.mark.slow
def test_a_slot_that_no_run_holds_is_freed(api: PrefectApi, tmp_path: Path) -> None:
    deployment = _deployment(api)
    (limit,) = [row for row in api.filter("v2/concurrency_limits", {}) if row["name"].endswith(deployment)]
    api.patch(f"v2/concurrency_limits/{limit['id']}", {"active_slots": 1})
    waiting = _create_run(api, deployment, {"type": "SCHEDULED"})
    assert _set(api, waiting, "PENDING") == "REJECT"
    sweep = find_sweep(api, tmp_path, datetime.now(UTC), max_pending=TEN_MINUTES)
    assert [(slots.active, slots.runs) for slots in sweep.slots] == [(1, 0)]
    apply_sweep(api, tmp_path, sweep)
    following = _create_run(api, deployment, {"type": "SCHEDULED"})
    assert _set(api, following, "PENDING") == "ACCEPT"
    _set(api, following, "CANCELLED")


@pytest.mark.slow
def test_the_server_keeps_leases_on_disk(api: PrefectApi, project: Project) -> None:
    deployment = _deployment(api)
    active = _create_run(api, deployment, {"type": "SCHEDULED"})
    _set(api, active, "PENDING")
    assert list((project.root / ".prefect" / "concurrency_leases").glob("*.json"))
    _set(api, active, "CANCELLED")
