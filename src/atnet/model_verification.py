"""Verification of a published version: the files of a copy against the hashes recorded when they were uploaded.

It imports neither MLflow nor pandas, so that the online service can use it too.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from atnet.errors import ModelError
from atnet.file_hashes import file_sha256
from atnet.inference import UnusableModelError, model_hash
from atnet.published_model import MODEL_FOLDER

MODEL_TAG = "model.sha256"
"""Hash of the model files: the identity of a model."""
MODEL_ID_TAG = "model.id"
"""Id of the logged model that holds the files of a version."""
ARTIFACTS_TAG = "artifacts.sha256"
"""JSON, path -> hash of every file that was uploaded: a download is verified against it."""


@dataclass(frozen=True, slots=True)
class PublishedVersion:
    """A version of the registered model, and what its files are verified by."""

    model: str
    """Name of the registered model."""
    number: int
    model_sha256: str
    """SHA-256 of the model files."""
    artifacts: Mapping[str, str]
    """Path -> SHA-256 of every file, as recorded at the upload; empty if nothing was recorded."""


def artifact_hashes(folder: Path) -> dict[str, str]:
    """Compute the SHA-256 of every file of an MLflow model folder, by its path in the folder."""
    return {name: file_sha256(folder / name) for name in sorted(_files(folder))}


def recorded_hashes(tags: Mapping[str, str]) -> dict[str, str]:
    """Read the hashes that were recorded at the upload from a logged model's tags; empty if there are none."""
    try:
        recorded = json.loads(tags.get(ARTIFACTS_TAG, "{}"))
    except ValueError:
        return {}
    return recorded if isinstance(recorded, dict) else {}


def find_differences(recorded: Mapping[str, str], folder: Path) -> list[str]:
    """Describe every recorded file that is missing in a copy or has other contents there."""
    differences = []
    for name, sha256 in sorted(recorded.items()):
        path = folder / name
        if not path.is_file():
            differences.append(f"{name} is missing")
        elif file_sha256(path) != sha256:
            differences.append(f"{name} has changed")
    return differences


def verify_copy(version: PublishedVersion, folder: Path, *, advice: str) -> None:
    """Compare a copy of a version's files with the hashes that were recorded when it was published.

    Files that were not published are deleted from the copy: Python could run one, such as bytecode next to the code.

    Args:
        advice: ends the message: where the fault is, and what to do.

    Raises:
        ModelError: naming what differs.
    """
    differences = find_differences(version.artifacts, folder) if version.artifacts else ["no hashes are recorded"]
    if not differences:
        for name in _files(folder) - version.artifacts.keys():
            (folder / name).unlink(missing_ok=True)
        differences = _model_differences(version, folder)
    if differences:
        raise ModelError(
            f"The files of version {version.number} are not the ones that were published ({'; '.join(differences)}). "
            f"{advice}"
        )


def _model_differences(version: PublishedVersion, folder: Path) -> list[str]:
    try:
        sha256 = model_hash(folder / MODEL_FOLDER)
    except UnusableModelError as error:
        return [str(error)]
    if sha256 != version.model_sha256:
        return [f"the model has the hash {sha256[:12]}, the version {version.model_sha256[:12]}"]
    return []


def _files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
