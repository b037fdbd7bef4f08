"""The rule for missed runs: after a downtime, only the newest run of a schedule does its work.

The start-up sweep cancels the older ones before they start. This rule is for those that the sweep cannot see: when a
laptop wakes up, Prefect starts every run that was missed.
"""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterDeploymentId,
    FlowRunFilterExpectedStartTime,
)
from prefect.client.schemas.objects import FlowRun
from prefect.runtime import deployment, flow_run

SKIPPED = "Skipped"
"""Name of the final state of a run that leaves its work to a newer one."""


def newer_run_is_due() -> bool:
    """Return whether this run was missed and a later one of the same schedule is due too."""
    if not is_scheduled():
        return False
    own = UUID(flow_run.id)
    after = flow_run.scheduled_start_time + timedelta(microseconds=1)
    due = FlowRunFilter(
        deployment_id=FlowRunFilterDeploymentId(any_=[UUID(deployment.id)]),
        expected_start_time=FlowRunFilterExpectedStartTime.model_validate(
            {"after_": after, "before_": datetime.now(UTC)}
        ),
    )
    with get_client(sync_client=True) as client:
        runs = client.read_flow_runs(flow_run_filter=due)
    return any(run.auto_scheduled and run.id != own for run in runs)


def is_scheduled() -> bool:
    """Return whether a schedule, and not a user, created this run."""
    if not deployment.id:
        return False
    with get_client(sync_client=True) as client:
        run: FlowRun = client.read_flow_run(UUID(flow_run.id))
    return run.auto_scheduled
