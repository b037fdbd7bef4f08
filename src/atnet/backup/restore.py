"""Restore a backup into a project that has no store yet."""

import os
import shutil
from pathlib import Path

from atnet.backup.archive import Manifest, extract_archive
from atnet.backup.contents import ARTIFACTS, CACHE, DATABASE, PROJECT
from atnet.backup.create import extracted_registry, load_aliases
from atnet.config import Params
from atnet.errors import StoreError
from atnet.files import STATE
from atnet.git_dvc import cache_folder
from atnet.storage import project_root
from atnet.tracking.sqlite_copy import move_artifacts
from atnet.tracking.store import artifact_folder, configured_database

EXTRACTED = STATE / "restore"


def restore_backup(params: Params, root: Path, path: Path) -> Manifest:
    """Restore the store, the ledger, the dvc.lock files and DVC's cache from an archive.

    Every alias is loaded from the extracted files first. The database is moved last: a restore that was killed before
    has no store, and can simply be run again.

    Raises:
        StoreError: if there is a store already, or if tracking.uri is not a SQLite file.
        DataFileError: if the archive is damaged.
        ModelError: if a version that an alias points at does not load.
    """
    root = project_root(root)
    database, artifacts = configured_database(params.tracking, root), artifact_folder(params.tracking, root)
    if database.exists() and database.stat().st_size:
        raise StoreError(
            f"{database} exists, and a restore would replace it. Restore into a new clone, or move the database and "
            f"{artifacts} aside first."
        )
    folder = root / EXTRACTED
    shutil.rmtree(folder, ignore_errors=True)
    manifest = extract_archive(path, folder)
    registry = extracted_registry(params, folder, manifest)
    load_aliases(registry, manifest)
    move_artifacts(folder / DATABASE, folder / ARTIFACTS, artifacts)
    _move_tree(folder / ARTIFACTS, artifacts)
    cache = cache_folder(root)
    if cache is not None:
        _move_tree(folder / CACHE, cache)
    _move_tree(folder / PROJECT, root)
    database.parent.mkdir(parents=True, exist_ok=True)
    os.replace(folder / DATABASE, database)
    shutil.rmtree(folder)
    return manifest


def _move_tree(source: Path, target: Path) -> None:
    for path in sorted(source.rglob("*")):
        if path.is_file():
            destination = target / path.relative_to(source)
            destination.parent.mkdir(parents=True, exist_ok=True)
            os.replace(path, destination)
