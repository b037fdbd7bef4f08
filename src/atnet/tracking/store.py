"""Open the tracking store within a time limit, and turn its errors into one message."""

import contextlib
import os
import re
import sqlite3
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from atnet.config import TrackingConfig
from atnet.errors import StoreError
from atnet.file_system import file_system_message, is_file_system_error
from atnet.storage import project_root

QUIET = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    # Eight processes more for jobs of agents, which outlive the UI when it is ended.
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
}
# MLflow starts its telemetry when it is imported, so this cannot wait for a function.
for _name, _value in QUIET.items():
    os.environ.setdefault(_name, _value)

import requests  # noqa: E402
import sqlalchemy.exc  # noqa: E402
from mlflow import MlflowClient  # noqa: E402
from mlflow.exceptions import MlflowException  # noqa: E402

from atnet.tracking.sqlite_store import ForeignDatabaseError, ensure_database  # noqa: E402
from atnet.tracking.tool_log import log_error, log_to_file  # noqa: E402

T = TypeVar("T")

URI_VARIABLE = "MLFLOW_TRACKING_URI"
SQLITE = "sqlite:///"
MODEL_TRAINING = {"mlflow.experimentKind": "custom_model_development"}
MODEL_TRAINING_PAGE = "?workflowType=machine_learning"
"""Without these two MLflow's pages are laid out for prompts and agents."""
INCOMPLETE_SCHEMA = re.compile(r"duplicate column name|_alembic_tmp_|no such (index|table)|table \w+ already exists")
"""Errors of a database whose tables were not all created or migrated."""
STORE_FAULTS = (MlflowException, sqlalchemy.exc.SQLAlchemyError, sqlite3.Error, requests.RequestException)
"""What MLflow raises when its store fails."""


@dataclass(frozen=True, slots=True)
class TrackingStore:
    """An MLflow store that has answered, and the experiment in it."""

    client: MlflowClient
    uri: str
    experiment_id: str

    @property
    def is_server(self) -> bool:
        """Return whether the store is an MLflow server."""
        return self.uri.startswith(("http://", "https://"))

    def run_link(self, run_id: str) -> str:
        """Say where a run is shown: an address of the server, or the run's id for a store without one."""
        path = f"#/experiments/{self.experiment_id}/runs/{run_id}{MODEL_TRAINING_PAGE}"
        return f"{self.uri.rstrip('/')}/{path}" if self.is_server else f"run {run_id} in {shown(self.uri)}"


def open_store(config: TrackingConfig, root: Path | None = None) -> TrackingStore:
    """Open the tracking store and create the experiment if it does not exist.

    Raises:
        StoreError: if the store is locked, cannot be reached or does not answer within `timeout_seconds`, or if its
            experiment cannot be used.
    """
    _limit_requests(config.timeout_seconds)
    anchor = project_root(root)
    log_to_file(anchor, shown)
    uri = resolve_uri(config, anchor)
    with store_faults(uri):
        if uri.startswith(SQLITE):
            ensure_database(Path(uri.removeprefix(SQLITE)), config.timeout_seconds)
            return _open(config, uri, anchor)
        return _within(config.timeout_seconds, uri, lambda: _open(config, uri, anchor))


def resolve_uri(config: TrackingConfig, anchor: Path) -> str:
    """Return the address of the store: of the environment, else of params.yaml; a SQLite path becomes absolute.

    Raises:
        StoreError: for a plain folder, which MLflow no longer supports.
    """
    uri = os.environ.get(URI_VARIABLE) or config.uri
    if uri.startswith(SQLITE):
        return f"{SQLITE}{(anchor / uri.removeprefix(SQLITE)).resolve()}"
    if "://" not in uri and uri != "databricks":
        raise StoreError(
            f"The tracking store {uri!r} is a folder; MLflow keeps runs in a database or on a server. "
            f"Set tracking.uri (or {URI_VARIABLE}) to something like sqlite:///mlflow.db or https://mlflow.example.org."
        )
    return uri


def ui_command(
    config: TrackingConfig, root: Path | None = None, *, host: str = "127.0.0.1", port: int = 5000
) -> list[str]:
    """Give the command that shows the runs in a browser: MLflow's UI, or for a server its own address."""
    uri = resolve_uri(config, project_root(root))
    if uri.startswith(("http://", "https://")):
        return [sys.executable, "-m", "webbrowser", ui_address(config, root)]
    artifacts = _artifact_location(config, project_root(root))
    return [
        *(sys.executable, "-m", "mlflow", "server", "--host", host, "--port", str(port), "--workers", "1"),
        *("--backend-store-uri", uri, "--default-artifact-root", artifacts),
    ]


def ui_address(config: TrackingConfig, root: Path | None = None, *, host: str = "127.0.0.1", port: int = 5000) -> str:
    """Say where the runs are shown once the command of `ui_command` runs."""
    uri = resolve_uri(config, project_root(root))
    server = uri.rstrip("/") if uri.startswith(("http://", "https://")) else f"http://{host}:{port}"
    return f"{shown(server)}/#/experiments{MODEL_TRAINING_PAGE}"


@contextlib.contextmanager
def store_faults(uri: str) -> Iterator[None]:
    """Turn any error of the store into one message; the traceback goes to the log file.

    Raises:
        StoreError: with the store's own message and the next step.
    """
    try:
        yield
    except STORE_FAULTS as error:
        raise StoreError(_with_log_file(_explain(uri, error), error)) from error
    except OSError as error:
        if is_file_system_error(error):
            where = f"The tracking store {shown(uri)}"
            raise StoreError(f"{where} cannot be written: {file_system_message(error)}") from error
        raise StoreError(_with_log_file(_explain(uri, error), error)) from error


def shown(uri: str) -> str:
    """Give an address without the password in it."""
    return re.sub(r"(://[^:/@]*):[^@]*@", r"\1:***@", uri).removeprefix(SQLITE)


def _open(config: TrackingConfig, uri: str, anchor: Path) -> TrackingStore:
    # Both, or MLFLOW_REGISTRY_URI in the environment would choose another registry.
    client = MlflowClient(tracking_uri=uri, registry_uri=uri)
    experiment = client.get_experiment_by_name(config.experiment)
    if experiment is None:
        # Without a server MLflow would put artifacts below whatever folder the command runs in.
        location = None if uri.startswith("http") else _artifact_location(config, anchor)
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
            f"The experiment {config.experiment!r} in {shown(uri)} has been deleted. Bring it back with "
            f"`mlflow experiments restore -x {experiment.experiment_id}`, or set another tracking.experiment."
        )
    _check_artifacts(experiment.artifact_location, uri)
    return TrackingStore(client, uri, experiment.experiment_id)


def _artifact_location(config: TrackingConfig, anchor: Path) -> str:
    if "://" in config.artifact_location:
        return config.artifact_location
    folder = (anchor / config.artifact_location).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    return str(folder)


def _check_artifacts(location: str, uri: str) -> None:
    # The store holds an absolute path: it leads nowhere once the project's folder has moved.
    if location.startswith("/") and uri.startswith(SQLITE) and not Path(location).is_dir():
        raise StoreError(
            f"The tracking store {shown(uri)} keeps its artifacts in {location}, which is not there; was the project "
            "moved? Make that folder again, or move the store aside: `atnet publish` rebuilds the run from the files."
        )


def _within(seconds: int, uri: str, call: Callable[[], T]) -> T:
    """Wait for a result at most `seconds`, whatever the network does."""
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
            f"The tracking store {shown(uri)} did not answer within {seconds} s. See that it runs and can be reached "
            f"from here, or point {URI_VARIABLE} (or tracking.uri) at another; tracking.timeout_seconds sets the wait."
        )
    return results[0]


def _explain(uri: str, error: Exception) -> str:
    where = f"The tracking store {shown(uri)}"
    reason = str(error)
    if "database is locked" in reason:
        return (
            f"{where} is locked by another process. Close what holds it open (a database browser, a backup, another "
            "command of the project) and run the command again."
        )
    if isinstance(error, ForeignDatabaseError):
        return (
            f"{where} belongs to another program (it {reason}). Set tracking.uri (or {URI_VARIABLE}) to another file."
        )
    if INCOMPLETE_SCHEMA.search(reason):
        return (
            f"{where} was not created or upgraded completely ({_first_line(reason)}). Restore a backup, or move the "
            "file aside and run `atnet publish`: it rebuilds the run from the files."
        )
    if "not a database" in reason or "malformed" in reason:
        return (
            f"{where} is not a readable SQLite database. Move the file aside and run `atnet publish`: "
            "it rebuilds the run from the files."
        )
    if "out-of-date database schema" in reason:
        return f"{where} was made by another version of MLflow. Back it up, then run `mlflow db upgrade <its URI>`."
    if "readonly database" in reason:
        return (
            f"{where} is read-only. Give this user write permission to the file and its folder, or point "
            f"{URI_VARIABLE} (or tracking.uri) at another store."
        )
    if "disk is full" in reason:
        return f"{where} cannot be written: the disk is full. Free some space and run the command again."
    cause = _first_cause(error)
    message = _first_line(str(cause)) or type(cause).__name__
    return f"{where} cannot be used ({message}). See that it runs and can be reached."


def _with_log_file(message: str, error: Exception) -> str:
    path = log_error(error)
    return f"{message} Details: {path}" if path else message


def _first_cause(error: BaseException) -> BaseException:
    # MLflow wraps "Connection refused" in five exceptions of its own.
    while (deeper := error.__cause__ or error.__context__) is not None:
        error = deeper
    return error


def _first_line(reason: str) -> str:
    line = reason.strip().splitlines()[0] if reason.strip() else ""
    return shown(line if len(line) <= 300 else f"{line[:300]}...")


def _limit_requests(timeout_seconds: int) -> None:
    # By default MLflow waits 120 s and retries seven times; a training would hang for so long at every epoch.
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", str(timeout_seconds))
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
