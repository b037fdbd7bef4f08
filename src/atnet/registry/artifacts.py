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
from atnet.registry.versions import Registry, Version, guarded
from atnet.tracking.store import client_address
from atnet.tracking.tags import milliseconds

MODEL_FOLDER = "artifacts/model"
REQUIREMENTS = "requirements.txt"
TRAIN_HASHES = "train_hashes.txt"
ROLLBACK_TEXT = "A text."


@contextlib.contextmanager
def version_folder(registry: Registry, version: Version) -> Iterator[Path]:
    """Give a copy of a version's files, as long as the block lasts."""
    with tempfile.TemporaryDirectory() as folder:
        yield _download(registry, version, "", folder)


def train_hashes(registry: Registry, version: Version) -> frozenset[str]:
    """Give the hashes of the texts that a version was trained on.

    Raises:
        StoreError: if the version's files cannot be read.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = _download(registry, version, f"/{MODEL_FOLDER}/{TRAIN_HASHES}", folder)
        return frozenset(path.read_text(encoding="utf-8").split())


@guarded
def lock_text(registry: Registry, run_id: str) -> str:
    """Give the dvc.lock that a run was published with; empty where there was none."""
    if not any(entry.path == str(DVC_LOCK) for entry in registry.store.client.list_artifacts(run_id)):
        return ""
    with tempfile.TemporaryDirectory() as folder:
        return Path(registry.store.client.download_artifacts(run_id, str(DVC_LOCK), folder)).read_text(encoding="utf-8")


@guarded
def write_artifacts(registry: Registry, run_id: str, texts: Mapping[str, str]) -> None:
    """Put texts among a run's artifacts: path -> text."""
    for path, text in texts.items():
        registry.store.client.log_text(run_id, text, path)


@guarded
def write_metrics(registry: Registry, run_id: str, numbers: Mapping[str, float]) -> None:
    """Put numbers among a run's metrics; those of a later judgment count."""
    now = milliseconds()
    points = [Metric(name, float(value), now, 0) for name, value in numbers.items() if math.isfinite(value)]
    if points:
        registry.store.client.log_batch(run_id, metrics=points)


def smoke_test(registry: Registry, version: Version) -> str:
    """Load a version here and let it answer one text; give the label.

    Raises:
        ModelError: if it cannot be loaded or does not answer.
        StoreError: if its files cannot be fetched.
    """
    with version_folder(registry, version) as folder:
        import mlflow.pyfunc

        try:
            answers = mlflow.pyfunc.load_model(str(folder)).predict([ROLLBACK_TEXT])
            return str(answers["label"][0])
        # Whatever goes wrong in the version's own code speaks against the version.
        except Exception as error:
            said = str(error).strip().splitlines() or [type(error).__name__]
            raise ModelError(f"Version {version.number} does not answer ({said[0]}). Nothing was moved.") from error


@guarded
def _download(registry: Registry, version: Version, path: str, folder: str) -> Path:
    # MLflow would look a "models:/" address up in whatever store it thinks is the current one.
    source = registry.store.client.get_model_version_download_uri(registry.model, str(version.number))
    try:
        found = mlflow.artifacts.download_artifacts(
            source + path, dst_path=folder, tracking_uri=client_address(registry.store.uri)
        )
    except (MlflowException, OSError) as error:
        words = str(error).strip().splitlines()[0]
        raise ModelError(
            f"The files of version {version.number} cannot be fetched from {source} ({words}). "
            "Is the artifact store there?"
        ) from error
    return Path(found)
