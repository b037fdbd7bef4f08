"""What the tracking store knows of where models come from."""

from collections.abc import Iterable

from mlflow.entities import Run
from mlflow.exceptions import MlflowException

from atnet.registry.artifacts import lock_text
from atnet.registry.lineage import Origin, steps_of
from atnet.registry.versions import Registry, Version, aliases, guarded, versions
from atnet.tracking.tags import DIRTY_TAG, MODEL_TAG


def origins(registry: Registry, chosen: Iterable[Version]) -> list[Origin]:
    """Give the origin of each version."""
    held = aliases(registry)
    return [_origin(registry, _run(registry, one.run_id), one.run_id, one, held) for one in chosen]


def origin_of_run(registry: Registry, run_id: str) -> Origin | None:
    """Give the origin of a run's model, registered or not; None where there is no such run."""
    run = _run(registry, run_id)
    if run is None:
        return None
    registered = next((one for one in versions(registry) if one.run_id == run_id), None)
    return _origin(registry, run, run_id, registered, aliases(registry))


@guarded
def _run(registry: Registry, run_id: str) -> Run | None:
    try:
        return registry.store.client.get_run(run_id)
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            return None
        raise


def _origin(registry: Registry, run: Run | None, run_id: str, version: Version | None, held: dict[str, int]) -> Origin:
    tags = run.data.tags if run else {}
    datasets = [entry.dataset for entry in run.inputs.dataset_inputs] if run and run.inputs else []
    number = version.number if version else None
    return Origin(
        run_id=run_id,
        run_name=run.info.run_name if run else "this run has been deleted",
        commit=tags.get("git.commit", ""),
        dirty=tags.get(DIRTY_TAG) == "true",
        sha256=version.sha256 if version else tags.get(MODEL_TAG, ""),
        datasets={dataset.name: dataset.digest for dataset in datasets},
        steps=steps_of(lock_text(registry, run_id)) if run else (),
        version=number,
        state=version.state if version else "not registered",
        aliases=tuple(alias for alias, pointed in sorted(held.items()) if pointed == number),
    )
