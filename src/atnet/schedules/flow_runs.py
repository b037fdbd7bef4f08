"""Deployments and their runs: whether schedules start runs on time."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from atnet.schedules.prefect_api import PrefectApi

ACTIVE = ("PENDING", "RUNNING", "CANCELLING")
"""States in which a run holds the slot of its deployment."""
FLOW_FOLDER = "pipelines/"
"""Folder of this project's flows; the same server may have deployments of other programs."""
LIMIT_NAME = "deployment:"
"""Prefect names the limit of a deployment `deployment:ID`."""


@dataclass(frozen=True, slots=True)
class Deployment:
    """A deployment on the server."""

    id: str
    name: str
    ready: bool
    """Whether a process has recently polled for its runs."""
    work_pool: str | None
    paused: bool
    entrypoint: str
    """File and name of the flow."""

    @property
    def is_served_here(self) -> bool:
        """Whether it is one of this project's, served without a work pool."""
        return self.work_pool is None and self.entrypoint.startswith(FLOW_FOLDER)


@dataclass(frozen=True, slots=True)
class FlowRun:
    """A run on the server."""

    id: str
    name: str
    deployment: str
    """Name of its deployment; for a run without one, the name of its flow or an empty string."""
    deployment_id: str | None
    state: str
    """Type of its state: SCHEDULED, PENDING, RUNNING, FAILED, ..."""
    since: datetime
    """When it entered the state."""
    message: str
    expected: datetime
    """When it was scheduled to start."""
    scheduled: bool
    """Whether a schedule created it, not a user or another flow."""


@dataclass(frozen=True, slots=True)
class HeldSlots:
    """Slots of a deployment that no run holds."""

    deployment: str
    limit_id: str
    active: int
    """Slots that the server counts as taken."""
    runs: int
    """Runs that hold one."""


def read_deployments(api: PrefectApi) -> dict[str, Deployment]:
    """Return the deployments by id."""
    return {row["id"]: _deployment(row) for row in api.filter("deployments", {})}


def read_due_runs(api: PrefectApi, deployments: dict[str, Deployment], now: datetime) -> list[FlowRun]:
    """Return the runs that should have started and have not, the oldest first."""
    wanted = {"state": {"type": {"any_": ["SCHEDULED"]}}, "expected_start_time": {"before_": now.isoformat()}}
    return _runs(api, deployments, {"flow_runs": wanted, "sort": "EXPECTED_START_TIME_ASC"})


def read_active_runs(api: PrefectApi, deployments: dict[str, Deployment]) -> list[FlowRun]:
    """Return the runs of all deployments that hold a slot."""
    wanted = {"state": {"type": {"any_": list(ACTIVE)}}}
    return [run for run in _runs(api, deployments, {"flow_runs": wanted}) if run.deployment_id in deployments]


def read_failed_runs(api: PrefectApi, deployments: dict[str, Deployment], since: datetime) -> list[FlowRun]:
    """Return the runs that failed or crashed since then, the oldest first."""
    wanted = {"state": {"type": {"any_": ["FAILED", "CRASHED"]}}, "end_time": {"after_": since.isoformat()}}
    runs = _runs(api, deployments, {"flow_runs": wanted, "sort": "END_TIME_DESC"})
    return sorted(runs, key=lambda run: run.since)


def late_by_an_interval(due: Sequence[FlowRun]) -> dict[str, list[FlowRun]]:
    """Return the late runs of each deployment of which at least two are due: one is late by more than an interval.

    Args:
        due: of `read_due_runs`.
    """
    by_deployment: dict[str, list[FlowRun]] = {}
    for run in due:
        if run.scheduled and run.deployment_id is not None:
            by_deployment.setdefault(run.deployment, []).append(run)
    return {name: runs for name, runs in by_deployment.items() if len(runs) > 1}


def stuck_in_pending(active: Sequence[FlowRun], now: datetime, limit: timedelta) -> list[FlowRun]:
    """Return the runs that have been PENDING for longer than the limit."""
    return [run for run in active if run.state == "PENDING" and now - run.since > limit]


def held_slots(api: PrefectApi, deployments: dict[str, Deployment]) -> list[HeldSlots]:
    """Return the slots that no run holds. Looks twice, so that a run that ends meanwhile does not count."""
    first = {slots.limit_id for slots in _held_slots(api, deployments)}
    return [slots for slots in _held_slots(api, deployments) if slots.limit_id in first] if first else []


def _held_slots(api: PrefectApi, deployments: dict[str, Deployment]) -> Iterator[HeldSlots]:
    limits = api.filter("v2/concurrency_limits", {})
    active = read_active_runs(api, deployments)
    for limit in limits:
        deployment = deployments.get(str(limit["name"]).removeprefix(LIMIT_NAME))
        if deployment is None:
            continue
        runs = sum(run.deployment_id == deployment.id for run in active)
        if limit["active_slots"] > runs:
            yield HeldSlots(deployment.name, limit["id"], limit["active_slots"], runs)


def _runs(api: PrefectApi, deployments: dict[str, Deployment], body: dict[str, Any]) -> list[FlowRun]:
    return [_run(row, deployments) for row in api.filter("flow_runs", body)]


def _deployment(row: dict[str, Any]) -> Deployment:
    return Deployment(
        id=row["id"],
        name=row["name"],
        ready=row.get("status") == "READY",
        work_pool=row.get("work_pool_name"),
        paused=row["paused"],
        entrypoint=row.get("entrypoint") or "",
    )


def _run(row: dict[str, Any], deployments: dict[str, Deployment]) -> FlowRun:
    state = row.get("state") or {}
    deployment = deployments.get(row["deployment_id"]) if row["deployment_id"] else None
    return FlowRun(
        id=row["id"],
        name=row["name"],
        deployment=deployment.name if deployment else "",
        deployment_id=row["deployment_id"],
        state=row["state_type"],
        since=parse_time(state.get("timestamp") or row["updated"]),
        message=state.get("message") or "",
        expected=parse_time(row.get("expected_start_time") or row["created"]),
        scheduled=bool(row.get("auto_scheduled")),
    )


def parse_time(text: str) -> datetime:
    """Parse a time of Prefect's API, which is in UTC."""
    return datetime.fromisoformat(text.replace("Z", "+00:00"))
