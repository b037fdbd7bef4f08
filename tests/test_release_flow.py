"""The release flow's logic, without a Prefect server and without a registry."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from atnet.errors import AtnetError, ReleaseError
from atnet.release.workflow import ReleaseOutcome
from pipelines import release
from pipelines.release import Decision


class Acts:
    """Stands in for the tasks and for Prefect."""

    def __init__(self) -> None:
        self.called: list[str] = []
        self.outcome = ReleaseOutcome("promoted", 4, "version 4 is champion.")
        self.error: AtnetError | None = None
        self.answer = Decision(approve=True)

    def judge_model(self, *_: bool) -> ReleaseOutcome:
        self.called.append("judge")
        if self.error:
            raise self.error
        return self.outcome

    def show_verdict(self, outcome: ReleaseOutcome) -> None:
        self.called.append("show")

    def suspend_flow_run(self, wait_for_input: type[Decision], timeout: int) -> Decision:
        self.called.append(f"wait {round(timeout / 3600)} h")
        return self.answer

    def decide(self, version: int, decision: Decision) -> str:
        self.called.append(f"{'approve' if decision.approve else 'reject'} {version}")
        return "version 4 is champion."


@pytest.fixture
def acts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Acts:
    acts = Acts()
    for name in ("judge_model", "show_verdict", "suspend_flow_run", "decide"):
        monkeypatch.setattr(release, name, getattr(acts, name))
    monkeypatch.chdir(tmp_path)
    return acts


def _as_deployment(monkeypatch: pytest.MonkeyPatch, yes: bool) -> None:
    class Runtime:
        id = "d1" if yes else None

    monkeypatch.setattr(release, "deployment", Runtime)


def _waiting() -> ReleaseOutcome:
    return ReleaseOutcome("waiting", 4, "version 4 waits.", deadline=datetime.now(UTC) + timedelta(hours=5))


def test_the_state_names_how_the_release_ended(acts: Acts) -> None:
    state: Any = release.release_flow.fn()
    assert (state.name, state.message) == ("Promoted", "version 4 is champion.")
    assert acts.called == ["judge", "show"]


@pytest.mark.parametrize(("approve", "act"), [(True, "approve 4"), (False, "reject 4")])
def test_as_a_deployment_a_person_is_asked_until_the_deadline(
    acts: Acts, monkeypatch: pytest.MonkeyPatch, approve: bool, act: str
) -> None:
    _as_deployment(monkeypatch, True)
    acts.outcome, acts.answer = _waiting(), Decision(approve=approve)
    assert release.release_flow.fn().name == "Decided"
    assert acts.called == ["judge", "show", "wait 5 h", act]


def test_run_by_hand_the_flow_ends_waiting(acts: Acts, monkeypatch: pytest.MonkeyPatch) -> None:
    _as_deployment(monkeypatch, False)
    acts.outcome = _waiting()
    assert release.release_flow.fn().name == "WaitingForApproval"
    assert acts.called == ["judge", "show"]


def test_a_fault_fails_the_flow_with_its_message(acts: Acts) -> None:
    acts.error = ReleaseError("The champion changed meanwhile.")
    state = release.release_flow.fn()
    assert state.is_failed()
    assert state.message == "The champion changed meanwhile."


@pytest.mark.parametrize(
    ("result", "code"), [("promoted", 0), ("unchanged", 0), ("rejected", 3), ("waiting", 4), ("failed", 1)]
)
def test_the_flow_by_hand_has_the_exit_codes_of_the_command(
    acts: Acts, monkeypatch: pytest.MonkeyPatch, result: str, code: int
) -> None:
    if result == "failed":
        acts.error = ReleaseError("no")
    else:
        acts.outcome = ReleaseOutcome(result, 4, "told", deadline=_waiting().deadline)  # type: ignore[arg-type]
    monkeypatch.setattr(release, "release_flow", lambda return_state: release_flow.fn())
    assert release.main() == code


release_flow = release.release_flow
