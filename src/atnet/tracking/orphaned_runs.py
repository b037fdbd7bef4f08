"""Runs that a killed command of this machine left open, distinguished from active ones by their process."""

import logging
import os
import socket
import time

from mlflow.entities import Run

from atnet.subprocesses import is_alive
from atnet.tracking.store import TrackingStore
from atnet.tracking.tags import NOTE_TAG, PROCESS_TAG, REBUILT_TAG

logger = logging.getLogger(__name__)

KILLED_NOTE = "The process that wrote this run was killed before it could finish the run."
PUBLISH_KILLED_NOTE = "Publishing was interrupted. Publish this model again to complete the run."
NOTES = frozenset({KILLED_NOTE, PUBLISH_KILLED_NOTE})
MAX_RUNS = 200
TAKEOVER_SECONDS = 120.0
"""After this time a process on another machine counts as killed; publishing takes a fraction of it."""
POLL_SECONDS = 1.0


def orphaned_runs(store: TrackingStore) -> list[Run]:
    """Return the open runs of training, tuning and publish commands of this machine that were killed."""
    runs = store.client.search_runs([store.experiment_id], "attributes.status = 'RUNNING'", max_results=MAX_RUNS)
    return [run for run in runs if _is_of_this_machine(run) and not is_active(run)]


def close_orphaned_runs(store: TrackingStore, *, active_run: str) -> None:
    """Mark the open runs of killed commands of this machine as killed."""
    for run in orphaned_runs(store):
        if run.info.run_id != active_run:
            note = PUBLISH_KILLED_NOTE if REBUILT_TAG in run.data.tags else KILLED_NOTE
            store.client.set_tag(run.info.run_id, NOTE_TAG, note)
            store.client.set_terminated(run.info.run_id, "KILLED")


def resume_run(store: TrackingStore, run: Run) -> None:
    """Take over a run that was left open, and remove the note that it was killed."""
    store.client.update_run(run.info.run_id, status="RUNNING")
    store.client.set_tag(run.info.run_id, PROCESS_TAG, this_process())
    if run.data.tags.get(NOTE_TAG) in NOTES:
        store.client.delete_tag(run.info.run_id, NOTE_TAG)


def wait_for_other_process(store: TrackingStore, run: Run) -> Run:
    """Wait until another process has finished writing a run, or until it seems to have been killed.

    Returns:
        The run as it is now.
    """
    end = time.monotonic() + TAKEOVER_SECONDS
    waiting = False
    while is_written_elsewhere(run) and time.monotonic() < end:
        if not waiting:
            logger.info("Waiting for %s, which is writing the same run.", run.data.tags[PROCESS_TAG].partition(":")[0])
            waiting = True
        time.sleep(POLL_SECONDS)
        run = store.client.get_run(run.info.run_id)
    return run


def this_process() -> str:
    """Return this machine and process."""
    return f"{socket.gethostname()}:{os.getpid()}"


def is_active(run: Run) -> bool:
    """Return whether the run is written by another live process of this machine."""
    process = int(run.data.tags.get(PROCESS_TAG, ":0").rpartition(":")[2])
    if run.info.status != "RUNNING" or not _is_of_this_machine(run) or process in (0, os.getpid()):
        return False
    return is_alive(process)


def is_written_elsewhere(run: Run) -> bool:
    """Return whether a process of another machine, or a live one of this machine, has the run open."""
    if run.info.status != "RUNNING" or PROCESS_TAG not in run.data.tags:
        return False
    return is_active(run) or not _is_of_this_machine(run)


def _is_of_this_machine(run: Run) -> bool:
    return run.data.tags.get(PROCESS_TAG, "").startswith(f"{socket.gethostname()}:")
