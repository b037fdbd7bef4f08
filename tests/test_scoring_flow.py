"""The scoring flow: what it does and how it ends, and missed runs under a real Prefect server."""

import os
import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import yaml
from prefect.client.schemas.objects import State

from atnet.config import Params
from atnet.errors import ReleaseError, StoreError
from atnet.scoring.manifest import ScoringModel
from atnet.scoring.options import ScoringJob
from pipelines import deployments, missed_runs
from pipelines import scoring as pipeline
from tests.projects import change_params
from tests.scoringproject import (
    NOW,
    local_model,
    open_store,
    publish_champion,
    score_in_process,
    write_csv,
    write_project,
)
from tests.servers import ask, prefect_server, running, wait_until
from tests.tinymodel import write_tiny_model

ROOT = Path(__file__).resolve().parents[1]
FINAL = {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a project with tasks that run without Prefect and a model that needs no registry."""
    model = local_model(tmp_path / "model")
    score_in_process(monkeypatch)
    for name in ("find", "score_partitions"):
        monkeypatch.setattr(pipeline, name, getattr(pipeline, name).fn)
    monkeypatch.setattr(pipeline, "fetch", lambda job, folder: model)
    monkeypatch.setattr(pipeline, "show_result", lambda outcome: None)
    monkeypatch.setattr(pipeline, "get_run_logger", lambda: pipeline_logger)
    monkeypatch.chdir(write_project(tmp_path / "project"))
    return tmp_path / "project"


class _Logger:
    def info(self, message: str) -> None:
        pass


pipeline_logger = _Logger()


def run_flow(**parameters: Any) -> State:
    state: State = pipeline.scoring.fn(**parameters)
    return state


def test_it_scores_what_is_pending_and_then_nothing(root: Path) -> None:
    write_csv(root / "data" / "incoming" / "2026-11-24.csv", 4)
    state = run_flow()
    assert (state.name, state.type.value) == ("Scored", "COMPLETED")
    assert (root / "data" / "scored" / "2026-11-24.parquet").is_file()
    assert run_flow().name == "UpToDate"


def test_without_an_input_there_is_nothing_to_do(root: Path) -> None:
    state = run_flow()
    assert (state.name, state.type.value) == ("NoInput", "COMPLETED")
    assert "score.input" in str(state.message)
    # Named by the user, it must exist.
    assert run_flow(source="nowhere").type.value == "FAILED"


def test_a_partition_that_cannot_be_scored_fails_the_run_after_the_others(root: Path) -> None:
    write_csv(root / "data" / "incoming" / "2026-11-23.csv", 4)
    (root / "data" / "incoming" / "2026-11-24.csv").write_text("id,text\na,x\na,y\n")
    state = run_flow()
    assert state.type.value == "FAILED"
    assert "2026-11-24.csv: " in str(state.message)
    assert (root / "data" / "scored" / "2026-11-23.parquet").is_file()


def test_a_range_of_days_can_be_given(root: Path) -> None:
    for day in (22, 23, 24):
        write_csv(root / "data" / "incoming" / f"2026-11-{day}.csv", 4)
    run_flow(first=date(2026, 11, 23), last=date(2026, 11, 24))
    assert sorted(path.name for path in (root / "data" / "scored").glob("*.parquet")) == [
        "2026-11-23.parquet",
        "2026-11-24.parquet",
    ]


def test_a_missing_champion_fails_with_its_message(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_csv(root / "data" / "incoming" / "2026-11-24.csv", 4)

    def missing(job: ScoringJob, folder: Path) -> ScoringModel:
        raise ReleaseError("atnet has no champion")

    monkeypatch.setattr(pipeline, "fetch", missing)
    state = run_flow()
    assert (state.type.value, state.message) == ("FAILED", "atnet has no champion")


def test_only_tasks_that_use_the_network_are_retried_and_only_if_it_failed() -> None:
    for task in (pipeline.find, pipeline.fetch, pipeline.score_partitions):
        assert task.retries == 3
    assert pipeline.show_result.retries == 0
    assert pipeline.scoring.retries in (0, None)
    from prefect.states import Failed

    assert pipeline.store_failed(None, None, Failed(data=StoreError("no answer")))
    assert not pipeline.store_failed(None, None, Failed(data=ReleaseError("no champion")))


def test_the_deployment_is_declared_once_a_day_one_run_at_a_time() -> None:
    (declared,) = [d for d in deployments.declared_deployments(ROOT / "prefect.yaml") if d.name == "scoring"]
    (schedule,) = declared.schedules
    assert (schedule.schedule.cron, schedule.schedule.timezone) == ("0 4 * * *", "Europe/Lisbon")
    assert declared.concurrency_limit == 1
    assert declared.parameters == {"timezone": "Europe/Lisbon"}


class _Client:
    """Prefect's API, as far as the flow asks it."""

    def __init__(self, auto_scheduled: bool, others: list[Any]) -> None:
        self._own = type("Run", (), {"auto_scheduled": auto_scheduled})
        self._others = others

    def __enter__(self) -> "_Client":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def read_flow_run(self, run_id: Any) -> Any:
        return self._own

    def read_flow_runs(self, flow_run_filter: Any) -> list[Any]:
        return self._others


def _scheduled(monkeypatch: pytest.MonkeyPatch, *, auto: bool, newer: int = 0, start: datetime = NOW) -> None:
    others = [type("Run", (), {"auto_scheduled": True, "id": uuid4()}) for _ in range(newer)]
    monkeypatch.setattr(missed_runs, "get_client", lambda sync_client: _Client(auto, others))
    monkeypatch.setattr(missed_runs, "deployment", type("Deployment", (), {"id": str(uuid4())}))
    run = type("Run", (), {"id": str(uuid4()), "scheduled_start_time": start})
    for module in (missed_runs, pipeline):
        monkeypatch.setattr(module, "flow_run", run)


def test_a_missed_run_is_skipped_if_a_newer_one_is_due(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_csv(root / "data" / "incoming" / "2026-11-24.csv", 4)
    _scheduled(monkeypatch, auto=True, newer=2)
    assert run_flow().name == "Skipped"
    _scheduled(monkeypatch, auto=False, newer=2)
    assert run_flow().name == "Scored", "a user's run is never skipped"
    _scheduled(monkeypatch, auto=True, newer=0)
    assert run_flow(force=True).name == "Scored"


def test_each_missed_run_scores_the_day_before_it_on_request(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    change_params(root / "params.yaml", {"score": {"after_downtime": "each"}})
    for day in (22, 23, 24):
        write_csv(root / "data" / "incoming" / f"2026-11-{day}.csv", 4)
    _scheduled(monkeypatch, auto=True, newer=2, start=datetime(2026, 11, 24, 4, tzinfo=UTC))
    assert run_flow(timezone="Europe/Lisbon").name == "Scored"
    assert [path.name for path in (root / "data" / "scored").glob("*.parquet")] == ["2026-11-23.parquet"]
    # At 23:30 UTC it is the next day in Auckland.
    _scheduled(monkeypatch, auto=True, start=datetime(2026, 11, 24, 23, 30, tzinfo=UTC))
    run_flow(timezone="Pacific/Auckland")
    assert (root / "data" / "scored" / "2026-11-24.parquet").is_file()


# A real server: missed runs of a schedule


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, params: Params) -> Path:
    """Return a project with a champion in a real store, and the deployment `scoring` alone."""
    root = write_project(tmp_path_factory.mktemp("missed"))
    publish_champion(open_store(root, params), write_tiny_model(root / "model"))
    declared = yaml.safe_load((ROOT / "prefect.yaml").read_text(encoding="utf-8"))
    (scoring,) = [entry for entry in declared["deployments"] if entry["name"] == "scoring"]
    # Daily would take days: every minute instead.
    scoring["schedules"][0]["cron"] = "* * * * *"
    declared["deployments"] = [scoring]
    (root / "prefect.yaml").write_text(yaml.safe_dump(declared), encoding="utf-8")
    return root


@pytest.fixture(scope="module")
def environment(project: Path) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW_", "PREFECT_"))}
    own = {"PREFECT_HOME": str(project / ".prefect"), "PREFECT_SERVER_ANALYTICS_ENABLED": "false"}
    return {**inherited, **own, "PYTHONPATH": os.pathsep.join(sys.path)}


@pytest.fixture(scope="module")
def server(project: Path, environment: dict[str, str]) -> Iterator[str]:
    with prefect_server(project, environment) as address:
        yield address


def _runs(address: str) -> list[dict[str, Any]]:
    """List the runs that a schedule created and that were due when this was called, oldest first."""
    runs = ask(address, "flow_runs/filter", {"sort": "EXPECTED_START_TIME_ASC"})
    now = datetime.now(UTC)
    return [run for run in runs if run["auto_scheduled"] and datetime.fromisoformat(run["expected_start_time"]) < now]


@pytest.mark.slow
@pytest.mark.parametrize("policy", ["newest", "each"])
def test_after_downtime_the_newest_run_scores_or_each_one_does(
    project: Path, environment: dict[str, str], server: str, policy: str
) -> None:
    change_params(project / "params.yaml", {"score": {"after_downtime": policy, "output": f"data/{policy}"}})
    yesterday = datetime.now(UTC).date() - timedelta(days=1)
    days = [f"{yesterday - timedelta(days=9)}", f"{yesterday}"]
    for day in days:
        write_csv(project / "data" / "incoming" / f"{day}.csv", 4)
    serve, served = [sys.executable, "-m", "pipelines.deployments"], {**environment, "PREFECT_API_URL": server}
    with running(serve, project, served, name=f"register-{policy}"):
        wait_until(lambda: bool(ask(server, "deployments/filter", {})), seconds=180)
    # No process serves the deployment meanwhile: runs are missed.
    wait_until(lambda: len(_missed(server)) >= 2, seconds=240)
    missed = _missed(server)
    with running(serve, project, served, name=f"serve-{policy}"):
        wait_until(lambda: missed <= _finished(server).keys(), seconds=420)
        wait_until(lambda: any((project / "data" / policy).glob("*.manifest.json")), seconds=180)
        finished = _finished(server)
    names = [finished[run] for run in missed]
    written = sorted(path.stem for path in (project / "data" / policy).glob("*.parquet"))
    if policy == "newest":
        # Those that were due at the start are cancelled, later ones are skipped by the flow itself.
        assert names.count("Cancelled") >= 1
        assert names.count("Skipped") + names.count("Cancelled") >= len(names) - 1
        assert written == days
    else:
        assert set(names) <= {"Scored", "UpToDate"}
        assert written == days[1:]


def _missed(address: str) -> set[str]:
    """Return the runs that are due and have not begun."""
    return {run["id"] for run in _runs(address) if run["state_type"] == "SCHEDULED"}


def _finished(address: str) -> dict[str, str]:
    """Return the state of every run that has ended."""
    return {run["id"]: run["state_name"] for run in _runs(address) if run["state_type"] in FINAL}
