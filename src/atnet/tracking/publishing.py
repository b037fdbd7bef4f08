"""Make the MLflow run of a model complete. Every step sees first what the run has, so all of it may be repeated."""

import hashlib
import json
import tempfile
from collections.abc import Mapping
from pathlib import Path

import filelock
from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Run, RunTag
from mlflow.types import ColSpec, Schema

from atnet.config import Params
from atnet.errors import StoreError
from atnet.files import DVC_LOCK, PARAMS_FILE, STATE
from atnet.git_dvc import git_state
from atnet.redaction import redact
from atnet.storage import project_root
from atnet.tracking.collect import collect_run_contents
from atnet.tracking.descriptions import Links, is_own_note, model_note, run_note
from atnet.tracking.logged_model import ensure_logged_model
from atnet.tracking.orphaned_runs import close_orphaned_runs, resume_run, this_process
from atnet.tracking.run_contents import PublishedRun, RunContents, SplitFile, file_sha256
from atnet.tracking.store import MODEL_TRAINING_PAGE, TrackingStore, open_store, store_faults
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

MANIFEST = "published.json"
"""Artifact that lists what was uploaded, by content."""
LOCK_SECONDS = 600


def publish_from_files(params: Params, root: Path) -> PublishedRun:
    """Publish the model that stands in the project's folders; repeating it changes nothing.

    Raises:
        StoreError: if the tracking store is locked, out of reach or fails on the way.
        AtnetError: if the files are not complete or do not belong together.
    """
    return publish(params, collect_run_contents(params, root), root)


def publish(params: Params, publication: RunContents, root: Path) -> PublishedRun:
    """Find the model's run, or begin it, and bring everything into it that it does not have."""
    store = open_store(params.tracking, root)
    lock = project_root(root) / STATE / "publish.lock"
    lock.parent.mkdir(exist_ok=True)
    try:
        # Two at once would both find no run, and make two.
        with filelock.FileLock(lock, timeout=LOCK_SECONDS), store_faults(store.uri):
            return _publish(store, params, publication, root)
    except filelock.Timeout:
        raise StoreError(f"Another command has been publishing for {LOCK_SECONDS} s. Wait for it, or end it.") from None


def _publish(store: TrackingStore, params: Params, publication: RunContents, root: Path) -> PublishedRun:
    run, created = _open_run(store, publication, root)
    run_id = run.info.run_id
    close_orphaned_runs(store, but=run_id)
    save_runs_view(store)
    write_absent_params(store, run_id, publication.params)
    _write_curves(store, run_id, publication)
    store.client.log_inputs(run_id, datasets=[_dataset(split) for split in publication.splits])
    texts = {"evaluation/settings.json": _json(publication.settings), **_redacted_params(root)}
    _upload(store, run_id, _artifacts(publication, root), texts)
    model_id = ensure_logged_model(
        store,
        run_id,
        name=params.tracking.model_name,
        model_sha256=publication.model_sha256,
        files=publication.model_files,
        params={name: value for name, value in publication.params.items() if name.startswith("train.")},
        example=publication.example,
    )
    _write_metrics(store, run, publication, model_id)
    links, confidence = _links(store, run_id, model_id), params.evaluate.confidence
    store.client.set_logged_model_tags(model_id, {NOTE_TAG: model_note(publication, links, confidence)})
    _write_words(store, run, publication, links, confidence, root)
    if run.info.status != "FINISHED":
        store.client.set_terminated(run_id, "FINISHED")
        store.client.delete_tag(run_id, PROCESS_TAG)
    return PublishedRun(run_id, store.run_link(run_id), created)


def _open_run(store: TrackingStore, publication: RunContents, root: Path) -> tuple[Run, bool]:
    """Give the model's run, and whether it was made here; one that is not at its end is this process's for now."""
    found = run_of_model(store, publication.model_sha256)
    if found is None:
        tags = {MODEL_TAG: publication.model_sha256, REBUILT_TAG: "true", PROCESS_TAG: this_process()}
        tags |= origin_tags(git_state(root))
        return store.client.create_run(store.experiment_id, tags=tags, run_name=publication.run_name), True
    if found.info.status == "FINISHED":
        return found, False
    resume_run(store, found)
    return store.client.get_run(found.info.run_id), False


def _write_curves(store: TrackingStore, run_id: str, publication: RunContents) -> None:
    names = sorted({name for _, values in publication.curves for name in values})
    known = {(name, point.step) for name in names for point in store.client.get_metric_history(run_id, name)}
    now = milliseconds()
    points = [
        Metric(name, value, now, epoch)
        for epoch, values in publication.curves
        for name, value in values.items()
        if (name, epoch) not in known
    ]
    for start in range(0, len(points), 500):
        store.client.log_batch(run_id, metrics=points[start : start + 500])


def _write_metrics(store: TrackingStore, run: Run, publication: RunContents, model_id: str) -> None:
    """Write the scores the run does not have. Of an evaluation with other settings the new scores count."""
    test = next(split for split in publication.splits if split.name == "test")
    known, now = run.data.metrics, milliseconds()
    points = [
        Metric(
            name,
            value,
            _later_than_logged(store, run.info.run_id, name, now) if name in known else now,
            0,
            model_id=model_id,
            dataset_name=test.name,
            dataset_digest=test.digest,
        )
        for name, value in publication.metrics.items()
        if known.get(name) != value
    ]
    for start in range(0, len(points), 500):
        store.client.log_batch(run.info.run_id, metrics=points[start : start + 500])


def _later_than_logged(store: TrackingStore, run_id: str, name: str, now: int) -> int:
    """Return a time after every logged point: MLflow shows the latest one, and the clock may have been set back."""
    return max([now, *(point.timestamp + 1 for point in store.client.get_metric_history(run_id, name))])


def _write_words(
    store: TrackingStore, run: Run, publication: RunContents, links: Links, confidence: float, root: Path
) -> None:
    """Name the run, tag it and write its note, unless a reader has written over name or note."""
    tags = {MODEL_TAG: publication.model_sha256, **_lock_tag(root)}
    if DIRTY_TAG not in run.data.tags:
        tags |= origin_tags(git_state(root))
    present = run.data.tags.get(NOTE_TAG)
    if present is None or is_own_note(present):
        tags[NOTE_TAG] = run_note(publication, links, confidence)
    changed = [RunTag(name, value) for name, value in tags.items() if run.data.tags.get(name) != value]
    if changed:
        store.client.log_batch(run.info.run_id, tags=changed)
    own_name = present is None or run.info.run_name.endswith(publication.model_sha256[:8])
    if own_name and run.info.run_name != publication.run_name:
        store.client.update_run(run.info.run_id, name=publication.run_name)


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


def _artifacts(publication: RunContents, root: Path) -> dict[str, Path]:
    lock = {str(DVC_LOCK): root / DVC_LOCK} if (root / DVC_LOCK).exists() else {}
    return {**publication.artifacts, **lock}


def _redacted_params(root: Path) -> dict[str, str]:
    """Read params.yaml without its secrets: more people may see a run than may read the repository."""
    path = root / PARAMS_FILE
    return {str(PARAMS_FILE): redact(path.read_text(encoding="utf-8"))} if path.exists() else {}


def _upload(store: TrackingStore, run_id: str, files: Mapping[str, Path], texts: Mapping[str, str]) -> None:
    """Upload what the run does not hold with the same contents; the list of contents comes last."""
    wanted = {name: file_sha256(path) for name, path in files.items()}
    wanted |= {name: _text_sha256(text) for name, text in texts.items()}
    present, uploaded = _present(store, run_id), _manifest(store, run_id)
    missing = [name for name in wanted if name not in present or uploaded.get(name) != wanted[name]]
    for name in missing:
        if name in texts:
            store.client.log_text(run_id, texts[name], name)
        else:
            store.client.log_artifact(run_id, str(files[name]), str(Path(name).parent) if "/" in name else None)
    if missing or uploaded != wanted:
        store.client.log_text(run_id, _json(wanted), MANIFEST)


def _present(store: TrackingStore, run_id: str, folder: str | None = None) -> set[str]:
    found: set[str] = set()
    for entry in store.client.list_artifacts(run_id, folder):
        found |= _present(store, run_id, entry.path) if entry.is_dir else {entry.path}
    return found


def _manifest(store: TrackingStore, run_id: str) -> dict[str, str]:
    if not any(entry.path == MANIFEST for entry in store.client.list_artifacts(run_id)):
        return {}
    with tempfile.TemporaryDirectory() as folder:
        text = Path(store.client.download_artifacts(run_id, MANIFEST, folder)).read_text(encoding="utf-8")
    try:
        known = json.loads(text)
    except ValueError:
        # Cut short by a kill: everything is uploaded again.
        return {}
    return known if isinstance(known, dict) else {}


def _json(value: object) -> str:
    return json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def _text_sha256(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8")).hexdigest()
