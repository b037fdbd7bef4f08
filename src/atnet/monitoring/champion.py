"""The model that windows are compared for: its files, and the data version it was trained and evaluated on.

Both are copied into the monitoring folder once, so that later runs need neither a download nor DVC's cache.
"""

import logging
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from atnet.config import Params
from atnet.errors import DataFileError, ModelError, ReleaseError
from atnet.inference import MODEL_FILES, UnusableModelError, model_hash
from atnet.monitoring.pooled_predictor import PooledPredictor
from atnet.monitoring.reference import Reference, make_reference
from atnet.registry.files import MODEL_FOLDER, TRAIN_HASHES, version_folder
from atnet.registry.origins import origin_of_run
from atnet.registry.versions import CHALLENGER, CHAMPION, Registry, Version, aliased, open_registry
from atnet.storage import read_table, whole_file
from atnet.table import TEXT_HASH
from atnet.tracking.files import file_md5
from atnet.versioning import run_dvc

logger = logging.getLogger(__name__)

CHAMPIONS = "models"
HELD_OUT = ("validation", "test")


@dataclass(frozen=True, slots=True)
class Champion:
    """A version of the registered model with all that monitoring needs of it."""

    version: int
    sha256: str
    predictor: PooledPredictor
    reference: Reference
    known_hashes: frozenset[str]
    """Of the texts of its data version: training, validation and test."""
    train_hashes: frozenset[str]


def load_champion(params: Params, root: Path) -> Champion:
    """Load the champion and the held-out rows of its data version.

    Raises:
        ReleaseError: if there is no champion.
        DataFileError: if its data version is neither in the project nor in DVC's cache.
        StoreError: if the registry does not answer.
    """
    registry = open_registry(params.tracking, root)
    version = aliased(registry, CHAMPION)
    if version is None:
        raise ReleaseError(
            f"{registry.model} has no champion, so there is nothing to compare with. Run `atnet release` first."
        )
    folder = _folder(params, root, version)
    _copy_model(registry, version, folder)
    _copy_held_out(params, root, registry, version, folder)
    validation, test = (read_table(folder / f"{name}.parquet") for name in HELD_OUT)
    train_hashes = frozenset((folder / TRAIN_HASHES).read_text(encoding="utf-8").split())
    reference = make_reference(validation, test, train_hashes, params.monitor)
    held_out = pd.concat([validation[TEXT_HASH], test[TEXT_HASH]])
    return Champion(
        version=version.number,
        sha256=version.sha256,
        predictor=load_predictor(folder),
        reference=reference,
        known_hashes=train_hashes.union(held_out),
        train_hashes=train_hashes,
    )


def load_challenger(params: Params, root: Path) -> tuple[int, PooledPredictor] | None:
    """Load the challenger; None where there is none, or where it is the champion itself."""
    registry = open_registry(params.tracking, root)
    version, champion = aliased(registry, CHALLENGER), aliased(registry, CHAMPION)
    if version is None or (champion is not None and version.sha256 == champion.sha256):
        return None
    folder = _folder(params, root, version)
    _copy_model(registry, version, folder)
    return version.number, load_predictor(folder)


def load_predictor(folder: Path) -> PooledPredictor:
    """Load a copied model.

    Raises:
        ModelError: if it cannot be used.
    """
    try:
        return PooledPredictor.load(folder)
    except UnusableModelError as error:
        raise ModelError(str(error)) from error


def _folder(params: Params, root: Path, version: Version) -> Path:
    return root / params.monitor.folder / CHAMPIONS / version.sha256[:16]


def _copy_model(registry: Registry, version: Version, folder: Path) -> None:
    """Copy a version's files unless a whole copy is there."""
    try:
        if model_hash(folder) == version.sha256 and (folder / TRAIN_HASHES).is_file():
            return
    except UnusableModelError:
        pass
    with version_folder(registry, version) as source:
        for name in (*MODEL_FILES, TRAIN_HASHES):
            _copy(source / MODEL_FOLDER / name, folder / name)
    try:
        copied = model_hash(folder)
    except UnusableModelError as error:
        raise ModelError(f"Version {version.number} is not complete in the registry: {error}") from error
    if copied != version.sha256:
        raise ModelError(
            f"The files of version {version.number} in the registry are not those that were published "
            f"({copied[:8]} instead of {version.sha256[:8]}). Publish and release the model again."
        )


def _copy_held_out(params: Params, root: Path, registry: Registry, version: Version, folder: Path) -> None:
    """Copy the held-out splits of the version's data."""
    origin = origin_of_run(registry, version.run_id)
    digests = origin.datasets if origin else {}
    for name in HELD_OUT:
        if name not in digests:
            raise ReleaseError(
                f"The run of version {version.number} does not record its {name} split. Run `atnet publish` in the "
                "project it was trained in."
            )
        _copy_split(params, root, version, name, digests[name], folder / f"{name}.parquet")


def _copy_split(params: Params, root: Path, version: Version, name: str, md5: str, target: Path) -> None:
    """Copy a split from the project or from DVC's cache, unless it is there."""
    if target.is_file() and file_md5(target) == md5:
        return
    in_project = root / params.folders.splits / f"{name}.parquet"
    sources: list[Callable[[], Path]] = [lambda: in_project, lambda: _in_cache(root, md5)]
    for source in sources:
        path = source()
        if path.is_file() and file_md5(path) == md5:
            logger.info("Copying the %s split of version %d from %s", name, version.number, path)
            _copy(path, target)
            return
    raise DataFileError(
        f"The {name} split of version {version.number} (MD5 {md5}) is neither in {in_project} nor in DVC's cache. "
        "Check out the commit it was trained at and run `dvc pull`, then run this command again."
    )


def _in_cache(root: Path, md5: str) -> Path:
    cache = run_dvc(["cache", "dir"], root).strip()
    return Path(root, cache, "files", "md5", md5[:2], md5[2:])


def _copy(source: Path, target: Path) -> None:
    with whole_file(target) as beside:
        shutil.copyfile(source, beside)
