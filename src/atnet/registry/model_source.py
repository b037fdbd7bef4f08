"""The registered model as a source of files for a service: the version under an alias, downloaded and verified by hash.

It imports MLflow's client and nothing else of the registry's adapters, which need pandas: the service runs without it.
"""

import errno
import functools
import os
import re
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar

import mlflow.artifacts
import requests
import sqlalchemy.exc
from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from atnet.errors import ModelError, StoreError
from atnet.inference import UnusableModelError, model_hash
from atnet.published_model import CODE_FILE, CONTENT_TAG, INFERENCE_FILE, MODEL_FOLDER, content_hash
from atnet.self_check import SELF_CHECK_FILE

P = ParamSpec("P")
R = TypeVar("R")

SQLITE = "sqlite:///"
MODEL_TAG = "model.sha256"
MODEL_ID_TAG = "model.id"
MISSING = frozenset({"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"})
"""What MLflow answers for an alias that points at no version."""


@dataclass(frozen=True, slots=True)
class SourceVersion:
    """A version of the registered model, as far as a service needs it."""

    model: str
    number: int
    model_sha256: str
    """Of the model's files: the model's identity."""
    content_sha256: str
    """Of the model's files and of the code that answers."""


def _store_errors(call: Callable[Concatenate["ModelSource", P], R]) -> Callable[Concatenate["ModelSource", P], R]:
    """Raise StoreError for whatever MLflow lets through when its store fails."""

    @functools.wraps(call)
    def wrapped(source: "ModelSource", /, *args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return call(source, *args, **kwargs)
        except (MlflowException, sqlalchemy.exc.SQLAlchemyError, requests.RequestException, OSError) as error:
            # A full disk is not a fault of the store; MLflow tells it in the text of an error of its own.
            if os.strerror(errno.ENOSPC) in str(error):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) from error
            raise StoreError(f"The model registry cannot be used ({_reason(error)}).") from error

    return wrapped


class ModelSource:
    """The registered model of one store."""

    def __init__(self, uri: str, model: str) -> None:
        self.model = model
        self._uri = uri
        self._client: MlflowClient | None = None

    @_store_errors
    def resolve(self, alias: str) -> SourceVersion | None:
        """Return the version that an alias points at; None if there is no such version or model.

        Raises:
            StoreError: if the registry does not answer.
            ModelError: if the version has not been registered by `atnet release`, so that nothing can be verified.
        """
        try:
            version = self._connect().get_model_version_by_alias(self.model, alias)
        except MlflowException as error:
            if error.error_code in MISSING:
                return None
            raise
        return self._verifiable(version)

    @_store_errors
    def download(self, version: SourceVersion, folder: Path) -> None:
        """Download a version's files into a folder and verify them by hash.

        Raises:
            StoreError: if they cannot be fetched.
        OSError: if the disk is full.
            ModelError: if they are not the files that were published.
        """
        # A "models:/" address would be looked up in whatever store MLflow thinks is the current one.
        address = self._connect().get_model_version_download_uri(self.model, str(version.number))
        with tempfile.TemporaryDirectory(dir=folder) as temporary:
            # A store on disk puts the files into a folder of its own name, a server does not.
            downloaded = mlflow.artifacts.download_artifacts(address, dst_path=temporary, tracking_uri=self._uri)
            for path in Path(downloaded).iterdir():
                path.rename(folder / path.name)
        verify_published(folder, version)

    def _connect(self) -> MlflowClient:
        path = Path(self._uri.removeprefix(SQLITE))
        # MLflow would make an empty database where there is none.
        if self._uri.startswith(SQLITE) and not path.is_file():
            raise StoreError(f"{path} is missing. Publish and release a model first: `make pipeline`, `make release`.")
        if self._client is None:
            self._client = MlflowClient(tracking_uri=self._uri)
        return self._client

    def _verifiable(self, version: ModelVersion) -> SourceVersion:
        number, tags = int(version.version), dict(version.tags)
        if not tags.get(MODEL_TAG) or not tags.get(MODEL_ID_TAG):
            raise ModelError(
                f"Version {number} of {self.model} has no hash to verify it by. Register it with `atnet release`."
            )
        logged = self._connect().get_logged_model(tags[MODEL_ID_TAG])
        return SourceVersion(self.model, number, tags[MODEL_TAG], logged.tags.get(CONTENT_TAG, ""))


def verify_published(folder: Path, version: SourceVersion) -> None:
    """Compare a downloaded model folder with the hashes recorded when it was published.

    Raises:
        ModelError: if a file is missing or differs.
    """
    model = folder / MODEL_FOLDER
    try:
        files = [path for path in model.iterdir() if path.name != SELF_CHECK_FILE]
        hashes = model_hash(model), content_hash((folder / CODE_FILE, folder / INFERENCE_FILE), files)
    except (UnusableModelError, OSError) as error:
        raise ModelError(f"The files of version {version.number} are not complete ({error}).") from error
    for expected, actual in zip((version.model_sha256, version.content_sha256), hashes, strict=True):
        if actual != expected:
            raise ModelError(
                f"The files of version {version.number} have the hash {actual[:8]}, published was {expected[:8]}: "
                "they were changed or damaged. Publish and release the model again."
            )


def _reason(error: BaseException) -> str:
    # MLflow wraps "Connection refused" in five layers of its own words.
    while (deeper := error.__cause__ or error.__context__) is not None:
        error = deeper
    lines = str(error).strip().splitlines()
    # An address may hold a password.
    return re.sub(r"(://[^:/@\s]*):[^@\s]*@", r"\1:***@", lines[0][:300]) if lines else type(error).__name__
