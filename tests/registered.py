"""Models in a store without the pipeline: what `publish` writes, as far as the registry reads it."""

import functools
import json
import tempfile
from pathlib import Path

from mlflow.entities import LoggedModelOutput, LoggedModelStatus

from atnet.inference import MODEL_FILES, model_hash
from atnet.model_verification import ARTIFACTS_TAG, MODEL_TAG, artifact_hashes
from atnet.registry import versions
from atnet.registry.versions import Registry, Version
from atnet.release.gate.result import CheckResult, Decision, GateResult
from atnet.tracking.logged_model import CONTENT_TAG


@functools.cache
def sha(name: str) -> str:
    """Return the SHA-256 of the model that `log_model` writes under this name."""
    with tempfile.TemporaryDirectory() as folder:
        _write_model_files(Path(folder), name)
        return model_hash(folder)


def log_model(
    registry: Registry, name: str, *, train_hashes: str = "0123456789abcdef\n", complete: bool = True, lock: str = ""
) -> str:
    """Write a finished run with a logged model to the store and return the run's id.

    The model's files cannot be loaded, but they have the recorded hashes.
    """
    client, experiment = registry.store.client, registry.store.experiment_id
    run_id = client.create_run(experiment, tags={MODEL_TAG: sha(name)}, run_name=f"run {name}").info.run_id
    model = client.create_logged_model(
        experiment, name="atnet", source_run_id=run_id, tags={CONTENT_TAG: "c", MODEL_TAG: sha(name)}
    )
    folder = Path(model.artifact_location)
    _write_model_files(folder / "artifacts" / "model", name)
    (folder / "artifacts" / "model" / "train_hashes.txt").write_text(train_hashes, encoding="utf-8")
    client.set_logged_model_tags(model.model_id, {ARTIFACTS_TAG: json.dumps(artifact_hashes(folder))})
    client.log_outputs(run_id, models=[LoggedModelOutput(model.model_id, step=0)])
    if lock:
        client.log_text(run_id, lock, "dvc.lock")
    if complete:
        client.finalize_logged_model(model.model_id, LoggedModelStatus.READY)
    client.set_terminated(run_id, "FINISHED")
    return str(run_id)


def registered(registry: Registry, name: str) -> Version:
    """Write a model to the store and register it."""
    log_model(registry, name)
    return versions.register(registry, sha(name))


def gate_result(decision: Decision, challenger: str, champion: str | None = None) -> GateResult:
    """Build a gate result with one check."""
    failed = decision == "reject"
    check = CheckResult(
        "superior to the champion",
        "failed" if failed else "passed",
        "+0.1",
        "> 0",
        "No better than chance allows." if failed else "It is better.",
    )
    return GateResult(decision, "superiority", (check,), challenger, champion, rows_compared=100, rows_excluded=0)


def _write_model_files(folder: Path, name: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for file in MODEL_FILES:
        (folder / file).write_text(f"{file} of model {name}\n", encoding="utf-8")
