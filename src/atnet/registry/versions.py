"""Versions of the registered model and the aliases that say what they are for."""

import functools
import json
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
from atnet.tracking.logged_model import CONTENT_TAG
from atnet.tracking.store import TrackingStore, open_store, store_faults
from atnet.tracking.tags import MODEL_TAG, finished_run

P = ParamSpec("P")
R = TypeVar("R")

CHAMPION, CHALLENGER, PREVIOUS = "champion", "challenger", "previous"
STATE_TAG = "release.state"
MODEL_ID_TAG = "model.id"
LINK_TAG = "mlflow.modelVersions"
"""By this tag MLflow's page of a logged model leads to its version."""
REDACTED = "REDACTED-RUN-ID"


@dataclass(frozen=True, slots=True)
class Registry:
    """One registered model in a store that has answered."""

    store: TrackingStore
    model: str
    config: TrackingConfig
    root: Path
    """The project's folder."""

    def version_link(self, number: int) -> str:
        """Say where a version is shown."""
        if not self.store.is_server:
            return f"models:/{self.model}/{number}"
        return f"{self.store.address}/#/models/{self.model}/versions/{number}"


@dataclass(frozen=True, slots=True)
class Version:
    """One version of the registered model."""

    number: int
    sha256: str
    """Of the model's files."""
    run_id: str
    model_id: str
    """Of the logged model whose files it has."""
    created: datetime
    tags: Mapping[str, str]

    @property
    def state(self) -> str:
        """Where the version stands: registered, waiting, rejected, promoted or rolled back."""
        return self.tags.get(STATE_TAG, "registered")


def guarded(call: Callable[Concatenate[Registry, P], R]) -> Callable[Concatenate[Registry, P], R]:
    """Tell the registry's faults in one message, as those of the tracking store."""

    @functools.wraps(call)
    def guarded_call(registry: Registry, /, *args: P.args, **kwargs: P.kwargs) -> R:
        with store_faults(registry.store.uri):
            return call(registry, *args, **kwargs)

    return guarded_call


def open_registry(config: TrackingConfig, root: Path) -> Registry:
    """Open the store that keeps the registered model.

    Raises:
        StoreError: if it does not answer.
    """
    return Registry(open_store(config, root), config.model_name, config, root)


@guarded
def is_registered(registry: Registry) -> bool:
    """Tell whether the registered model exists."""
    try:
        registry.store.client.get_registered_model(registry.model)
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            return False
        raise
    return True


@guarded
def ensure_registered_model(registry: Registry) -> None:
    """Make the registered model where there is none."""
    if is_registered(registry):
        return
    try:
        registry.store.client.create_registered_model(registry.model)
    except MlflowException as error:
        # Another process was faster.
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


@guarded
def register(registry: Registry, model_sha256: str) -> Version:
    """Give the version of a published model, made if there is none: a model has one version, whatever is repeated.

    Raises:
        ReleaseError: if the model has not been published whole.
    """
    known = version_of_model(registry, model_sha256)
    if known is None:
        logged = _logged_model(registry, model_sha256)
        made = registry.store.client.create_model_version(
            registry.model,
            # Not its "models:/" address: MLflow would look that up in whatever store it thinks is the current one.
            source=logged.artifact_location,
            run_id=logged.source_run_id,
            tags={MODEL_TAG: model_sha256, MODEL_ID_TAG: logged.model_id, STATE_TAG: "registered"},
            model_id=logged.model_id,
        )
        known = _version(made)
    _link(registry, known)
    return known


@guarded
def versions(registry: Registry) -> list[Version]:
    """List all versions, oldest first."""
    found: list[Version] = []
    token: str | None = None
    while True:
        page = registry.store.client.search_model_versions(
            f"name = '{registry.model}'", max_results=200, page_token=token
        )
        found += [_version(entry) for entry in page if entry.run_id != REDACTED]
        token = page.token
        if not token:
            return sorted(found, key=lambda version: version.number)


def version_of_model(registry: Registry, model_sha256: str) -> Version | None:
    """Find the version with these files, the oldest if there are several."""
    return next((version for version in versions(registry) if version.sha256 == model_sha256), None)


@guarded
def version(registry: Registry, number: int) -> Version:
    """Give a version by its number.

    Raises:
        ReleaseError: if there is none.
    """
    try:
        return _version(registry.store.client.get_model_version(registry.model, str(number)))
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        known = ", ".join(str(one.number) for one in versions(registry)) or "none"
        raise ReleaseError(f"{registry.model} has no version {number}; there are: {known}.") from None


@guarded
def aliases(registry: Registry) -> dict[str, int]:
    """Map each alias to its version; none where the model is not registered yet."""
    try:
        found = registry.store.client.get_registered_model(registry.model)
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            return {}
        raise
    return {str(alias): int(number) for alias, number in found.aliases.items()}


def aliased(registry: Registry, alias: str) -> Version | None:
    """Give the version that an alias points at."""
    number = aliases(registry).get(alias)
    return None if number is None else version(registry, number)


@guarded
def set_alias(registry: Registry, alias: str, number: int | None) -> None:
    """Point an alias at a version in one step of the store; None takes the alias away."""
    if aliases(registry).get(alias) == number:
        return
    if number is None:
        registry.store.client.delete_registered_model_alias(registry.model, alias)
    else:
        registry.store.client.set_registered_model_alias(registry.model, alias, str(number))


@guarded
def set_tags(registry: Registry, number: int, tags: Mapping[str, str]) -> None:
    """Write tags of a version; an empty value takes the tag away."""
    present = version(registry, number).tags
    for name, value in tags.items():
        if value:
            registry.store.client.set_model_version_tag(registry.model, str(number), name, value)
        elif name in present:
            registry.store.client.delete_model_version_tag(registry.model, str(number), name)


@guarded
def describe(registry: Registry, number: int, markdown: str) -> None:
    """Write what a version's page says."""
    registry.store.client.update_model_version(registry.model, str(number), markdown)


@guarded
def describe_model(registry: Registry, markdown: str) -> None:
    """Write what the registered model's page says."""
    registry.store.client.update_registered_model(registry.model, markdown)


@guarded
def model_description(registry: Registry) -> str:
    """Read what the registered model's page says."""
    return str(registry.store.client.get_registered_model(registry.model).description or "")


@guarded
def delete(registry: Registry, number: int) -> None:
    """Take a version out of the registry; its run and its files stay.

    Raises:
        ReleaseError: if an alias points at it: MLflow would drop the alias without a word.
    """
    held = [alias for alias, pointed in aliases(registry).items() if pointed == number]
    if held:
        raise ReleaseError(f"Version {number} is {', '.join(held)} and cannot be removed. Move the alias first.")
    registry.store.client.delete_model_version(registry.model, str(number))


@guarded
def model_tags(registry: Registry) -> dict[str, str]:
    """Read the tags of the registered model; none where it is not registered yet."""
    try:
        return dict(registry.store.client.get_registered_model(registry.model).tags)
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            return {}
        raise


@guarded
def set_model_tag(registry: Registry, name: str, value: str | None) -> None:
    """Write a tag of the registered model; None takes it away."""
    if value is not None:
        registry.store.client.set_registered_model_tag(registry.model, name, value)
    elif name in model_tags(registry):
        registry.store.client.delete_registered_model_tag(registry.model, name)


def _logged_model(registry: Registry, model_sha256: str) -> LoggedModel:
    run = finished_run(registry.store, model_sha256)
    if run is not None:
        found = registry.store.client.search_logged_models(
            [registry.store.experiment_id], filter_string=f"source_run_id = '{run.info.run_id}'"
        )
        # A model of this project whose upload was completed; the newest has the newest inference code.
        whole = [one for one in found if one.status == LoggedModelStatus.READY and CONTENT_TAG in one.tags]
        if whole:
            return max(whole, key=lambda one: one.creation_timestamp)
    raise ReleaseError(f"The model {model_sha256[:8]} has not been published whole. Run `atnet publish`.")


def _link(registry: Registry, known: Version) -> None:
    """Let the logged model's page lead to the version, which a server does by itself."""
    logged = registry.store.client.get_logged_model(known.model_id)
    linked = json.loads(logged.tags.get(LINK_TAG, "[]"))
    if not any(one.get("name") == registry.model and one.get("version") == str(known.number) for one in linked):
        linked.append({"name": registry.model, "version": str(known.number)})
        registry.store.client.set_logged_model_tags(known.model_id, {LINK_TAG: json.dumps(linked)})


def _version(entry: Entry) -> Version:
    return Version(
        number=int(entry.version),
        sha256=entry.tags.get(MODEL_TAG, ""),
        run_id=entry.run_id or "",
        model_id=entry.tags.get(MODEL_ID_TAG, ""),
        created=datetime.fromtimestamp(entry.creation_timestamp / 1000, UTC),
        tags=dict(entry.tags),
    )
