"""The MLflow tracking store: its address, opening it, and its errors in one message."""

import contextlib
import os
import sqlite3
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar
from urllib.parse import unquote

from atnet.config import TrackingConfig
from atnet.errors import StoreError
from atnet.redaction import redact, remember_secrets, without_credentials
from atnet.storage import project_root, sqlite_address

QUIET = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    # Otherwise the server starts eight more processes for agents' jobs, which outlive it.
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
}
# MLflow starts its telemetry when it is imported, so this cannot wait for a function.
for _name, _value in QUIET.items():
    os.environ.setdefault(_name, _value)

import requests  # noqa: E402
import sqlalchemy  # noqa: E402
from mlflow import MlflowClient  # noqa: E402
from mlflow.exceptions import MlflowException  # noqa: E402

from atnet.tracking.sqlite_store import ensure_database  # noqa: E402
from atnet.tracking.store_errors import SQLITE, explain, missing_driver, readable  # noqa: E402
from atnet.tracking.tool_log import log_to_file  # noqa: E402

T = TypeVar("T")
URI_VARIABLE = "MLFLOW_TRACKING_URI"
MODEL_TRAINING = {"mlflow.experimentKind": "custom_model_development"}
MODEL_TRAINING_PAGE = "?workflowType=machine_learning"
"""Without it, MLflow's UI opens in the layout for prompts and agents."""
STORE_FAULTS = (MlflowException, sqlalchemy.exc.SQLAlchemyError, sqlite3.Error, requests.RequestException)
"""The exceptions that MLflow raises when its store fails."""


@dataclass(frozen=True, slots=True)
class TrackingStore:
    """An open MLflow store, and the project's experiment in it."""

    client: MlflowClient
    uri: str
    experiment_id: str

    @property
    def is_server(self) -> bool:
        """Return whether the store is an MLflow server."""
        return self.uri.startswith(("http://", "https://"))

    @property
    def address(self) -> str:
        """Return the server's address for links, without credentials."""
        return without_credentials(self.uri).rstrip("/")

    def run_link(self, run_id: str) -> str:
        """Return where a run is shown: a page of the server, or the run's id for a store without one."""
        if not self.is_server:
            return f"run {run_id} in {readable(self.uri)}"
        return f"{self.address}/#/experiments/{self.experiment_id}/runs/{run_id}{MODEL_TRAINING_PAGE}"


def open_store(config: TrackingConfig, root: Path | None = None) -> TrackingStore:
    """Open the tracking store and create the experiment if it is missing.

    Raises:
        StoreError: if the store is locked, unreachable or silent for `timeout_seconds`, or if its experiment cannot
            be used.
    """
    _limit_requests(config.timeout_seconds)
    anchor = project_root(root)
    log_to_file(anchor)
    uri = resolve_uri(config, anchor)
    with store_faults(uri):
        if uri.startswith(SQLITE):
            ensure_database(Path(uri.removeprefix(SQLITE)), config.timeout_seconds)
            return _open(config, uri, anchor)
        _import_driver(uri)
        return _within(config.timeout_seconds, uri, lambda: _open(config, uri, anchor))


def resolve_uri(config: TrackingConfig, anchor: Path) -> str:
    """Return the store's address: that of the environment, else of params.yaml, with a relative SQLite path anchored.

    Raises:
        StoreError: for a plain folder, which MLflow no longer supports.
    """
    uri = os.environ.get(URI_VARIABLE) or config.uri
    remember_secrets(uri)
    if uri.startswith(SQLITE):
        return f"{SQLITE}{(anchor / uri.removeprefix(SQLITE)).resolve()}"
    if "://" not in uri and uri != "databricks":
        raise StoreError(
            f"The tracking store {uri!r} is a folder; MLflow stores runs in a database or on a server. "
            f"Set tracking.uri (or {URI_VARIABLE}) to something like sqlite:///mlflow.db or https://mlflow.example.org."
        )
    return uri


def open_database(config: TrackingConfig, database: Path, root: Path) -> TrackingStore:
    """Open a SQLite database as a store, whatever address is configured.

    Raises:
        StoreError: if it cannot be used.
    """
    uri = f"{SQLITE}{database}"
    with store_faults(uri):
        return _open(config, uri, root)


def configured_database(config: TrackingConfig, anchor: Path) -> Path:
    """Return the path of the SQLite database that is configured as the store, whether it exists or not.

    Raises:
        StoreError: if the store is a server or another database, which has its own backups.
    """
    uri = resolve_uri(config, anchor)
    if not uri.startswith(SQLITE):
        raise StoreError(
            f"The tracking store {readable(uri)} is not a SQLite file. Back up its database and artifact store with "
            "their own tools (docs/operating.md)."
        )
    return Path(uri.removeprefix(SQLITE))


def artifact_folder(config: TrackingConfig, anchor: Path) -> Path:
    """Return the folder of the artifacts.

    Raises:
        StoreError: if they are not in a folder of this machine.
    """
    if "://" in config.artifact_location:
        raise StoreError(
            f"tracking.artifact_location is {redact(config.artifact_location)}, not a folder. Back it up with the "
            "tools of that store (docs/operating.md)."
        )
    return (anchor / config.artifact_location).resolve()


@contextlib.contextmanager
def store_faults(uri: str) -> Iterator[None]:
    """Turn any error of the store into one message; the traceback goes to the log file.

    Raises:
        StoreError: with the store's own message and the next step.
    """
    try:
        yield
    except ImportError as error:
        if uri.startswith((SQLITE, "http://", "https://")):
            raise
        raise StoreError(missing_driver(uri, error)) from error
    except (*STORE_FAULTS, OSError) as error:
        raise StoreError(explain(uri, error)) from error


def client_address(uri: str) -> str:
    """Return a store's address as MLflow must get it: in a SQLite address, % and ? have a meaning."""
    return sqlite_address(Path(uri.removeprefix(SQLITE))) if uri.startswith(SQLITE) else uri


def _open(config: TrackingConfig, uri: str, anchor: Path) -> TrackingStore:
    # Both: otherwise MLFLOW_REGISTRY_URI would send versions and aliases to another store than the runs.
    client = MlflowClient(tracking_uri=client_address(uri), registry_uri=client_address(uri))
    experiment = client.get_experiment_by_name(config.experiment)
    if experiment is None:
        # Without a server, MLflow would put artifacts below the current folder.
        location = None if uri.startswith("http") else artifact_location(config, anchor)
        try:
            created = client.create_experiment(config.experiment, artifact_location=location, tags=MODEL_TRAINING)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
            # Another process created it first.
            return _open(config, uri, anchor)
        return TrackingStore(client, uri, created)
    if experiment.lifecycle_stage != "active":
        raise StoreError(
            f"The experiment {config.experiment!r} in {readable(uri)} has been deleted. Restore it with "
            f"`mlflow experiments restore -x {experiment.experiment_id}`, or set another tracking.experiment."
        )
    _check_artifacts(experiment.artifact_location, uri)
    return TrackingStore(client, uri, experiment.experiment_id)


def artifact_location(config: TrackingConfig, anchor: Path) -> str:
    """Return where a store without a server puts artifacts; a folder is created where it is missing."""
    if "://" in config.artifact_location:
        return config.artifact_location
    folder = (anchor / config.artifact_location).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    # MLflow decodes a plain path, too: only as an address does one with %20 in it lead to its folder.
    return folder.as_uri() if unquote(str(folder)) != str(folder) else str(folder)


def _check_artifacts(location: str, uri: str) -> None:
    # The store contains an absolute path, which is wrong once the project's folder has moved.
    folder = Path(unquote(location.removeprefix("file://")) if location.startswith("file://") else location)
    if folder.is_absolute() and uri.startswith(SQLITE) and not folder.is_dir():
        raise StoreError(
            f"The tracking store {readable(uri)} has its artifacts in {folder}, which does not exist. Was the project "
            "moved? Create that folder, or move the store aside: `atnet publish` rebuilds the run from the files."
        )


def _import_driver(uri: str) -> None:
    """Import the database's driver before the timeout for the database starts."""
    if "://" in uri and not uri.startswith(("http://", "https://", "databricks")):
        sqlalchemy.make_url(uri).get_dialect().import_dbapi()


def _within(seconds: int, uri: str, call: Callable[[], T]) -> T:
    """Return what a call returns, but wait at most `seconds`, whatever the network does."""
    results: list[T] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(call())
        except BaseException as error:
            errors.append(error)

    # A daemon: a call that never returns must not keep the process alive.
    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    if errors:
        raise errors[0]
    if not results:
        raise StoreError(
            f"The tracking store {readable(uri)} did not answer within {seconds} s. Check that it is running and can "
            f"be reached from here, or set {URI_VARIABLE} (or tracking.uri) to another one; "
            "tracking.timeout_seconds sets how long to wait."
        )
    return results[0]


def _limit_requests(timeout_seconds: int) -> None:
    # By default MLflow waits 120 s and retries seven times; a training would hang for so long at every epoch.
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", str(timeout_seconds))
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
