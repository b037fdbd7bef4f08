"""Runs that a killed command of this machine left open: told from busy ones by the process that stands on them."""

import os
import socket

from mlflow.entities import Run

from atnet.subprocesses import is_alive
from atnet.tracking.store import TrackingStore
from atnet.tracking.tags import NOTE_TAG, PROCESS_TAG, REBUILT_TAG

LEFT_OPEN = "What wrote this run was killed before it could end it."
PUBLICATION_KILLED = "The publication was cut short. Publishing this model again completes the run."
NOTES = frozenset({LEFT_OPEN, PUBLICATION_KILLED})
RUNS_AT_ONCE = 200


def close_orphaned_runs(store: TrackingStore, *, but: str) -> None:
    """End the runs that a killed training, search or publication on this machine left open, and say so on them."""
    runs = store.client.search_runs([store.experiment_id], "attributes.status = 'RUNNING'", max_results=RUNS_AT_ONCE)
    for run in runs:
        if run.info.run_id != but and _is_of_this_machine(run) and not is_at_work(run):
            note = PUBLICATION_KILLED if REBUILT_TAG in run.data.tags else LEFT_OPEN
            store.client.set_tag(run.info.run_id, NOTE_TAG, note)
            store.client.set_terminated(run.info.run_id, "KILLED")


def resume_run(store: TrackingStore, run: Run) -> None:
    """Go on in a run that was left open: this process stands on it now, and it no longer says that it was killed."""
    store.client.update_run(run.info.run_id, status="RUNNING")
    store.client.set_tag(run.info.run_id, PROCESS_TAG, this_process())
    if run.data.tags.get(NOTE_TAG) in NOTES:
        store.client.delete_tag(run.info.run_id, NOTE_TAG)


def this_process() -> str:
    """Name this machine and process."""
    return f"{socket.gethostname()}:{os.getpid()}"


def is_at_work(run: Run) -> bool:
    """Tell whether the run's process is another one of this machine and lives."""
    process = int(run.data.tags.get(PROCESS_TAG, ":0").rpartition(":")[2])
    if run.info.status != "RUNNING" or not _is_of_this_machine(run) or process in (0, os.getpid()):
        return False
    return is_alive(process)


def _is_of_this_machine(run: Run) -> bool:
    return run.data.tags.get(PROCESS_TAG, "").startswith(f"{socket.gethostname()}:")
