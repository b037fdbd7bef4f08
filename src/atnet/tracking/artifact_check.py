"""Write a small artifact and delete it again, as a training and a release must be able to."""

import contextlib
import tempfile
from pathlib import Path

from mlflow.exceptions import MlflowException
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

from atnet.errors import StoreError
from atnet.file_system import file_system_message, is_file_system_error
from atnet.redaction import redact
from atnet.tracking.store import TrackingStore, client_address, store_faults

FOLDER = ".atnet-write-check"


def check_artifacts_writable(store: TrackingStore) -> str:
    """Write a file to the artifact location of the project's experiment, delete it, and return the location.

    Raises:
        StoreError: if it cannot be written.
    """
    with store_faults(store.uri):
        location = str(store.client.get_experiment(store.experiment_id).artifact_location)
    try:
        _write_and_delete(location, client_address(store.uri))
    except (MlflowException, OSError) as error:
        raise StoreError(f"The artifact location {redact(location)} cannot be written: {_reason(error)}") from error
    return redact(location)


def _write_and_delete(location: str, tracking_uri: str) -> None:
    repository = get_artifact_repository(location, tracking_uri=tracking_uri)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "check.txt")
        file.write_text("written by atnet doctor\n", encoding="utf-8")
        repository.log_artifact(str(file), FOLDER)  # type: ignore[no-untyped-call]
    # Some cloud stores cannot delete; the file is tiny, and the next check replaces it.
    with contextlib.suppress(NotImplementedError):
        repository.delete_artifacts(FOLDER)  # type: ignore[no-untyped-call]


def _reason(error: MlflowException | OSError) -> str:
    if isinstance(error, OSError) and is_file_system_error(error):
        return file_system_message(error)
    return redact(str(error).strip().partition("\n")[0])
