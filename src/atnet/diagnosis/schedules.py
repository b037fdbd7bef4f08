"""Checks of Prefect: that schedules start runs, and that nothing a kill left behind blocks them."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from atnet.diagnosis.finding import Finding
from atnet.errors import StoreError
from atnet.schedules.flow_runs import Deployment, read_active_runs, read_deployments, read_due_runs
from atnet.schedules.prefect_api import PrefectApi, shown_address
from atnet.schedules.sweep import Sweep

LATE = timedelta(seconds=60)
"""If a run has been due for this long, no process picks it up."""


def check_prefect(api: PrefectApi, now: datetime) -> Iterator[Finding]:
    """Check that scheduled flows will start: a run that no process picks up stays Late forever."""
    try:
        deployments = read_deployments(api)
        pools = api.filter("work_pools", {})
        busy = {run.deployment_id for run in read_active_runs(api, deployments)}
        # A run that waits for another one of its deployment is picked up when that has ended.
        late = [run for run in read_due_runs(api, deployments, now - LATE) if run.deployment_id not in busy]
    except StoreError:
        message = f"no server at {shown_address(api)}; schedules run only while `make up` or `make schedule` runs"
        yield Finding("Prefect", "note", message)
        return
    yield Finding("Prefect", "ok", f"{shown_address(api)} answers; deployments: {len(deployments)}")
    # A deployment that was polled a moment ago still counts as ready; its pool is more accurate.
    idle = {pool["name"] for pool in pools if pool.get("status") != "READY"}
    for deployment in deployments.values():
        if not deployment.ready or deployment.work_pool in idle:
            yield Finding("Prefect", "fault", _unserved(deployment))
    if late:
        names = ", ".join(sorted({run.deployment or run.name for run in late}))
        message = f"{len(late)} runs are Late ({names}): no process picks them up. Start `make up` or `make schedule`."
        yield Finding("Prefect", "fault", message)


def check_sweep(sweep: Sweep) -> Iterator[Finding]:
    """Report the runs and slots that block a deployment and that `atnet doctor --fix` ends."""
    for line in sweep.describe():
        yield Finding("runs", "fault", f"{line} `atnet doctor --fix` ends it.")
    if not sweep.describe():
        yield Finding("runs", "ok", "no run is stuck, and every slot is held by a live run")


def _unserved(deployment: Deployment) -> str:
    pool = deployment.work_pool
    start = f"`prefect worker start --pool {pool}`" if pool else "`make up` or `make schedule`"
    return f"no process serves the deployment {deployment.name}: its runs will stay Late. Start {start}."
