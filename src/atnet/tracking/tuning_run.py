"""A search in MLflow: a parent run, and a nested run per trial.

Neither has a model, so neither has the tag of a model's hash: `publish`, the registry and lineage search for that tag
and never see them. The tag `atnet.kind` distinguishes them from trainings.
"""

import logging
import tempfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from mlflow.entities import Metric, Run, RunTag

from atnet.errors import StoreError
from atnet.git_dvc import git_state
from atnet.redaction import redact
from atnet.tracking.orphaned_runs import is_written_elsewhere, this_process
from atnet.tracking.run_contents import curve_points
from atnet.tracking.store import TrackingStore, store_faults
from atnet.tracking.tags import NOTE_TAG, PROCESS_TAG, milliseconds, origin_tags, write_absent_params

KIND_TAG = "atnet.kind"
SEARCH_KIND, TRIAL_KIND = "search", "tuning trial"
KEY_TAG = "search.key"
"""Identifies the search, as its study does."""
NUMBER_TAG = "trial.number"
STATUS_TAG = "trial.status"
"""running, complete, pruned, failed or interrupted."""
PARENT_TAG = "mlflow.parentRunId"
RUN_STATUS = {"complete": "FINISHED", "pruned": "KILLED", "failed": "FAILED", "interrupted": "KILLED"}
ENDED = frozenset({"complete", "pruned", "failed"})
INTERRUPTED_NOTE = "Interrupted. The same settings are tried again under a later number."
logger = logging.getLogger(__name__)


class TuningRun:
    """The parent run of a search. If the store fails midway, there is a warning and the search goes on: see `error`."""

    def __init__(self, store: TrackingStore, key: str, root: Path, *, shared: bool = False) -> None:
        """Create the run of the search, or continue the one it has.

        Args:
            store: where the runs are.
            key: of the search.
            root: the project folder.
            shared: whether other processes search at the same time; their runs are left alone.

        Raises:
            StoreError: if the run cannot be opened.
        """
        self._store, self._key, self._root, self._shared = store, key, root, shared
        self._run_ids: dict[int, str] = {}
        self.error: StoreError | None = None
        """Why MLflow is incomplete; None: it is complete."""
        with store_faults(store.uri):
            self.run_id = self._open_run()
            self._end_running_trials()
            for run in self._trial_runs():
                if run.data.tags[STATUS_TAG] in ENDED:
                    self._run_ids[int(run.data.tags[NUMBER_TAG])] = run.info.run_id

    @property
    def link(self) -> str:
        """Return where the search is shown."""
        return self._store.run_link(self.run_id)

    def log_params(self, params: Mapping[str, str]) -> None:
        """Write the settings of the search."""
        self._guarded(lambda: write_absent_params(self._store, self.run_id, params))

    def missing_trials(self, numbers: Iterable[int]) -> list[int]:
        """Return the trials that have no run, for example because the store did not answer when they ended."""
        return [number for number in numbers if number not in self._run_ids]

    def claim_open_trials(self, numbers: Iterable[int]) -> list[int]:
        """Return those of the given trials whose run is open, whichever process has created it, to be ended here."""
        wanted, claimed = set(numbers), dict[int, str]()

        def search() -> None:
            for run in self._trial_runs():
                number = int(run.data.tags[NUMBER_TAG])
                if run.data.tags[STATUS_TAG] == "running" and number in wanted:
                    claimed[number] = run.info.run_id

        self._guarded(search)
        self._run_ids.update(claimed)
        return sorted(claimed)

    def start_trial(self, number: int, params: Mapping[str, str]) -> None:
        """Create the run of a trial."""
        self._guarded(lambda: self._create_trial_run(number, params))

    def log_epoch(self, number: int, epoch: int, metrics: Mapping[str, float]) -> None:
        """Add a point to each curve of a trial."""
        now = milliseconds()
        points = [Metric(name, value, now, epoch) for name, value in curve_points(metrics).items()]
        self._guarded(lambda: self._store.client.log_batch(self._run_ids[number], metrics=points))

    def end_trial(self, number: int, status: str, metrics: Mapping[str, float], note: str = "") -> None:
        """Write the result of a trial and end its run."""
        self._guarded(lambda: self._end_trial(self._run_ids[number], number, status, metrics, note))

    def interrupt_trial(self, number: int) -> None:
        """End the run of a trial that was interrupted, also if another process has started it."""
        if number in self._run_ids:
            self.end_trial(number, "interrupted", {}, INTERRUPTED_NOTE)
        else:
            self._guarded(lambda: self._end_running_trials(number))

    def log_best(self, step: int, metrics: Mapping[str, float]) -> None:
        """Add a point to the curves of the parent run."""
        now = milliseconds()
        points = [Metric(name, value, now, step) for name, value in metrics.items()]
        self._guarded(lambda: self._store.client.log_batch(self.run_id, metrics=points))

    def finish(self, status: str, note: str, files: Mapping[str, bytes]) -> None:
        """Write the note and the files of the search and end its run."""
        self._guarded(lambda: self._finish(status, note, files))

    def _open_run(self) -> str:
        client = self._store.client
        condition = f"tags.`{KEY_TAG}` = '{self._key}' and tags.`{KIND_TAG}` = '{SEARCH_KIND}'"
        earlier = client.search_runs([self._store.experiment_id], condition, max_results=1)
        if earlier:
            run_id = str(earlier[0].info.run_id)
            client.update_run(run_id, status="RUNNING")
            client.set_tag(run_id, PROCESS_TAG, this_process())
            return run_id
        # The process tag lets a later command find and end the runs that a killed search left open.
        tags = {KIND_TAG: SEARCH_KIND, KEY_TAG: self._key, PROCESS_TAG: this_process(), **self._origin_tags()}
        run = client.create_run(self._store.experiment_id, tags=tags, run_name=f"search {self._key[:8]}")
        return str(run.info.run_id)

    def _trial_runs(self) -> list[Run]:
        runs: list[Run] = []
        token = None
        condition = f"tags.`{PARENT_TAG}` = '{self.run_id}'"
        while True:
            page = self._store.client.search_runs([self._store.experiment_id], condition, page_token=token)
            runs += page
            token = page.token
            if not token:
                return runs

    def _create_trial_run(self, number: int, params: Mapping[str, str]) -> None:
        tags = {
            KIND_TAG: TRIAL_KIND,
            PARENT_TAG: self.run_id,
            NUMBER_TAG: str(number),
            STATUS_TAG: "running",
            PROCESS_TAG: this_process(),
            **self._origin_tags(),
        }
        run = self._store.client.create_run(self._store.experiment_id, tags=tags, run_name=f"trial {number}")
        self._run_ids[number] = run.info.run_id
        write_absent_params(self._store, run.info.run_id, params)

    def _end_trial(self, run_id: str, number: int, status: str, metrics: Mapping[str, float], note: str) -> None:
        client, now = self._store.client, milliseconds()
        points = [Metric(name, value, now, 0) for name, value in metrics.items()]
        client.log_batch(run_id, metrics=points, tags=[RunTag(NOTE_TAG, redact(note))] if note else [])
        if status != "complete":
            client.update_run(run_id, name=f"trial {number} ({status})")
        client.set_terminated(run_id, RUN_STATUS[status])
        # Last: a run that a kill leaves without it counts as interrupted and is written again.
        client.set_tag(run_id, STATUS_TAG, status)
        client.delete_tag(run_id, PROCESS_TAG)

    def _end_running_trials(self, only: int | None = None) -> None:
        """End the runs of trials that a kill or an interrupt left open, or that of one trial."""
        for run in self._trial_runs():
            number = int(run.data.tags[NUMBER_TAG])
            active = self._shared and is_written_elsewhere(run)
            if run.data.tags[STATUS_TAG] == "running" and (not active if only is None else number == only):
                self._end_trial(run.info.run_id, number, "interrupted", {}, INTERRUPTED_NOTE)

    def _finish(self, status: str, note: str, files: Mapping[str, bytes]) -> None:
        client = self._store.client
        self._end_running_trials()
        with tempfile.TemporaryDirectory() as folder:
            for name, contents in files.items():
                path = Path(folder, name)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(contents if name.endswith(".png") else redact(contents.decode()).encode())
                client.log_artifact(self.run_id, str(path), str(Path(name).parent) if "/" in name else None)
        client.set_tag(self.run_id, NOTE_TAG, redact(note))
        # In this order: a run that a kill leaves RUNNING still has its process tag and is ended later.
        client.set_terminated(self.run_id, status)
        client.delete_tag(self.run_id, PROCESS_TAG)

    def _origin_tags(self) -> dict[str, str]:
        return {**origin_tags(git_state(self._root)), "mlflow.source.name": "params.yaml: tune"}

    def _guarded(self, write: Callable[[], Any]) -> None:
        if self.error is not None:
            return
        try:
            with store_faults(self._store.uri):
                write()
        except StoreError as error:
            self.error = error
            logger.warning(
                "Logging to MLflow has stopped. %s The search continues and keeps its trials in its study; "
                "the next `atnet tune` adds them to MLflow.",
                error,
            )
