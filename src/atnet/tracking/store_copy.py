"""Copy runs and their logged models to another store through MLflow's client, and compare every file by its hash.

A copy has a new id, because a client cannot choose it. The id of the original is a tag of the copy, by which a copy
that was interrupted is found and completed.
"""

import re
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote

import mlflow.artifacts
from mlflow.entities import (
    LoggedModel,
    LoggedModelInput,
    LoggedModelOutput,
    LoggedModelStatus,
    Metric,
    Param,
    Run,
    RunStatus,
    RunTag,
)

from atnet.errors import StoreError
from atnet.file_hashes import file_sha256
from atnet.tracking.store import TrackingStore, client_address, store_faults
from atnet.tracking.tags import PARAMS_PER_REQUEST

ORIGIN_TAG = "migrated.from"
"""The id of the original."""
COMPLETE_TAG = "migrated.complete"
"""Written last: a copy without it is written again."""
ID = re.compile(r"\bm-[0-9a-f]{32}\b|\b[0-9a-f]{32}\b")
"""The id of a logged model or of a run."""
VERBATIM = re.compile(r"ledger\.\d+")
"""Tags that a hash protects."""
METRICS_PER_REQUEST = 500


@dataclass(slots=True)
class StoreCopy:
    """Copies runs from one store to another; calling it again only adds what is missing."""

    source: TrackingStore
    target: TrackingStore
    ids: dict[str, str] = field(default_factory=dict)
    """The id of each original -> that of its copy; of runs and logged models."""
    files: int = 0
    """Files that were uploaded and compared."""
    open_runs: list[str] = field(default_factory=list)
    """Runs that are still being written, and were left out."""

    def copy_runs(self) -> tuple[int, int]:
        """Copy every finished run; return how many were copied now, and how many were there already.

        Raises:
            StoreError: if a store does not answer, or if an uploaded file differs from its original.
        """
        copied = present = 0
        for experiment_id, name, tags in self._experiments():
            target_id = self._ensure_experiment(name, tags)
            copies = {run.data.tags.get(ORIGIN_TAG): run for run in _runs(self.target, target_id)}
            for run in _runs(self.source, experiment_id):
                if not RunStatus.is_terminated(RunStatus.from_string(run.info.status)):
                    self.open_runs.append(run.info.run_id)
                elif self._copy_run(run, copies.get(run.info.run_id), target_id):
                    copied += 1
                else:
                    present += 1
        return copied, present

    def translate(self, text: str) -> str:
        """Replace the ids of originals in a text by those of their copies."""
        return ID.sub(lambda match: self.ids.get(match[0], match[0]), text)

    def _experiments(self) -> Iterator[tuple[str, str, dict[str, str]]]:
        with store_faults(self.source.uri):
            found = self.source.client.search_experiments()
        for experiment in sorted(found, key=lambda experiment: int(experiment.experiment_id)):
            yield experiment.experiment_id, experiment.name, dict(experiment.tags)

    def _ensure_experiment(self, name: str, tags: dict[str, str]) -> str:
        with store_faults(self.target.uri):
            experiment = self.target.client.get_experiment_by_name(name)
            return str(
                experiment.experiment_id if experiment else self.target.client.create_experiment(name, tags=tags)
            )

    def _copy_run(self, run: Run, copy: Run | None, experiment_id: str) -> bool:
        """Copy a run with its models; return whether anything was written."""
        client = self.target.client
        with store_faults(self.target.uri):
            if copy is None:
                tags = {ORIGIN_TAG: run.info.run_id}
                copy = client.create_run(experiment_id, run.info.start_time, tags, run.info.run_name)
            run_id = copy.info.run_id
            self.ids[run.info.run_id] = run_id
            complete = COMPLETE_TAG in copy.data.tags
            for model in _models(self.source, run.info.run_id, run.info.experiment_id):
                self._copy_model(model, experiment_id, complete=complete)
            if complete:
                return False
            self._copy_values(run, run_id)
            self._copy_links(run, run_id)
            self._copy_files(
                run.info.artifact_uri, copy.info.artifact_uri, lambda folder: client.log_artifacts(run_id, folder)
            )
            client.set_terminated(run_id, run.info.status, run.info.end_time)
            client.set_tag(run_id, COMPLETE_TAG, "true")
        return True

    def _copy_values(self, run: Run, run_id: str) -> None:
        params = [Param(name, value) for name, value in run.data.params.items()]
        tags = [
            RunTag(name, value if VERBATIM.fullmatch(name) else self.translate(value))
            for name, value in run.data.tags.items()
        ]
        metrics = [
            self._metric(point)
            for name in run.data.metrics
            for point in self.source.client.get_metric_history(run.info.run_id, name)
        ]
        client = self.target.client
        for start in range(0, max(len(params), len(tags)), PARAMS_PER_REQUEST):
            end = start + PARAMS_PER_REQUEST
            client.log_batch(run_id, params=params[start:end], tags=tags[start:end])
        for start in range(0, len(metrics), METRICS_PER_REQUEST):
            client.log_batch(run_id, metrics=metrics[start : start + METRICS_PER_REQUEST])

    def _metric(self, point: Metric) -> Metric:
        model_id = self.ids.get(point.model_id) if point.model_id else None
        return Metric(
            point.key,
            point.value,
            point.timestamp,
            point.step,
            model_id=model_id,
            dataset_name=point.dataset_name,
            dataset_digest=point.dataset_digest,
        )

    def _copy_links(self, run: Run, run_id: str) -> None:
        """Copy which datasets and models a run read, and which models it wrote."""
        client = self.target.client
        if run.inputs:
            read = [LoggedModelInput(self.ids[model.model_id]) for model in run.inputs.model_inputs]
            if read or run.inputs.dataset_inputs:
                client.log_inputs(run_id, datasets=run.inputs.dataset_inputs, models=read)
        outputs = run.outputs.model_outputs if run.outputs else []
        if outputs:
            client.log_outputs(run_id, [LoggedModelOutput(self.ids[model.model_id], model.step) for model in outputs])

    def _copy_model(self, model: LoggedModel, experiment_id: str, *, complete: bool) -> None:
        client, run_id = self.target.client, self.ids[str(model.source_run_id)]
        copies = {copy.tags.get(ORIGIN_TAG): copy for copy in _models(self.target, run_id, experiment_id)}
        copy = copies.get(model.model_id) or client.create_logged_model(
            experiment_id,
            model.name,
            run_id,
            tags={ORIGIN_TAG: model.model_id},
            params=dict(model.params or {}),
            model_type=model.model_type,
        )
        self.ids[model.model_id] = copy.model_id
        if complete:
            return
        self._copy_files(
            model.artifact_location,
            copy.artifact_location,
            lambda folder: client.log_model_artifacts(copy.model_id, folder),
        )
        client.set_logged_model_tags(copy.model_id, {name: self.translate(value) for name, value in model.tags.items()})
        if model.status == LoggedModelStatus.READY:
            client.finalize_logged_model(copy.model_id, LoggedModelStatus.READY)

    def _copy_files(self, location: str, target_location: str, upload: Callable[[str], None]) -> None:
        with tempfile.TemporaryDirectory() as folder:
            original = _download(self.source, location, Path(folder, "original"))
            if original is None:
                return
            hashes = _file_hashes(original)
            upload(str(original))
            uploaded = _download(self.target, target_location, Path(folder, "uploaded"))
            differing = sorted(set(hashes.items()) - set(_file_hashes(uploaded).items() if uploaded else ()))
        if differing:
            raise StoreError(
                f"The copy of {differing[0][0]} in {target_location} differs from the one in {location}. Check the "
                "artifact store of the server and run `atnet migrate-store` again."
            )
        self.files += len(hashes)


def _runs(store: TrackingStore, experiment_id: str) -> list[Run]:
    """List the runs of an experiment, oldest first, so that a parent comes before its children."""
    found: list[Run] = []
    token: str | None = None
    with store_faults(store.uri):
        while True:
            page = store.client.search_runs(
                [experiment_id], max_results=200, page_token=token, order_by=["attributes.start_time ASC"]
            )
            found += page
            token = page.token
            if not token:
                return found


def _models(store: TrackingStore, run_id: str, experiment_id: str) -> list[LoggedModel]:
    condition = f"source_run_id = '{run_id}'"
    return list(store.client.search_logged_models([experiment_id], filter_string=condition, max_results=50))


def _download(store: TrackingStore, location: str, folder: Path) -> Path | None:
    """Download a folder of artifacts and return where it is; None if there are none."""
    folder.mkdir()
    local = Path(unquote(location.removeprefix("file://")) if location.startswith("file://") else location)
    if local.is_absolute() and not local.exists():
        return None
    downloaded = mlflow.artifacts.download_artifacts(
        artifact_uri=location, dst_path=str(folder), tracking_uri=client_address(store.uri)
    )
    # MLflow returns a local folder as it is.
    return Path(downloaded)


def _file_hashes(folder: Path) -> dict[str, str]:
    """Map the path of each file in a folder to its SHA-256."""
    return {
        path.relative_to(folder).as_posix(): file_sha256(path) for path in sorted(folder.rglob("*")) if path.is_file()
    }
