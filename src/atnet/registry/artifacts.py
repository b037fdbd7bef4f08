"""The files of a version and of its run."""

import contextlib
import math
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import mlflow.artifacts
from mlflow.entities import Metric
from mlflow.exceptions import MlflowException

from atnet.errors import ModelError
from atnet.files import DVC_LOCK
from atnet.isolated.process import open_isolated
from atnet.model_verification import PublishedVersion, recorded_hashes, verify_copy
from atnet.published_model import MODEL_FOLDER
from atnet.registry.versions import Registry, Version, store_call
from atnet.text_hashes import TextHashes
from atnet.tracking.store import client_address
from atnet.tracking.tags import milliseconds

REQUIREMENTS = "requirements.txt"
TRAIN_HASHES = "train_hashes.txt"
DAMAGED_IN_STORE = (
    "They were damaged or replaced in the artifact store. `atnet publish` uploads the model in data/07_model again; "
    "for an older version, restore the artifacts from a backup, or use another version."
)


@contextlib.contextmanager
def verified_files(registry: Registry, version: Version) -> Iterator[Path]:
    """Download exactly the files that were published as a version, verify them, and delete the copy afterwards.

    Raises:
        ModelError: if the files cannot be fetched, or are not the ones that were published.
        StoreError: if the store does not answer.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = _download(registry, version, "", folder)
        verify_files(registry, version, path)
        yield path


def verify_files(registry: Registry, version: Version, folder: Path) -> None:
    """Compare a copy of a version's files with the hashes that were recorded when it was published.

    Files that were not published are deleted from the copy: Python could run one, such as bytecode next to the code.

    Raises:
        ModelError: naming what differs.
    """
    published = PublishedVersion(registry.model, version.number, version.sha256, _recorded_hashes(registry, version))
    verify_copy(published, folder, advice=DAMAGED_IN_STORE)


def train_hashes(folder: Path) -> TextHashes:
    """Read the hashes of the texts that a version was trained on from its files.

    Raises:
        DataFileError: if the file is damaged.
    """
    return TextHashes.read(folder / MODEL_FOLDER / TRAIN_HASHES)


@store_call
def download_train_hashes(registry: Registry, version: Version) -> TextHashes:
    """Download only the hashes of the texts that a version was trained on.

    Raises:
        ModelError: if the file cannot be fetched.
        DataFileError: if it is damaged.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = _download(registry, version, f"/{MODEL_FOLDER}/{TRAIN_HASHES}", folder)
        return TextHashes.read(path)


@store_call
def lock_text(registry: Registry, run_id: str) -> str:
    """Read the dvc.lock that a run was published with; empty if there was none."""
    if not any(entry.path == str(DVC_LOCK) for entry in registry.store.client.list_artifacts(run_id)):
        return ""
    with tempfile.TemporaryDirectory() as folder:
        return Path(registry.store.client.download_artifacts(run_id, str(DVC_LOCK), folder)).read_text(encoding="utf-8")


@store_call
def write_artifacts(registry: Registry, run_id: str, texts: Mapping[str, str]) -> None:
    """Write texts to a run's artifacts: path -> text."""
    for path, text in texts.items():
        registry.store.client.log_text(run_id, text, path)


@store_call
def write_metrics(registry: Registry, run_id: str, metrics: Mapping[str, float]) -> None:
    """Write metrics to a run; those of a later gate run replace earlier ones."""
    now = milliseconds()
    points = [Metric(name, float(value), now, 0) for name, value in metrics.items() if math.isfinite(value)]
    if points:
        registry.store.client.log_batch(run_id, metrics=points)


def smoke_test(registry: Registry, version: Version) -> int:
    """Verify a version's files, load it in a separate process and predict its input example.

    Returns:
        The number of rows predicted.

    Raises:
        ModelError: if the files are not the published ones, or the version does not load and predict.
        StoreError: if the store does not answer.
    """
    with verified_files(registry, version) as folder:
        try:
            with open_isolated(folder) as model:
                return model.predict_example()
        except ModelError as error:
            raise ModelError(
                f"Version {version.number} does not load and predict ({error}). No alias moved."
            ) from error


@store_call
def _recorded_hashes(registry: Registry, version: Version) -> dict[str, str]:
    return recorded_hashes(registry.store.client.get_logged_model(version.model_id).tags)


@store_call
def _download(registry: Registry, version: Version, path: str, folder: str) -> Path:
    # MLflow would resolve a "models:/" URI in whichever store it considers the current one.
    source = registry.store.client.get_model_version_download_uri(registry.model, str(version.number))
    try:
        local = mlflow.artifacts.download_artifacts(
            source + path, dst_path=folder, tracking_uri=client_address(registry.store.uri)
        )
    except (MlflowException, OSError) as error:
        cause = str(error).strip().splitlines()[0]
        raise ModelError(
            f"The files of version {version.number} cannot be fetched from {source} ({cause}). "
            "Check that the artifact store is available."
        ) from error
    return Path(local)
