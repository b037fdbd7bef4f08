"""A search in MLflow: one parent run, and below it a run per trial.

Neither has a model, so neither carries a model's hash: `publish`, the registry and lineage look for that and never
meet them. The tag `atnet.kind` tells them from trainings.
"""

import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from mlflow.entities import Metric, Run, RunTag

from atnet.errors import StoreError
from atnet.git_dvc import git_state
from atnet.tracking.orphaned_runs import this_process
from atnet.tracking.run_contents import curve_points
from atnet.tracking.store import TrackingStore, store_faults
from atnet.tracking.tags import NOTE_TAG, PROCESS_TAG, milliseconds, origin_tags, write_absent_params

KIND_TAG = "atnet.kind"
SEARCH_KIND, TRIAL_KIND = "search", "tuning trial"
SEARCH_TAG = "search.key"
"""Names the search, as its study does."""
TRIAL_TAG = "trial.number"
STATE_TAG = "trial.state"
"""running, complete, pruned, failed or cut short."""
PARENT_TAG = "mlflow.parentRunId"
STATUS = {"complete": "FINISHED", "pruned": "KILLED", "failed": "FAILED", "cut short": "KILLED"}
ENDED = frozenset({"complete", "pruned", "failed"})
CUT_SHORT = "Stopped before its end; tried again under a later number."


class TuningRun:
    """The parent run of a search. A store that fails midway costs one warning, never the search: see `in_full`."""

    def __init__(self, store: TrackingStore, key: str, root: Path) -> None:
        """Open the run of the search, or go on in the one it has.

        Raises:
            StoreError: if the run cannot be opened.
        """
        self._store, self._key, self._root = store, key, root
        self._trials: dict[int, str] = {}
        self.fault: StoreError | None = None
        with store_faults(store.uri):
            self.run_id = self._open()
            self._close_open()
            for run in self._trial_runs():
                if run.data.tags[STATE_TAG] in ENDED:
                    self._trials[int(run.data.tags[TRIAL_TAG])] = run.info.run_id

    @property
    def link(self) -> str:
        """Say where the search is shown."""
        return self._store.run_link(self.run_id)

    def describe(self, params: Mapping[str, str]) -> None:
        """Write what the search stands on."""
        self._guarded(lambda: write_absent_params(self._store, self.run_id, params))

    def missing(self, numbers: Iterable[int]) -> list[int]:
        """Name the trials that the store does not hold, such as those of a time when it did not answer."""
        return [number for number in numbers if number not in self._trials]

    def started(self, number: int, params: Mapping[str, str]) -> None:
        """Open the run of a trial."""
        self._guarded(lambda: self._start(number, params))

    def epoch(self, number: int, epoch: int, metrics: Mapping[str, float]) -> None:
        """Add a point to each curve of a trial."""
        now = milliseconds()
        points = [Metric(name, value, now, epoch) for name, value in curve_points(metrics).items()]
        self._guarded(lambda: self._store.client.log_batch(self._trials[number], metrics=points))

    def ended(self, number: int, state: str, metrics: Mapping[str, float], note: str = "") -> None:
        """Write what came of a trial and close its run."""
        self._guarded(lambda: self._end(number, state, metrics, note))

    def cut_short(self, number: int) -> None:
        """Close the run of a trial that was stopped before its end."""
        self.ended(number, "cut short", {}, CUT_SHORT)

    def progress(self, step: int, metrics: Mapping[str, float]) -> None:
        """Add a point to the parent's curves."""
        now = milliseconds()
        points = [Metric(name, value, now, step) for name, value in metrics.items()]
        self._guarded(lambda: self._store.client.log_batch(self.run_id, metrics=points))

    def finish(self, status: str, note: str, files: Mapping[str, bytes]) -> None:
        """Write the note and the files of the search and close its run."""
        self._guarded(lambda: self._finish(status, note, files))

    def _open(self) -> str:
        client = self._store.client
        condition = f"tags.`{SEARCH_TAG}` = '{self._key}' and tags.`{KIND_TAG}` = '{SEARCH_KIND}'"
        known = client.search_runs([self._store.experiment_id], condition, max_results=1)
        if known:
            run_id = str(known[0].info.run_id)
            client.update_run(run_id, status="RUNNING")
            client.set_tag(run_id, PROCESS_TAG, this_process())
            return run_id
        # By the process a later training or publication tells the runs that a kill left open, and closes them.
        tags = {KIND_TAG: SEARCH_KIND, SEARCH_TAG: self._key, PROCESS_TAG: this_process(), **self._origin()}
        run = client.create_run(self._store.experiment_id, tags=tags, run_name=f"search {self._key[:8]}")
        return str(run.info.run_id)

    def _trial_runs(self) -> list[Run]:
        found: list[Run] = []
        token = None
        below = f"tags.`{PARENT_TAG}` = '{self.run_id}'"
        while True:
            page = self._store.client.search_runs([self._store.experiment_id], below, page_token=token)
            found += page
            token = page.token
            if not token:
                return found

    def _start(self, number: int, params: Mapping[str, str]) -> None:
        tags = {
            KIND_TAG: TRIAL_KIND,
            PARENT_TAG: self.run_id,
            TRIAL_TAG: str(number),
            STATE_TAG: "running",
            PROCESS_TAG: this_process(),
            **self._origin(),
        }
        run = self._store.client.create_run(self._store.experiment_id, tags=tags, run_name=f"trial {number}")
        self._trials[number] = run.info.run_id
        write_absent_params(self._store, run.info.run_id, params)

    def _end(self, number: int, state: str, metrics: Mapping[str, float], note: str, run_id: str | None = None) -> None:
        run_id, now = run_id or self._trials[number], milliseconds()
        points = [Metric(name, value, now, 0) for name, value in metrics.items()]
        self._store.client.log_batch(run_id, metrics=points, tags=[RunTag(NOTE_TAG, note)] if note else [])
        if state != "complete":
            self._store.client.update_run(run_id, name=f"trial {number} ({state})")
        self._close(run_id, state)

    def _close_open(self) -> None:
        """Close the runs of trials that a kill or an interrupt cut short; they are tried again under another number."""
        for run in self._trial_runs():
            if run.data.tags[STATE_TAG] == "running":
                self._end(int(run.data.tags[TRIAL_TAG]), "cut short", {}, CUT_SHORT, run.info.run_id)

    def _close(self, run_id: str, state: str) -> None:
        self._store.client.set_terminated(run_id, STATUS[state])
        # After all else: a run that a kill leaves without it is taken for one cut short, and written again.
        self._store.client.set_tag(run_id, STATE_TAG, state)
        self._store.client.delete_tag(run_id, PROCESS_TAG)

    def _finish(self, status: str, note: str, files: Mapping[str, bytes]) -> None:
        client = self._store.client
        self._close_open()
        with tempfile.TemporaryDirectory() as folder:
            for name, contents in files.items():
                path = Path(folder, name)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(contents)
                client.log_artifact(self.run_id, str(path), str(Path(name).parent) if "/" in name else None)
        client.set_tag(self.run_id, NOTE_TAG, note)
        client.delete_tag(self.run_id, PROCESS_TAG)
        client.set_terminated(self.run_id, status)

    def _origin(self) -> dict[str, str]:
        return {**origin_tags(git_state(self._root)), "mlflow.source.name": "params.yaml: tune"}

    def _guarded(self, act: Callable[[], Any]) -> None:
        if self.fault is not None:
            return
        try:
            with store_faults(self._store.uri):
                act()
        except StoreError as error:
            self.fault = error
            print(
                f"warning: MLflow is told no more. {error} The search goes on and keeps its trials in its study; "
                "`atnet tune` brings them into MLflow when it is run again.",
                file=sys.stderr,
                flush=True,
            )
