"""The release flow: judge the published model, ask a person where that is wanted, promote or reject.

The twin of `atnet release`, `atnet approve` and `atnet reject`. Run it alone: `python -m pipelines.release`.
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
from atnet.environment import prepare_process
from atnet.errors import AtnetError
from atnet.release.approval import approve, reject
from atnet.release.gate_inputs import ReleaseOptions
from atnet.release.workflow import ReleaseOutcome, release
from atnet.storage import load_params
from pipelines.dvc_stage import pipeline_lock

ARTIFACT_KEY = "release-verdict"
WAITING = "WaitingForApproval"
STATES = {"promoted": "Promoted", "unchanged": "Unchanged", "rejected": "Rejected", "waiting": WAITING}


class Decision(RunInput):
    """What Prefect's page asks a person for."""

    approve: bool
    """Promote the version."""
    why: str = ""
    """The reason, for the ledger."""
    who: str = ""
    """Who decides, for the ledger."""


@task(cache_policy=NO_CACHE)
def judge_model(isolated: bool, allow_unchecked: bool, again: bool) -> ReleaseOutcome:
    """Register, judge and, if that is all that is asked for, promote."""
    options = ReleaseOptions(isolated=isolated, allow_unchecked=allow_unchecked, again=again)
    outcome = release(load_params(), Path.cwd(), options, tell=get_run_logger().info)
    get_run_logger().info(outcome.told)
    return outcome


@task(cache_policy=NO_CACHE)
def show_verdict(outcome: ReleaseOutcome) -> None:
    """Leave the gate's checks as a table in Prefect's UI."""
    if outcome.record is not None:
        create_table_artifact(
            key=ARTIFACT_KEY,
            table=[asdict(check) for check in outcome.record.verdict.checks],
            description=f"{outcome.told} GateResult: [{outcome.record.file.name}]({outcome.record.file.as_uri()}).",
        )


@task(cache_policy=NO_CACHE)
def decide(version: int, decision: Decision) -> str:
    """Carry out what the person said."""
    act = approve if decision.approve else reject
    who = f"{decision.who or 'somebody'} in Prefect"
    return act(load_params(), Path.cwd(), version, why=decision.why, who=who, tell=get_run_logger().info)


@flow(name="release", persist_result=True)
def release_flow(isolated: bool = False, allow_unchecked: bool = False, again: bool = False) -> State:
    """Judge the published model; where a person must approve, wait for one."""
    prepare_process()
    try:
        with pipeline_lock(Path.cwd()):
            outcome = judge_model(isolated, allow_unchecked, again)
        show_verdict(outcome)
        if outcome.result == "waiting" and deployment.id:
            # The process ends here and the flow starts anew when somebody answers: the registry knows what waits.
            decision = suspend_flow_run(wait_for_input=Decision, timeout=_seconds_left(outcome))
            return Completed(name="Decided", message=decide(outcome.version, decision))
    except AtnetError as error:
        return Failed(message=str(error))
    return Completed(name=STATES[outcome.result], message=outcome.told)


def _seconds_left(outcome: ReleaseOutcome) -> int:
    """Count the seconds until the wait is over; the registry turns it into a no by itself."""
    assert outcome.deadline is not None
    return max(1, int((outcome.deadline - datetime.now(UTC)).total_seconds()))


def main() -> int:
    """Run the flow here and now; the exit codes are those of `atnet release`."""
    state = release_flow(return_state=True)
    print(f"release: {state.message}", file=sys.stdout if state.is_completed() else sys.stderr)
    codes = {STATES[result]: code for result, code in EXIT_CODES.items()}
    return codes.get(state.name or "", 0) if state.is_completed() else 1


if __name__ == "__main__":
    sys.exit(main())
