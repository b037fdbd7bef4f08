"""Copy the registered model to another store: versions under their numbers, then tags, then aliases."""

from mlflow.entities.model_registry import ModelVersion as Entry

from atnet.errors import ReleaseError
from atnet.model_verification import MODEL_ID_TAG, MODEL_TAG
from atnet.registry.lock import LOCK_TAG
from atnet.registry.transactions import PENDING_TAG
from atnet.registry.versions import (
    Registry,
    aliases,
    describe_model,
    ensure_registered_model,
    model_description,
    model_tags,
    set_alias,
    set_model_tag,
    set_tags,
    store_call,
    versions,
)
from atnet.tracking.store_copy import StoreCopy


def copy_registered_model(source: Registry, target: Registry, copy: StoreCopy) -> int:
    """Copy versions, tags and aliases of the registered model; return the number of versions.

    Call it after the runs were copied. Calling it again completes it.

    Raises:
        ReleaseError: if a change of the source is unfinished, or if the target has other versions.
    """
    tags = model_tags(source)
    if PENDING_TAG in tags or LOCK_TAG in tags:
        raise ReleaseError("A release or rollback was interrupted. Run `atnet release` once, then migrate again.")
    originals = {version.number: version for version in versions(source)}
    if not originals:
        return 0
    ensure_registered_model(target)
    present = {version.number: version for version in versions(target)}
    for number, version in present.items():
        if number not in originals or originals[number].sha256 != version.sha256:
            raise ReleaseError(
                f"The server already has another version {number} of {target.model}. Migrate to a server without "
                "this registered model, or set another tracking.model_name on one side."
            )
    for number in range(max(present, default=0) + 1, max(originals) + 1):
        if number in originals:
            _create(source, target, copy, number)
        else:
            _skip_number(target, copy.ids[originals[max(originals)].run_id], number)
    for number, version in originals.items():
        set_tags(target, number, {name: copy.translate(value) for name, value in version.tags.items()})
    describe_model(target, copy.translate(model_description(source)))
    for name, value in tags.items():
        set_model_tag(target, name, value)
    for alias, number in aliases(source).items():
        set_alias(target, alias, number)
    return len(originals)


@store_call
def _create(source: Registry, target: Registry, copy: StoreCopy, number: int) -> None:
    """Create a version that gets the number of its original."""
    client, entry = target.store.client, source.store.client.get_model_version(source.model, str(number))
    model_id = copy.ids[entry.tags[MODEL_ID_TAG]]
    created = client.create_model_version(
        target.model,
        source=client.get_logged_model(model_id).artifact_location,
        run_id=copy.ids[str(entry.run_id)],
        tags={MODEL_TAG: entry.tags[MODEL_TAG], MODEL_ID_TAG: model_id},
        description=copy.translate(entry.description or "") or None,
        model_id=model_id,
    )
    _check_number(target, created, number)


@store_call
def _skip_number(target: Registry, run_id: str, number: int) -> None:
    """Create and delete a version, so that the number of a pruned version is not used again."""
    client = target.store.client
    created = client.create_model_version(target.model, client.get_run(run_id).info.artifact_uri, run_id)
    client.delete_model_version(target.model, created.version)
    _check_number(target, created, number)


def _check_number(target: Registry, created: Entry, number: int) -> None:
    if int(created.version) != number:
        raise ReleaseError(
            f"The server created version {created.version} of {target.model} instead of {number}. Another process "
            "registers models there; delete the registered model on the server and migrate again."
        )
