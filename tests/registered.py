"""Models in a store without the pipeline: what `publish` writes, as far as the registry reads it."""

from pathlib import Path

from mlflow.entities import LoggedModelOutput, LoggedModelStatus

from atnet.registry import versions
from atnet.registry.versions import Registry, Version
from atnet.release.gate.result import CheckResult, GateResult
from atnet.tracking.logged_model import CONTENT_TAG
from atnet.tracking.tags import MODEL_TAG


def sha(name: str) -> str:
    """Turn a name into the form of a SHA-256."""
    return name.encode().hex().ljust(64, "0")


def log_model(
    registry: Registry, sha256: str, *, train_hashes: str = "0123456789abcdef\n", complete: bool = True, lock: str = ""
) -> str:
    """Write a finished run with a logged model to the store and return the run's id."""
    client, experiment = registry.store.client, registry.store.experiment_id
    run_id = client.create_run(experiment, tags={MODEL_TAG: sha256}, run_name=f"run {sha256[:8]}").info.run_id
    model = client.create_logged_model(
        experiment, name="atnet", source_run_id=run_id, tags={CONTENT_TAG: "c", MODEL_TAG: sha256}
    )
    folder = Path(model.artifact_location) / "artifacts" / "model"
    folder.mkdir(parents=True)
    (folder / "train_hashes.txt").write_text(train_hashes, encoding="utf-8")
    client.log_outputs(run_id, models=[LoggedModelOutput(model.model_id, step=0)])
    if lock:
        client.log_text(run_id, lock, "dvc.lock")
    if complete:
        client.finalize_logged_model(model.model_id, LoggedModelStatus.READY)
    client.set_terminated(run_id, "FINISHED")
    return str(run_id)


def registered(registry: Registry, name: str) -> Version:
    """Write a model to the store and register it."""
    log_model(registry, sha(name))
    return versions.register(registry, sha(name))


def gate_result(decision: str, challenger: str, champion: str | None = None) -> GateResult:
    """Build a gate result with one check."""
    failed = decision == "reject"
    check = CheckResult(
        "superior to the champion",
        "failed" if failed else "passed",
        "+0.1",
        "> 0",
        "No better than chance allows." if failed else "It is better.",
    )
    return GateResult(decision, "superiority", (check,), challenger, champion, 100, 0)  # type: ignore[arg-type]
