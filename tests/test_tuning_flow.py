"""The tuning flow: what it brings up to date, what it hands to the search, and how it ends."""

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
            "told": "best validation loss 0.3",
            "table": ["trial", "    1"],
            "best": None,
            "diff": "",
            "applied": False,
            "interrupted": False,
            "link": "run 1",
            "fault": None,
            **changed,
        }
    )


class Acts:
    """Stands in for the tasks and writes down what was asked of them."""

    def __init__(self) -> None:
        self.called: list[object] = []
        self.found: TuningOutcome | AtnetError = outcome()
        self.failing: str | None = None

    def stage_task(self, stage: str, return_state: bool) -> State:
        self.called.append(stage)
        return Failed(message=f"{stage}: no") if stage == self.failing else Completed()

    def search(self, options: TuningOptions) -> TuningOutcome:
        self.called.append(options)
        if isinstance(self.found, AtnetError):
            raise self.found
        return self.found

    def show_trials(self, found: TuningOutcome) -> None:
        self.called.append("show")


@pytest.fixture
def acts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Acts:
    acts = Acts()
    for name in ("stage_task", "search", "show_trials"):
        monkeypatch.setattr(tuning, name, getattr(acts, name))
    for name in ("params.yaml", "dvc.yaml"):
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    monkeypatch.chdir(tmp_path)
    return acts


def test_the_flow_makes_what_training_reads_and_searches(acts: Acts) -> None:
    state = tuning.tuning.fn(trials=7, minutes=2.5, jobs=2)
    assert state.name == "Searched"
    assert state.message == "best validation loss 0.3"
    stages = ["sample", "validate", "split", "tokenize", "vectors"]
    assert acts.called == [*stages, TuningOptions(7, 2.5, 2, False), "show"]


def test_the_flow_says_that_it_changed_params_yaml(acts: Acts) -> None:
    acts.found = outcome(applied=True, diff="-a\n+b\n")
    assert tuning.tuning.fn(apply=True).name == "Applied"


def test_a_stage_that_fails_ends_the_flow_before_the_search(acts: Acts) -> None:
    acts.failing = "tokenize"
    state = tuning.tuning.fn()
    assert state.is_failed()
    assert state.message == "tokenize: no"
    assert acts.called[-1] == "tokenize"


@pytest.mark.parametrize("found", [AtnetError("Trial 0 failed"), outcome(fault=StoreError("no answer"))])
def test_a_fault_fails_the_flow_with_its_message(acts: Acts, found: TuningOutcome | AtnetError) -> None:
    acts.found = found
    state = tuning.tuning.fn()
    assert state.is_failed()
    assert state.message in ("Trial 0 failed", "no answer")


def test_the_deployment_has_no_schedule_and_changes_nothing_by_itself() -> None:
    served = {one.name: one for one in deployments.declared_deployments(ROOT / "prefect.yaml")}
    assert served["tuning"].schedules == []
    assert served["tuning"].parameters["apply"] is False


def test_a_limit_of_the_call_puts_those_of_params_yaml_aside() -> None:
    params = params_with({"tune": {"trials": 40, "minutes": 5.0}})
    assert (TuningOptions().budget(params).trials, TuningOptions().budget(params).minutes) == (40, 5.0)
    assert (TuningOptions(minutes=1).budget(params).trials, TuningOptions(minutes=1).budget(params).minutes) == (
        None,
        1,
    )
