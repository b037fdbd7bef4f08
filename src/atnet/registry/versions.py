"""Versions of the registered model and the aliases that point at them."""

import functools
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar

from mlflow.entities import LoggedModel, LoggedModelStatus
from mlflow.entities.model_registry import ModelVersion as Entry
from mlflow.exceptions import MlflowException

from atnet.config import TrackingConfig
from atnet.errors import ReleaseError
from atnet.model_verification import MODEL_ID_TAG, MODEL_TAG
from atnet.tracking.logged_model import CONTENT_TAG
from atnet.tracking.store import TrackingStore, open_database, open_store, store_faults
from atnet.tracking.tags import finished_run

P = ParamSpec("P")
R = TypeVar("R")

CHAMPION, CHALLENGER, PREVIOUS = "champion", "challenger", "previous"
STATE_TAG = "release.state"
LINK_TAG = "mlflow.modelVersions"
"""MLflow's page of a logged model links to its version through this tag."""
REDACTED = "REDACTED-RUN-ID"
DUPLICATE_ROW = re.compile(r"UNIQUE constraint failed|UniqueViolation|duplicate key")
"""How SQLite and PostgreSQL report that a row was inserted twice."""


@dataclass(frozen=True, slots=True)
class Registry:
    """One registered model in a store that answers."""

    store: TrackingStore
    model: str
    config: TrackingConfig
    root: Path
    """The project folder."""


@dataclass(frozen=True, slots=True)
class Version:
    """One version of the registered model."""

    number: int
    sha256: str
    """SHA-256 of the model files."""
    run_id: str
    model_id: str
    """Id of the logged model that holds its files."""
    created: datetime
    tags: Mapping[str, str]

    @property
    def state(self) -> str:
        """registered, pending_approval, rejected, rejected_by_user, promoted or rolled_back."""
        return self.tags.get(STATE_TAG, "registered")


def store_call(call: Callable[Concatenate[Registry, P], R]) -> Callable[Concatenate[Registry, P], R]:
    """Wrap a function so that an error of the registry becomes one StoreError."""

    @functools.wraps(call)
    def wrapped_call(registry: Registry, /, *args: P.args, **kwargs: P.kwargs) -> R:
        with store_faults(registry.store.uri):
            return call(registry, *args, **kwargs)

    return wrapped_call


def open_registry(config: TrackingConfig, root: Path) -> Registry:
    """Open the store of the registered model.

    Raises:
        StoreError: if it does not answer.
    """
    return Registry(open_store(config, root), config.model_name, config, root)


def open_registry_copy(config: TrackingConfig, database: Path, root: Path) -> Registry:
    """Open the registry in a copy of the project's SQLite database.

    Raises:
        StoreError: if it cannot be used.
    """
    return Registry(open_database(config, database, root), config.model_name, config, root)


@store_call
def is_registered(registry: Registry) -> bool:
    """Return whether the registered model exists."""
    try:
        registry.store.client.get_registered_model(registry.model)
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            return False
        raise
    return True


@store_call
def ensure_registered_model(registry: Registry) -> None:
    """Create the registered model if it does not exist."""
    if is_registered(registry):
        return
    try:
        registry.store.client.create_registered_model(registry.model)
    except MlflowException as error:
        # Another process created it first.
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


@store_call
def register(registry: Registry, model_sha256: str) -> Version:
    """Return the version of a published model; create it if there is none. One model has one version.

    Raises:
        ReleaseError: if the model has not been published completely.
    """
    registered = version_of_model(registry, model_sha256)
    if registered is None:
        logged = _logged_model(registry, model_sha256)
        created = registry.store.client.create_model_version(
            registry.model,
            # Not its "models:/" address: MLflow would look that up in whatever store it thinks is the current one.
            source=logged.artifact_location,
            run_id=logged.source_run_id,
            tags={MODEL_TAG: model_sha256, MODEL_ID_TAG: logged.model_id, STATE_TAG: "registered"},
            model_id=logged.model_id,
        )
        registered = _version(created)
    _link(registry, registered)
    return registered


@store_call
def versions(registry: Registry) -> list[Version]:
    """List all versions, oldest first."""
    all_versions: list[Version] = []
    token: str | None = None
    while True:
        page = registry.store.client.search_model_versions(
            f"name = '{registry.model}'", max_results=200, page_token=token
        )
        all_versions += [_version(entry) for entry in page if entry.run_id != REDACTED]
        token = page.token
        if not token:
            return sorted(all_versions, key=lambda version: version.number)


def version_of_model(registry: Registry, model_sha256: str) -> Version | None:
    """Return the version with these model files, the oldest if there are several; None if there is none."""
    return next((version for version in versions(registry) if version.sha256 == model_sha256), None)


@store_call
def version(registry: Registry, number: int) -> Version:
    """Return a version by its number.

    Raises:
        ReleaseError: if it does not exist.
    """
    try:
        return _version(registry.store.client.get_model_version(registry.model, str(number)))
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        numbers = ", ".join(str(existing.number) for existing in versions(registry)) or "none"
        raise ReleaseError(f"{registry.model} has no version {number}. Existing versions: {numbers}.") from None


@store_call
def aliases(registry: Registry) -> dict[str, int]:
    """Map each alias to its version number; empty if the model is not registered yet."""
    try:
        model = registry.store.client.get_registered_model(registry.model)
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            return {}
        raise
    return {str(alias): int(number) for alias, number in model.aliases.items()}


def aliased(registry: Registry, alias: str) -> Version | None:
    """Return the version that an alias points at; None if the alias does not exist."""
    number = aliases(registry).get(alias)
    return None if number is None else version(registry, number)


@store_call
def set_alias(registry: Registry, alias: str, number: int | None) -> None:
    """Point an alias at a version in one write to the store; None removes the alias."""
    if aliases(registry).get(alias) == number:
        return
    if number is None:
        registry.store.client.delete_registered_model_alias(registry.model, alias)
    else:
        registry.store.client.set_registered_model_alias(registry.model, alias, str(number))


@store_call
def set_tags(registry: Registry, number: int, tags: Mapping[str, str]) -> None:
    """Write tags of a version; an empty value removes the tag."""
    present = version(registry, number).tags
    for name, value in tags.items():
        if value:
            registry.store.client.set_model_version_tag(registry.model, str(number), name, value)
        elif name in present:
            registry.store.client.delete_model_version_tag(registry.model, str(number), name)


@store_call
def describe(registry: Registry, number: int, markdown: str) -> None:
    """Write the description of a version."""
    registry.store.client.update_model_version(registry.model, str(number), markdown)


@store_call
def describe_model(registry: Registry, markdown: str) -> None:
    """Write the description of the registered model."""
    registry.store.client.update_registered_model(registry.model, markdown)


@store_call
def model_description(registry: Registry) -> str:
    """Read the description of the registered model."""
    return str(registry.store.client.get_registered_model(registry.model).description or "")


@store_call
def delete(registry: Registry, number: int) -> None:
    """Delete a version from the registry; its run and its files stay.

    Raises:
        ReleaseError: if an alias points at it: MLflow would silently drop the alias.
    """
    pointing = [alias for alias, target in aliases(registry).items() if target == number]
    if pointing:
        raise ReleaseError(f"Version {number} is {', '.join(pointing)} and cannot be deleted. Move the alias first.")
    registry.store.client.delete_model_version(registry.model, str(number))


@store_call
def model_tags(registry: Registry) -> dict[str, str]:
    """Read the tags of the registered model; empty if it is not registered yet."""
    try:
        return dict(registry.store.client.get_registered_model(registry.model).tags)
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            return {}
        raise


@store_call
def set_model_tag(registry: Registry, name: str, value: str | None) -> None:
    """Write a tag of the registered model; None removes it."""
    if value is not None:
        try:
            registry.store.client.set_registered_model_tag(registry.model, name, value)
        except MlflowException as error:
            # Another process has written the first value of this tag at the same time; now there is one to replace.
            if not DUPLICATE_ROW.search(str(error)):
                raise
            registry.store.client.set_registered_model_tag(registry.model, name, value)
    elif name in model_tags(registry):
        registry.store.client.delete_registered_model_tag(registry.model, name)


def _logged_model(registry: Registry, model_sha256: str) -> LoggedModel:
    run = finished_run(registry.store, model_sha256)
    if run is not None:
        models = registry.store.client.search_logged_models(
            [registry.store.experiment_id], filter_string=f"source_run_id = '{run.info.run_id}'"
        )
        # Models of this project whose upload was completed; the newest has the newest inference code.
        complete = [model for model in models if model.status == LoggedModelStatus.READY and CONTENT_TAG in model.tags]
        if complete:
            return max(complete, key=lambda model: model.creation_timestamp)
    raise ReleaseError(f"The model {model_sha256[:8]} has not been published completely. Run `atnet publish`.")


def _link(registry: Registry, version: Version) -> None:
    """Link the logged model's page to the version; an MLflow server does that too."""
    logged = registry.store.client.get_logged_model(version.model_id)
    linked = json.loads(logged.tags.get(LINK_TAG, "[]"))
    link = {"name": registry.model, "version": str(version.number)}
    if link not in [{key: entry.get(key) for key in link} for entry in linked]:
        linked.append(link)
        registry.store.client.set_logged_model_tags(version.model_id, {LINK_TAG: json.dumps(linked)})


def _version(entry: Entry) -> Version:
    return Version(
        number=int(entry.version),
        sha256=entry.tags.get(MODEL_TAG, ""),
        run_id=entry.run_id or "",
        model_id=entry.tags.get(MODEL_ID_TAG, ""),
        created=datetime.fromtimestamp(entry.creation_timestamp / 1000, UTC),
        tags=dict(entry.tags),
    )
