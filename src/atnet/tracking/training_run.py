"""The MLflow run of a training in progress: live curves, and the model's hash at the end."""

import contextlib
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path

from mlflow.entities import Metric, Run, RunTag

from atnet.errors import StoreError
from atnet.git_dvc import git_state
from atnet.tracking.orphaned_runs import close_orphaned_runs, is_active, resume_run, this_process
from atnet.tracking.run_contents import curve_points
from atnet.tracking.store import TrackingStore, store_faults
from atnet.tracking.tags import (
    DUPLICATE_TAG,
    ENDED_TAGS,
    MODEL_TAG,
    NOTE_TAG,
    PROCESS_TAG,
    TRAINING_TAG,
    finished_run,
    milliseconds,
    origin_tags,
    write_absent_params,
)

logger = logging.getLogger(__name__)


class TrainingRun:
    """The open run of a training. If the store fails midway, one warning is logged and training continues."""

    def __init__(self, store: TrackingStore, run_id: str, logged_steps: frozenset[int]) -> None:
        self.run_id = run_id
        self._store = store
        self._logged_steps = logged_steps
        self._available = True
        self._finished = False

    @property
    def is_finished(self) -> bool:
        """Whether `finish` was called."""
        return self._finished

    def epoch(self, epoch: int, metrics: Mapping[str, float]) -> None:
        """Add a point to each curve; an epoch that the run already has is skipped."""
        if not self._available or epoch in self._logged_steps:
            return
        now = milliseconds()
        points = [Metric(name, value, now, epoch) for name, value in curve_points(metrics).items()]
        try:
            with store_faults(self._store.uri):
                self._store.client.log_batch(self.run_id, metrics=points)
        except StoreError as error:
            self._warn(error)

    def finish(self, model_sha256: str) -> None:
        """Tag the run with its model and finish it, or mark it as a duplicate of an earlier run of the same model."""
        self._finished = True
        try:
            with store_faults(self._store.uri):
                self._finish(model_sha256)
        except StoreError as error:
            self._warn(error)

    def _finish(self, model_sha256: str) -> None:
        client = self._store.client
        first = finished_run(self._store, model_sha256)
        if first is None or first.info.run_id == self.run_id:
            client.set_tag(self.run_id, MODEL_TAG, model_sha256)
            # The process tag goes last: as long as it is there, a run left RUNNING by a kill can be closed.
            client.set_terminated(self.run_id, "FINISHED")
            client.delete_tag(self.run_id, PROCESS_TAG)
            return
        name = first.info.run_name
        note = (
            f"This training gave the same model, byte for byte, as run *{name}* (`{first.info.run_id}`). See that run."
        )
        tags = [RunTag(DUPLICATE_TAG, first.info.run_id), RunTag(NOTE_TAG, note)]
        client.log_batch(self.run_id, tags=tags)
        client.update_run(self.run_id, name=f"duplicate of {name}")
        # Not FINISHED: each model has one finished run.
        client.set_terminated(self.run_id, "KILLED")

    def _warn(self, error: StoreError) -> None:
        if self._available:
            self._available = False
            logger.warning(
                "Live curves stop here. %s Training continues and writes its curves to history.csv; "
                "`atnet publish` copies them to MLflow.",
                error,
            )


@contextlib.contextmanager
def training_run(
    store: TrackingStore,
    *,
    name: str,
    params: Mapping[str, str],
    key: str,
    root: Path | None = None,
) -> Iterator[TrainingRun]:
    """Open the run of a training, or resume the unfinished run of the same training.

    Args:
        store: from `open_store`.
        name: shown in the list of runs until the run is published.
        params: flat parameters.
        key: identifies the training, like its checkpoint: same inputs and settings, same key.
        root: the project folder, for the commit.

    Raises:
        StoreError: if the run cannot be opened. Later errors of the store are warnings.
    """
    with store_faults(store.uri):
        run_id, steps = _open_run(store, name, key, root)
        close_orphaned_runs(store, active_run=run_id)
        write_absent_params(store, run_id, params)
    run = TrainingRun(store, run_id, steps)
    try:
        yield run
    except BaseException as error:
        _close(store, run_id, "KILLED" if isinstance(error, KeyboardInterrupt) else "FAILED")
        raise
    if not run.is_finished:
        _close(store, run_id, "FAILED")


def _open_run(store: TrackingStore, name: str, key: str, root: Path | None) -> tuple[str, frozenset[int]]:
    client = store.client
    open_run = _unfinished(store, key)
    if open_run is not None:
        resume_run(store, open_run)
        return open_run.info.run_id, _steps(store, open_run)
    tags = {TRAINING_TAG: key, PROCESS_TAG: this_process(), **origin_tags(git_state(root))}
    return client.create_run(store.experiment_id, tags=tags, run_name=name).info.run_id, frozenset()


def _unfinished(store: TrackingStore, key: str) -> Run | None:
    """Return the run in which the same training was started and not finished."""
    runs = store.client.search_runs(
        [store.experiment_id], f"tags.`{TRAINING_TAG}` = '{key}' and attributes.status != 'FINISHED'", max_results=20
    )
    resumable = [run for run in runs if not ENDED_TAGS.intersection(run.data.tags) and not is_active(run)]
    return resumable[0] if resumable else None


def _steps(store: TrackingStore, run: Run) -> frozenset[int]:
    histories = (store.client.get_metric_history(run.info.run_id, name) for name in run.data.metrics)
    return frozenset(point.step for history in histories for point in history)


def _close(store: TrackingStore, run_id: str, status: str) -> None:
    # The user must see the error of the training, not one of the store in addition.
    with contextlib.suppress(StoreError), store_faults(store.uri):
        store.client.set_terminated(run_id, status)
