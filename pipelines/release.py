"""The release flow: run the gate on the published model, wait for approval if that is required, promote or reject.

It does what `atnet release`, `atnet approve` and `atnet reject` do. Run it without a deployment:
`python -m pipelines.release`.
"""

import sys
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from prefect import flow, get_run_logger, task
from prefect.artifacts import create_table_artifact
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.flow_runs import suspend_flow_run
from prefect.input import RunInput
from prefect.runtime import deployment
from prefect.states import Completed, Failed

from atnet.cli.release import EXIT_CODES
from atnet.errors import AtnetError
from atnet.file_system import file_system_errors
from atnet.release.approval import UserDecision, approve_version, reject_version
from atnet.release.gate_inputs import IsolationOptions
from atnet.release.workflow import ReleaseOptions, ReleaseOutcome, release
from atnet.storage import load_params
from pipelines.dvc_stage import pipeline_lock
from pipelines.tasks import prepare_run, run_flow

ARTIFACT_KEY = "gate-result"
STATE_NAMES = {
    "promoted": "Promoted",
    "unchanged": "Unchanged",
    "rejected": "Rejected",
    "pending_approval": "PendingApproval",
}


class ApprovalInput(RunInput):
    """The form that Prefect's UI shows to the user."""

    approve: bool
    """Promote the version."""
    reason: str = ""
    """The reason, for the ledger."""
    user: str = ""
    """Who decides, for the ledger."""


@task(cache_policy=NO_CACHE)
def release_model(isolated: bool, allow_unchecked: bool, again: bool) -> ReleaseOutcome:
    """Register the model, run the gate and, unless approval is required, act on the result."""
    options = ReleaseOptions(IsolationOptions(isolated, allow_unchecked), again=again)
    outcome = release(load_params(), Path.cwd(), options, now=datetime.now(UTC))
    get_run_logger().info(outcome.message)
    return outcome


@task(cache_policy=NO_CACHE)
def show_gate_result(outcome: ReleaseOutcome) -> None:
    """Show the gate's checks as a table in Prefect's UI."""
    if outcome.record is not None:
        file = outcome.record.file
        create_table_artifact(
            key=ARTIFACT_KEY,
            table=[asdict(check) for check in outcome.record.result.checks],
            description=f"{outcome.message} Details: [{file.name}]({file.as_uri()}).",
        )


@task(cache_policy=NO_CACHE)
def apply_decision(version: int, approval: ApprovalInput) -> str:
    """Promote or reject the version, as the user decided."""
    decision = UserDecision(version, approval.reason, f"{approval.user or 'a user'} in Prefect")
    decide = approve_version if approval.approve else reject_version
    return decide(load_params(), Path.cwd(), decision, now=datetime.now(UTC))


@flow(name="release", persist_result=True)
def release_flow(isolated: bool = False, allow_unchecked: bool = False, again: bool = False) -> State:
    """Run the gate on the published model; wait for approval if that is required."""
    prepare_run()
    try:
        with file_system_errors(), pipeline_lock(Path.cwd()):
            outcome = release_model(isolated, allow_unchecked, again)
        show_gate_result(outcome)
        if outcome.result == "pending_approval" and deployment.id:
            # The process ends here, and the flow starts again when a user answers: the registry holds the state.
            approval = suspend_flow_run(wait_for_input=ApprovalInput, timeout=_seconds_left(outcome))
            return Completed(name="Decided", message=apply_decision(outcome.version, approval))
    except AtnetError as error:
        return Failed(message=str(error))
    return Completed(name=STATE_NAMES[outcome.result], message=outcome.message)


def _seconds_left(outcome: ReleaseOutcome) -> int:
    """Return the seconds until the approval deadline, after which the version is rejected automatically."""
    assert outcome.deadline is not None
    return max(1, int((outcome.deadline - datetime.now(UTC)).total_seconds()))


def main() -> int:
    """Run the flow in this process; the exit codes are those of `atnet release`."""
    state = run_flow(release_flow, "release")
    if state is None or not state.is_completed():
        return 1
    codes = {STATE_NAMES[result]: code for result, code in EXIT_CODES.items()}
    return codes.get(state.name or "", 0)


if __name__ == "__main__":
    sys.exit(main())
