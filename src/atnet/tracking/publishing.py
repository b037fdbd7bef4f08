"""Complete the MLflow run of a model. Every step first reads what the run already has, so it can be repeated safely."""

import json
import time
from pathlib import Path

from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Run, RunTag
from mlflow.types import ColSpec, Schema

from atnet.config import Params
from atnet.errors import StoreError
from atnet.file_hashes import file_sha256
from atnet.files import DVC_LOCK, STATE
from atnet.git_dvc import git_state
from atnet.storage import exclusive_lock, project_root
from atnet.tracking.collect import collect_run_contents
from atnet.tracking.descriptions import Links, is_own_note, model_note, run_note
from atnet.tracking.logged_model import ModelContents, ensure_logged_model
from atnet.tracking.orphaned_runs import close_orphaned_runs, resume_run, this_process, wait_for_other_process
from atnet.tracking.run_artifacts import upload_artifacts
from atnet.tracking.run_contents import PublishedRun, RunContents, SplitFile
from atnet.tracking.store import MODEL_TRAINING_PAGE, TrackingStore, open_store, store_faults
from atnet.tracking.store_errors import SQLITE
from atnet.tracking.tags import (
    DIRTY_TAG,
    LOCK_TAG,
    MODEL_TAG,
    NOTE_TAG,
    PROCESS_TAG,
    REBUILT_TAG,
    milliseconds,
    origin_tags,
    run_of_model,
    write_absent_params,
)
from atnet.tracking.ui import save_runs_view

LOCK_SECONDS = 600
BUSY = f"Another command has been publishing for {LOCK_SECONDS} s: it holds {{path}}. Wait for it or stop it."
SETTLE_SECONDS = 1.0
"""Longer than the time between reading that there is no run and creating one, in any process."""
METRICS_PER_REQUEST = 500


def publish_from_files(params: Params, root: Path) -> PublishedRun:
    """Publish the model in the project's folders; repeating it changes nothing.

    Raises:
        StoreError: if the tracking store is locked, cannot be reached or fails.
        AtnetError: if the files are incomplete or do not belong together.
    """
    return publish(params, collect_run_contents(params, root), root)


def publish(params: Params, contents: RunContents, root: Path) -> PublishedRun:
    """Find or create the model's run, and write to it what it does not have."""
    store = open_store(params.tracking, root)
    # Two commands at the same time would both find no run, and create two.
    with (
        exclusive_lock(_lock_file(store, root), BUSY, error=StoreError, timeout_seconds=LOCK_SECONDS),
        store_faults(store.uri),
    ):
        return _publish(store, params, contents, root)


def _lock_file(store: TrackingStore, root: Path) -> Path:
    """Return the lock file of all project folders that share a database; of this one, for a server."""
    if store.uri.startswith(SQLITE):
        return Path(f"{store.uri.removeprefix(SQLITE)}.publish.lock")
    return project_root(root) / STATE / "publish.lock"


def _publish(store: TrackingStore, params: Params, contents: RunContents, root: Path) -> PublishedRun:
    run, created = _open_run(store, contents, root)
    run_id = run.info.run_id
    close_orphaned_runs(store, active_run=run_id)
    save_runs_view(store)
    write_absent_params(store, run_id, contents.params)
    _write_curves(store, run_id, contents)
    store.client.log_inputs(run_id, datasets=[_dataset(split) for split in contents.splits])
    upload_artifacts(store, run_id, contents, root)
    model = ModelContents(
        name=params.tracking.model_name,
        model_sha256=contents.model_sha256,
        files=contents.model_files,
        params={name: value for name, value in contents.params.items() if name.startswith("train.")},
        example=contents.example,
    )
    model_id = ensure_logged_model(store, run_id, model)
    _write_metrics(store, run, contents, model_id)
    links, confidence = _links(store, run_id, model_id), params.evaluate.confidence
    store.client.set_logged_model_tags(model_id, {NOTE_TAG: model_note(contents, links, confidence)})
    _write_descriptions(store, run, contents, links, confidence, root)
    if run.info.status != "FINISHED":
        store.client.set_terminated(run_id, "FINISHED")
        store.client.delete_tag(run_id, PROCESS_TAG)
    return PublishedRun(run_id, store.run_link(run_id), created)


def _open_run(store: TrackingStore, contents: RunContents, root: Path) -> tuple[Run, bool]:
    """Return the model's run, and whether it was created here; an unfinished run is taken over by this process."""
    run = run_of_model(store, contents.model_sha256)
    if run is None:
        run, created = _create_run(store, contents, root)
        if created:
            return run, True
    run = wait_for_other_process(store, run)
    if run.info.status == "FINISHED":
        return run, False
    resume_run(store, run)
    return store.client.get_run(run.info.run_id), False


def _create_run(store: TrackingStore, contents: RunContents, root: Path) -> tuple[Run, bool]:
    """Return the model's run, and whether it was created here and not on another machine at the same time."""
    tags = {MODEL_TAG: contents.model_sha256, REBUILT_TAG: "true", PROCESS_TAG: this_process()}
    tags |= origin_tags(git_state(root))
    run = store.client.create_run(store.experiment_id, tags=tags, run_name=contents.run_name)
    if not store.is_server:
        return run, True
    # A server has no lock: write, wait, and read who was first.
    time.sleep(SETTLE_SECONDS)
    first = run_of_model(store, contents.model_sha256)
    if first is None or first.info.run_id == run.info.run_id:
        return run, True
    store.client.delete_run(run.info.run_id)
    return first, False


def _write_curves(store: TrackingStore, run_id: str, contents: RunContents) -> None:
    names = sorted({name for _, values in contents.curves for name in values})
    logged = {(name, point.step) for name in names for point in store.client.get_metric_history(run_id, name)}
    now = milliseconds()
    points = [
        Metric(name, value, now, epoch)
        for epoch, values in contents.curves
        for name, value in values.items()
        if (name, epoch) not in logged
    ]
    for start in range(0, len(points), METRICS_PER_REQUEST):
        store.client.log_batch(run_id, metrics=points[start : start + METRICS_PER_REQUEST])


def _write_metrics(store: TrackingStore, run: Run, contents: RunContents, model_id: str) -> None:
    """Write the scores the run does not have. Scores of a later evaluation replace earlier ones."""
    test = next(split for split in contents.splits if split.name == "test")
    changed = {name: value for name, value in contents.metrics.items() if run.data.metrics.get(name) != value}
    now = milliseconds()
    points = []
    for name, value in changed.items():
        # MLflow shows the point with the latest time. The clock may have been set back since the last one.
        latest = max((point.timestamp for point in _history(store, run, name)), default=0)
        timestamp = max(now, latest + 1)
        points.append(
            Metric(name, value, timestamp, 0, model_id=model_id, dataset_name=test.name, dataset_digest=test.digest)
        )
    for start in range(0, len(points), METRICS_PER_REQUEST):
        store.client.log_batch(run.info.run_id, metrics=points[start : start + METRICS_PER_REQUEST])


def _history(store: TrackingStore, run: Run, name: str) -> list[Metric]:
    return list(store.client.get_metric_history(run.info.run_id, name)) if name in run.data.metrics else []


def _write_descriptions(
    store: TrackingStore, run: Run, contents: RunContents, links: Links, confidence: float, root: Path
) -> None:
    """Set the run's name, tags and note, unless somebody has edited name or note."""
    tags = {MODEL_TAG: contents.model_sha256, **contents.tags, **_lock_tag(root)}
    if DIRTY_TAG not in run.data.tags:
        tags |= origin_tags(git_state(root))
    present = run.data.tags.get(NOTE_TAG)
    if present is None or is_own_note(present):
        tags[NOTE_TAG] = run_note(contents, links, confidence)
    changed = [RunTag(name, value) for name, value in tags.items() if run.data.tags.get(name) != value]
    if changed:
        store.client.log_batch(run.info.run_id, tags=changed)
    own_name = present is None or run.info.run_name.endswith(contents.model_sha256[:8])
    if own_name and run.info.run_name != contents.run_name:
        store.client.update_run(run.info.run_id, name=contents.run_name)


def _lock_tag(root: Path) -> dict[str, str]:
    lock = root / DVC_LOCK
    return {LOCK_TAG: file_sha256(lock)} if lock.exists() else {}


def _links(store: TrackingStore, run_id: str, model_id: str) -> Links:
    experiment = f"#/experiments/{store.experiment_id}"
    return Links(
        report=f"{experiment}/runs/{run_id}/artifacts/evaluation/report.html{MODEL_TRAINING_PAGE}",
        model=f"{experiment}/models/{model_id}{MODEL_TRAINING_PAGE}",
        model_uri=f"models:/{model_id}",
    )


def _dataset(split: SplitFile) -> DatasetInput:
    schema = Schema([ColSpec(kind, name) for name, kind in split.columns.items()])
    dataset = Dataset(
        name=split.name,
        digest=split.digest,
        source_type="local",
        source=json.dumps({"uri": split.source}),
        schema=json.dumps({"mlflow_colspec": schema.to_dict()}),
        profile=json.dumps({"num_rows": split.rows, "num_elements": split.rows * len(split.columns)}),
    )
    return DatasetInput(dataset, tags=[InputTag("mlflow.data.context", split.name)])
