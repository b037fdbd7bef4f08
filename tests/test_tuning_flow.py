"""The tuning flow: which stages it runs, what it passes to the search, and how it ends."""

from pathlib import Path

import pytest
from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed

from atnet.errors import AtnetError, StoreError
from atnet.tuning.tune import TuningOptions, TuningOutcome
from pipelines import deployments, tuning
from tests.settings import params_with

ROOT = Path(__file__).resolve().parents[1]


def outcome(**changed: object) -> TuningOutcome:
    return TuningOutcome(
        **{
            "summary": "best validation loss 0.3",
            "table": ["trial", "    1"],
            "best": None,
            "diff": "",
            "applied": False,
            "interrupted": False,
            "link": "run 1",
            "store_error": None,
            **changed,
        }
    )


class FakeTasks:
    """Replaces the flow's tasks and records the calls."""

    def __init__(self) -> None:
        self.calls: list[object] = []
        self.result: TuningOutcome | AtnetError = outcome()
        self.failing_stage: str | None = None

    def stage_task(self, stage: str, return_state: bool) -> State:
        self.calls.append(stage)
        return Failed(message=f"{stage}: no") if stage == self.failing_stage else Completed()

    def search(self, options: TuningOptions) -> TuningOutcome:
        self.calls.append(options)
        if isinstance(self.result, AtnetError):
            raise self.result
        return self.result

    def show_trials(self, result: TuningOutcome) -> None:
        self.calls.append("show")


@pytest.fixture
def tasks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> FakeTasks:
    tasks = FakeTasks()
    for name in ("stage_task", "search", "show_trials"):
        monkeypatch.setattr(tuning, name, getattr(tasks, name))
    for name in ("params.yaml", "dvc.yaml"):
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    monkeypatch.chdir(tmp_path)
    return tasks


def test_the_flow_runs_the_stages_that_training_needs_and_searches(tasks: FakeTasks) -> None:
    state = tuning.tuning.fn(trials=7, minutes=2.5, jobs=2)
    assert state.name == "Searched"
    assert state.message == "best validation loss 0.3"
    stages = ["sample", "validate", "split", "tokenize", "vectors"]
    assert tasks.calls == [*stages, TuningOptions(7, 2.5, 2, False), "show"]


def test_the_state_says_that_params_yaml_was_changed(tasks: FakeTasks) -> None:
    tasks.result = outcome(applied=True, diff="-a\n+b\n")
    assert tuning.tuning.fn(apply=True).name == "Applied"


def test_a_stage_that_fails_ends_the_flow_before_the_search(tasks: FakeTasks) -> None:
    tasks.failing_stage = "tokenize"
    state = tuning.tuning.fn()
    assert state.is_failed()
    assert state.message == "tokenize: no"
    assert tasks.calls[-1] == "tokenize"


@pytest.mark.parametrize("result", [AtnetError("Trial 0 failed"), outcome(store_error=StoreError("no answer"))])
def test_an_error_fails_the_flow_with_its_message(tasks: FakeTasks, result: TuningOutcome | AtnetError) -> None:
    tasks.result = result
    state = tuning.tuning.fn()
    assert state.is_failed()
    assert state.message in ("Trial 0 failed", "no answer")


def test_the_deployment_has_no_schedule_and_does_not_change_params_yaml() -> None:
    served = {deployment.name: deployment for deployment in deployments.declared_deployments(ROOT / "prefect.yaml")}
    assert served["tuning"].schedules == []
    assert served["tuning"].parameters["apply"] is False


def test_a_limit_of_the_call_replaces_both_limits_of_params_yaml() -> None:
    params = params_with({"tune": {"trials": 40, "minutes": 5.0}})
    assert (TuningOptions().budget(params).trials, TuningOptions().budget(params).minutes) == (40, 5.0)
    assert (TuningOptions(minutes=1).budget(params).trials, TuningOptions(minutes=1).budget(params).minutes) == (
        None,
        1,
    )
