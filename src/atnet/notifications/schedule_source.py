"""Observations from Prefect's server: failed runs, late schedules, runs that stay PENDING."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from atnet.config import OperateConfig
from atnet.errors import StoreError
from atnet.notifications.alert import Alert, Condition, Observations
from atnet.schedules.flow_runs import (
    FlowRun,
    late_by_an_interval,
    read_active_runs,
    read_deployments,
    read_due_runs,
    read_failed_runs,
    stuck_in_pending,
)
from atnet.schedules.prefect_api import PrefectApi, shown_address

LOOK_BACK = timedelta(days=3)
"""Failed runs that are older were notified long ago, or are not worth a notification."""


def observe_prefect(api: PrefectApi, config: OperateConfig) -> Observations:
    """Observe whether the server answers."""
    try:
        api.post("deployments/count", {})
        reason = ""
    except StoreError as error:
        reason = str(error)
    condition = Condition(
        key="Prefect",
        active=bool(reason),
        title="Prefect's server does not answer, so no schedule starts a run",
        text=reason,
        ended=f"Prefect's server answers again at {shown_address(api)}",
        grace_seconds=config.grace_seconds,
    )
    return Observations(conditions=(condition,))


def observe_schedules(api: PrefectApi, config: OperateConfig, now: datetime) -> Observations:
    """Observe the runs.

    Raises:
        StoreError: if the server does not answer.
    """
    deployments = read_deployments(api)
    failed = read_failed_runs(api, deployments, now - LOOK_BACK)
    pending = stuck_in_pending(read_active_runs(api, deployments), now, timedelta(minutes=config.max_pending_minutes))
    late = late_by_an_interval(read_due_runs(api, deployments, now))
    return Observations(
        events=tuple(_failed(run) for run in failed),
        conditions=(*_late(late), *(_pending(run, config) for run in pending)),
    )


def _failed(run: FlowRun) -> Alert:
    how = "crashed" if run.state == "CRASHED" else "failed"
    return Alert(f"run {run.id}", "failure", f"{run.deployment or 'Flow run'} {run.name} {how}", run.message)


def _late(late: dict[str, list[FlowRun]]) -> Iterator[Condition]:
    for name, runs in late.items():
        text = (
            f"{len(runs)} runs of its schedule are due, the oldest since {runs[0].expected:%Y-%m-%d %H:%M} UTC. "
            "Start `make up`; `atnet doctor` shows what blocks them."
        )
        title = f"{name} is late by more than one interval"
        yield Condition(f"late {name}", True, title, text, f"{name} is no longer late")


def _pending(run: FlowRun, config: OperateConfig) -> Condition:
    title = f"{run.deployment} {run.name} has been PENDING for over {config.max_pending_minutes:g} minutes"
    text = "It holds the slot of its deployment. `atnet doctor --fix` ends it."
    return Condition(f"pending {run.id}", True, title, text, f"{run.deployment} {run.name} is no longer PENDING")
