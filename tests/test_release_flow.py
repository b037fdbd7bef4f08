"""The release flow on a real registry, without a Prefect server: its states, what it shows and what a user decides."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from atnet.errors import AtnetError, ReleaseError
from atnet.registry.versions import CHALLENGER, CHAMPION, PREVIOUS, aliases
from atnet.release.gate_inputs import IsolationOptions
from atnet.release.workflow import ReleaseOptions, ReleaseOutcome
from atnet.release.workflow import release as release_command
from pipelines import release
from pipelines.release import ApprovalInput
from tests.releases import ReleaseProject, release_project

RELEASE_FLOW = release.release_flow


class FlowRun:
    """The release flow of a project that has a champion; Prefect's page is answered by the test."""

    def __init__(self, project: ReleaseProject) -> None:
        self.project = project
        self.shown: list[ReleaseOutcome] = []
        self.approval = ApprovalInput(approve=True, user="ana")
        self.timeouts: list[int] = []
        self.error: AtnetError | None = None

    def run(self, **parameters: bool) -> Any:
        return RELEASE_FLOW.fn(**parameters)

    def release_model(self, isolated: bool, allow_unchecked: bool, again: bool) -> ReleaseOutcome:
        if self.error:
            raise self.error
        options = ReleaseOptions(IsolationOptions(isolated, allow_unchecked), again=again)
        return release_command(self.project.params, self.project.root, options, now=datetime.now(UTC))

    def suspend_flow_run(self, wait_for_input: type[ApprovalInput], timeout: int) -> ApprovalInput:
        self.timeouts.append(timeout)
        return self.approval


@pytest.fixture
def flow_run(tmp_path: Path, empty_store: Path, monkeypatch: pytest.MonkeyPatch) -> FlowRun:
    flow_run = FlowRun(release_project(tmp_path, empty_store, monkeypatch))
    monkeypatch.setattr(release, "release_model", flow_run.release_model)
    monkeypatch.setattr(release, "show_gate_result", flow_run.shown.append)
    monkeypatch.setattr(release, "suspend_flow_run", flow_run.suspend_flow_run)
    monkeypatch.setattr(release, "apply_decision", release.apply_decision.fn)
    flow_run.project.release("one")
    flow_run.project.model = "two"
    return flow_run


def _as_deployment(monkeypatch: pytest.MonkeyPatch) -> None:
    class Deployment:
        id = "d1"

    monkeypatch.setattr(release, "deployment", Deployment)


def test_the_state_names_how_the_release_ended(flow_run: FlowRun) -> None:
    state = flow_run.run()
    assert (state.name, state.message) == ("Promoted", "version 2 is champion, replacing version 1.")
    assert [outcome.result for outcome in flow_run.shown] == ["promoted"]
    assert aliases(flow_run.project.registry) == {CHAMPION: 2, PREVIOUS: 1}


@pytest.mark.parametrize(("approve", "champion", "state"), [(True, 2, "promoted"), (False, 1, "rejected_by_user")])
def test_as_a_deployment_a_user_is_asked_until_the_deadline_and_decides(
    flow_run: FlowRun, monkeypatch: pytest.MonkeyPatch, approve: bool, champion: int, state: str
) -> None:
    _as_deployment(monkeypatch)
    flow_run.project.require_approval()
    flow_run.approval = ApprovalInput(approve=approve, user="ana")
    assert flow_run.run().name == "Decided"
    hours = flow_run.project.params.release.approval_timeout_hours
    assert [round(timeout / 3600) for timeout in flow_run.timeouts] == [hours]
    assert [outcome.result for outcome in flow_run.shown] == ["pending_approval"]
    assert aliases(flow_run.project.registry)[CHAMPION] == champion
    assert flow_run.project.state(2) == state


def test_a_flow_run_by_hand_ends_pending_approval(flow_run: FlowRun) -> None:
    flow_run.project.require_approval()
    assert flow_run.run().name == "PendingApproval"
    assert flow_run.timeouts == []
    assert aliases(flow_run.project.registry) == {CHAMPION: 1, CHALLENGER: 2}


def test_an_error_fails_the_flow_with_its_message(flow_run: FlowRun) -> None:
    flow_run.error = ReleaseError("The champion changed.")
    state = flow_run.run()
    assert state.is_failed()
    assert state.message == "The champion changed."


@pytest.mark.slow
@pytest.mark.parametrize(
    ("result", "code"), [("promoted", 0), ("unchanged", 0), ("rejected", 3), ("pending_approval", 4), ("failed", 1)]
)
def test_the_flow_by_hand_has_the_exit_codes_of_the_command(
    flow_run: FlowRun, monkeypatch: pytest.MonkeyPatch, result: str, code: int
) -> None:
    if result == "failed":
        flow_run.error = ReleaseError("no")
    elif result == "unchanged":
        flow_run.project.model = "one"
    elif result == "pending_approval":
        flow_run.project.require_approval()
    flow_run.project.decision = "reject" if result == "rejected" else "promote"
    monkeypatch.setattr(release, "release_flow", lambda return_state: flow_run.run())
    assert release.main() == code
