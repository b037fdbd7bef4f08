"""The registered model as a source of files for the service: resolve an alias, download the version, verify it.

It imports MLflow's client, and none of the other registry modules: those need pandas, which the service does not have.
"""

import errno
import functools
import os
import re
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar

import mlflow.artifacts
import requests
import sqlalchemy.exc
from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from atnet.errors import ModelError, StoreError
from atnet.model_verification import MODEL_ID_TAG, MODEL_TAG, PublishedVersion, recorded_hashes, verify_copy

P = ParamSpec("P")
R = TypeVar("R")

SQLITE = "sqlite:///"
MISSING = frozenset({"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"})
"""MLflow's error codes for an alias that does not point at a version."""
MAX_REASON = 300
"""Characters of the store's own error message that are shown."""
DAMAGED_DOWNLOAD = "They were damaged or replaced in the artifact store. Publish and release the model again."


def _store_call(call: Callable[Concatenate["ModelSource", P], R]) -> Callable[Concatenate["ModelSource", P], R]:
    """Wrap a method so that any error of the store becomes one StoreError."""

    @functools.wraps(call)
    def wrapped_call(source: "ModelSource", /, *args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return call(source, *args, **kwargs)
        except (MlflowException, sqlalchemy.exc.SQLAlchemyError, requests.RequestException, OSError) as error:
            # A full disk is not an error of the store; MLflow reports it in the text of its own exception.
            if os.strerror(errno.ENOSPC) in str(error):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) from error
            raise StoreError(f"The model registry cannot be used ({_reason(error)}).") from error

    return wrapped_call


class ModelSource:
    """The registered model of one store."""

    def __init__(self, uri: str, model: str) -> None:
        self.model = model
        self._uri = uri
        self._client: MlflowClient | None = None

    @_store_call
    def resolve(self, alias: str) -> PublishedVersion | None:
        """Return the version that an alias points at; None if there is no such version or model.

        Raises:
            StoreError: if the registry does not answer.
            ModelError: if no hashes were recorded for the version, so that it cannot be verified.
        """
        try:
            version = self._connect().get_model_version_by_alias(self.model, alias)
        except MlflowException as error:
            if error.error_code in MISSING:
                return None
            raise
        return self._published(version)

    @_store_call
    def download(self, version: PublishedVersion, folder: Path) -> None:
        """Download a version's files into an empty folder and verify them.

        Raises:
            StoreError: if they cannot be downloaded.
            OSError: if the disk is full.
            ModelError: if they are not the files that were published.
        """
        # MLflow would resolve a "models:/" URI in whichever store it considers the current one.
        source = self._connect().get_model_version_download_uri(self.model, str(version.number))
        with tempfile.TemporaryDirectory(dir=folder) as temporary:
            # A store on disk puts the files into a subfolder, a server does not.
            downloaded = mlflow.artifacts.download_artifacts(source, dst_path=temporary, tracking_uri=self._uri)
            for path in Path(downloaded).iterdir():
                path.rename(folder / path.name)
        verify_copy(version, folder, advice=DAMAGED_DOWNLOAD)

    def _connect(self) -> MlflowClient:
        path = Path(self._uri.removeprefix(SQLITE))
        # MLflow would create an empty database if there is none.
        if self._uri.startswith(SQLITE) and not path.is_file():
            raise StoreError(f"{path} is missing. Publish and release a model first: `make pipeline`, `make release`.")
        if self._client is None:
            # Both, or MLFLOW_REGISTRY_URI in the environment would choose another registry.
            self._client = MlflowClient(tracking_uri=self._uri, registry_uri=self._uri)
        return self._client

    def _published(self, version: ModelVersion) -> PublishedVersion:
        number, tags = int(version.version), dict(version.tags)
        recorded: dict[str, str] = {}
        if tags.get(MODEL_TAG) and tags.get(MODEL_ID_TAG):
            recorded = recorded_hashes(self._connect().get_logged_model(tags[MODEL_ID_TAG]).tags)
        if not recorded:
            raise ModelError(
                f"No hashes are recorded for version {number} of {self.model}, so it cannot be verified. "
                "Register models with `atnet release`."
            )
        return PublishedVersion(self.model, number, tags[MODEL_TAG], recorded)


def _reason(error: BaseException) -> str:
    # MLflow wraps "Connection refused" in five of its own exceptions.
    while (deeper := error.__cause__ or error.__context__) is not None:
        error = deeper
    lines = str(error).strip().splitlines()
    # An address may contain a password.
    return re.sub(r"(://[^:/@\s]*):[^@\s]*@", r"\1:***@", lines[0][:MAX_REASON]) if lines else type(error).__name__
