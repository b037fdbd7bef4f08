"""The monitored version: its files, and the held-out rows of the data version it was trained and evaluated on.

Both are copied into the monitoring folder once, so that later runs need neither a download nor DVC's cache.
"""

import logging
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from atnet.config import Params
from atnet.errors import DataFileError, ModelError, ReleaseError
from atnet.file_hashes import file_md5
from atnet.files import split_table
from atnet.git_dvc import cache_folder
from atnet.monitoring.reference import Reference, read_held_out
from atnet.published_model import MODEL_FOLDER, load_inference
from atnet.registry.artifacts import train_hashes, verified_files, verify_files
from atnet.registry.model_origin import origin_of_run
from atnet.registry.versions import CHALLENGER, CHAMPION, Registry, Version, aliased, open_registry
from atnet.storage import whole_file
from atnet.table_batches import SELECTED_FROM_ROWS, read_batches
from atnet.text_hashes import TextHashes

logger = logging.getLogger(__name__)

MODELS, FILES = "models", "files"
HELD_OUT = ("validation", "test")


@dataclass(frozen=True, slots=True)
class Champion:
    """The champion, with everything that monitoring needs."""

    version: int
    sha256: str
    predictor: Any
    """A `Predictor` of the version's own inference code."""
    reference: Reference
    known_hashes: TextHashes
    """Hashes of all texts of its data version: training, validation and test."""
    train_hashes: TextHashes


def load_champion(params: Params, root: Path) -> Champion:
    """Load the champion and the held-out rows of its data version.

    Raises:
        ReleaseError: if there is no champion.
        ModelError: if its files are damaged.
        DataFileError: if its data version is neither in the project nor in DVC's cache.
        StoreError: if the registry does not answer.
    """
    registry = open_registry(params.tracking, root)
    version = aliased(registry, CHAMPION)
    if version is None:
        raise ReleaseError(f"{registry.model} has no champion to monitor. Run `atnet release` first.")
    folder = _folder(params, root, version)
    files = _copy_model(registry, version, folder)
    _copy_held_out(root, registry, version, folder)
    trained_on = train_hashes(files)
    held_out = read_held_out(_held_out_batches(folder), trained_on, params.monitor)
    return Champion(
        version=version.number,
        sha256=version.sha256,
        predictor=load_predictor(version.number, files),
        reference=held_out.reference,
        known_hashes=trained_on | held_out.hashes,
        train_hashes=trained_on,
    )


def load_challenger(params: Params, root: Path) -> Any | None:
    """Load the challenger's `Predictor`; None if there is no challenger or it is the champion itself."""
    registry = open_registry(params.tracking, root)
    version, champion = aliased(registry, CHALLENGER), aliased(registry, CHAMPION)
    if version is None or (champion is not None and version.sha256 == champion.sha256):
        return None
    return load_predictor(version.number, _copy_model(registry, version, _folder(params, root, version)))


def load_predictor(number: int, files: Path) -> Any:
    """Load a copied version with its own inference code.

    Raises:
        ModelError: if it cannot be used.
    """
    try:
        # No memory arena: it would keep the memory of the largest batch permanently.
        return load_inference(files).Predictor.load(files / MODEL_FOLDER, memory_arena=False)
    # The version's own code may raise anything; whatever it is, the version cannot be used.
    except Exception as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ModelError(
            f"Version {number} cannot be loaded ({reason}). Run `atnet rollback`, then monitor."
        ) from error


def _held_out_batches(folder: Path) -> Iterator[pd.DataFrame]:
    for split in HELD_OUT:
        yield from read_batches(folder / f"{split}.parquet", batch_rows=SELECTED_FROM_ROWS)


def _folder(params: Params, root: Path, version: Version) -> Path:
    return root / params.monitor.output_folder / MODELS / version.sha256[:16]


def _copy_model(registry: Registry, version: Version, folder: Path) -> Path:
    """Return a verified copy of a version's files, downloading it if it is missing or damaged."""
    copy = folder / FILES
    if copy.is_dir():
        try:
            verify_files(registry, version, copy)
            return copy
        except ModelError as error:
            logger.warning("The copy of version %d is downloaded again: %s", version.number, error)
            shutil.rmtree(copy)
    partial = folder / f".{FILES}.part"
    shutil.rmtree(partial, ignore_errors=True)
    with verified_files(registry, version) as downloaded:
        shutil.copytree(downloaded, partial)
    os.replace(partial, copy)
    return copy


def _copy_held_out(root: Path, registry: Registry, version: Version, folder: Path) -> None:
    """Copy the held-out splits of the version's data.

    Raises:
        ReleaseError: if the version's run does not record its data.
        DataFileError: if the data cannot be found.
    """
    origin = origin_of_run(registry, version.run_id)
    digests = origin.datasets if origin else {}
    for split in HELD_OUT:
        if split not in digests:
            raise ReleaseError(
                f"The run of version {version.number} does not record its {split} split. Run `atnet publish` in the "
                "project it was trained in."
            )
        _copy_split(root, version.number, split, digests[split], folder / f"{split}.parquet")


def _copy_split(root: Path, number: int, split: str, md5: str, target: Path) -> None:
    """Copy a split from the project or from DVC's cache, unless it has been copied before."""
    if target.is_file() and file_md5(target) == md5:
        return
    in_project = root / split_table(split)
    sources: list[Callable[[], Path]] = [lambda: in_project, lambda: _in_cache(root, md5)]
    for source in sources:
        path = source()
        if path.is_file() and file_md5(path) == md5:
            with whole_file(target) as partial:
                shutil.copyfile(path, partial)
            return
    raise DataFileError(
        f"The {split} split of version {number} (MD5 {md5}) is neither in {in_project} nor in DVC's cache. "
        "Check out the commit it was trained at and run `dvc pull`, then run this command again."
    )


def _in_cache(root: Path, md5: str) -> Path:
    return (cache_folder(root) or root / ".dvc" / "cache" / "files" / "md5") / md5[:2] / md5[2:]
