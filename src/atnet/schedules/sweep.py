"""Clean up what a kill or downtime left on the Prefect server, so that the next scheduled run can start.

Three things block a deployment with a concurrency limit of 1: a run that stays PENDING or RUNNING although its process
has gone, a slot that no run holds, and after a downtime the queue of all runs that were missed.
"""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal

from atnet.config import Params
from atnet.schedules.flow_runs import (
    FlowRun,
    HeldSlots,
    held_slots,
    read_active_runs,
    read_deployments,
    read_due_runs,
    stuck_in_pending,
)
from atnet.schedules.live_runs import is_run_alive, remove_left_over_locks
from atnet.schedules.prefect_api import PrefectApi

logger = logging.getLogger(__name__)

MIN_AGE = timedelta(seconds=60)
"""A run that has just become RUNNING may not have locked its file yet."""
SCORING = "scoring"
"""The deployment to which `score.after_downtime` applies."""
NAMES = {"CRASHED": "Crashed", "CANCELLED": "Cancelled"}


@dataclass(frozen=True, slots=True)
class EndRun:
    """A run to be ended."""

    run: FlowRun
    state: Literal["CRASHED", "CANCELLED"]
    reason: str

    def describe(self) -> str:
        """Describe it in one line."""
        return f"{self.run.deployment or 'run'} {self.run.name}: {self.reason}"


@dataclass(frozen=True, slots=True)
class Sweep:
    """The runs to end and the slots to free."""

    runs: tuple[EndRun, ...]
    slots: tuple[HeldSlots, ...]

    def describe(self) -> list[str]:
        """Describe each in one line."""
        slots = [f"{s.deployment}: {s.active - s.runs} slots are held by no run" for s in self.slots]
        return [*(end.describe() for end in self.runs), *slots]


def find_sweep(
    api: PrefectApi, root: Path, now: datetime, *, max_pending: timedelta, keep_missed: Sequence[str] = ()
) -> Sweep:
    """Find the runs to end and the slots to free.

    Args:
        api: the server.
        root: the project folder, where live runs lock their files.
        now: the time.
        max_pending: how long a run may be PENDING.
        keep_missed: names of the deployments of which every missed run starts.

    Raises:
        StoreError: if the server does not answer.
    """
    deployments = read_deployments(api)
    # Deployments of a work pool run elsewhere, and their worker looks after them. Those of other programs lock no file.
    own = {key: deployment for key, deployment in deployments.items() if deployment.is_served_here}
    active = [run for run in read_active_runs(api, own) if not is_run_alive(root, run.id)]
    due = [run for run in read_due_runs(api, own, now) if run.deployment not in keep_missed]
    ends = (*_dead(active, now, max_pending), *_missed(due))
    return Sweep(ends, tuple(held_slots(api, own)))


def find_project_sweep(api: PrefectApi, params: Params, root: Path, now: datetime) -> Sweep:
    """Find the runs to end and the slots to free in a project, by its configured limits.

    Raises:
        StoreError: if the server does not answer.
    """
    # Then each missed run scores its own day.
    keep = (SCORING,) if params.score.after_downtime == "each" else ()
    return find_sweep(
        api, root, now, max_pending=timedelta(minutes=params.operate.max_pending_minutes), keep_missed=keep
    )


def without_slots(sweep: Sweep) -> Sweep:
    """Return the part of a sweep that is safe while runs start: a slot may be taken before its run is seen."""
    return Sweep(sweep.runs, ())


def apply_sweep(api: PrefectApi, root: Path, sweep: Sweep) -> None:
    """End the runs, which frees their slots, and then free the slots that no run holds.

    Raises:
        StoreError: if the server does not answer.
    """
    for end in sweep.runs:
        state = {"type": end.state, "name": NAMES[end.state], "message": end.reason}
        api.post(f"flow_runs/{end.run.id}/set_state", {"state": state, "force": True})
        logger.warning("Ended: %s", end.describe())
    for slots in sweep.slots:
        api.patch(f"v2/concurrency_limits/{slots.limit_id}", {"active_slots": slots.runs})
        logger.warning("Freed: %d slots of %s that no run held", slots.active - slots.runs, slots.deployment)
    remove_left_over_locks(root)


def _dead(active: Sequence[FlowRun], now: datetime, max_pending: timedelta) -> Iterator[EndRun]:
    """Yield the runs that no process is working on.

    Args:
        active: runs without a live process.
        now: the time.
        max_pending: how long a run may be PENDING.
    """
    for run in stuck_in_pending(active, now, max_pending):
        yield EndRun(run, "CRASHED", f"It was PENDING for more than {max_pending.total_seconds() / 60:g} minutes.")
    for run in active:
        if run.state != "PENDING" and now - run.since > MIN_AGE:
            yield EndRun(run, "CRASHED", "Its process has ended without a result, perhaps killed.")


def _missed(due: Sequence[FlowRun]) -> Iterator[EndRun]:
    """Yield all but the newest missed run of each deployment.

    Args:
        due: the oldest first; runs that a user or a flow has started are kept.
    """
    newest = {run.deployment_id: run for run in due if run.scheduled and run.deployment_id}
    for run in due:
        if run.scheduled and run.deployment_id and run is not newest[run.deployment_id]:
            yield EndRun(run, "CANCELLED", "It was missed, and a newer run of the same schedule is due.")
