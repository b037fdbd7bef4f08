"""Read from the tracking store where models come from."""

from collections.abc import Iterable

from mlflow.entities import Run
from mlflow.exceptions import MlflowException

from atnet.registry.artifacts import lock_text
from atnet.registry.lineage import ModelOrigin, stage_runs
from atnet.registry.versions import Registry, Version, aliases, store_call, versions
from atnet.tracking.tags import DIRTY_TAG, MODEL_TAG


def origins(registry: Registry, of_versions: Iterable[Version]) -> list[ModelOrigin]:
    """Return the origin of each version."""
    current = aliases(registry)
    return [
        _origin(registry, _run(registry, version.run_id), version.run_id, version, current) for version in of_versions
    ]


def origin_of_run(registry: Registry, run_id: str) -> ModelOrigin | None:
    """Return the origin of a run's model, registered or not; None if the run does not exist."""
    run = _run(registry, run_id)
    if run is None:
        return None
    registered = next((version for version in versions(registry) if version.run_id == run_id), None)
    return _origin(registry, run, run_id, registered, aliases(registry))


@store_call
def _run(registry: Registry, run_id: str) -> Run | None:
    try:
        return registry.store.client.get_run(run_id)
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            return None
        raise


def _origin(
    registry: Registry, run: Run | None, run_id: str, version: Version | None, current_aliases: dict[str, int]
) -> ModelOrigin:
    tags = run.data.tags if run else {}
    datasets = [entry.dataset for entry in run.inputs.dataset_inputs] if run and run.inputs else []
    number = version.number if version else None
    return ModelOrigin(
        run_id=run_id,
        run_name=run.info.run_name if run else "this run has been deleted",
        commit=tags.get("git.commit", ""),
        dirty=tags.get(DIRTY_TAG) == "true",
        sha256=version.sha256 if version else tags.get(MODEL_TAG, ""),
        datasets={dataset.name: dataset.digest for dataset in datasets},
        stages=stage_runs(lock_text(registry, run_id)) if run else (),
        version=number,
        state=version.state if version else "not registered",
        aliases=tuple(alias for alias, target in sorted(current_aliases.items()) if target == number),
    )
