"""Write a backup and verify that it can be restored."""

import logging
import tempfile
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from atnet.backup.archive import Manifest, extract_archive, write_archive
from atnet.backup.contents import ARTIFACTS, CACHE, DATABASE, artifact_files, cache_entries, project_files
from atnet.config import Params
from atnet.errors import StoreError
from atnet.file_system import require_writable
from atnet.git_dvc import cache_folder, git_state
from atnet.registry.artifacts import smoke_test
from atnet.registry.versions import Registry, aliases, open_registry, open_registry_copy, version
from atnet.storage import project_root
from atnet.tracking.sqlite_copy import copy_database, move_artifacts
from atnet.tracking.store import artifact_folder, configured_database

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Backup:
    """A backup that was written and verified."""

    path: Path
    size_bytes: int
    manifest: Manifest


def create_backup(params: Params, root: Path, path: Path, *, now: datetime) -> Backup:
    """Write a backup of the store, the ledger and DVC's cache, then load every alias from the archive.

    The database is copied before the artifacts: an artifact that is published in between is then merely an extra file.

    Raises:
        ConfigurationError: if the archive cannot be written at the path.
        StoreError: if the store is not a SQLite file with a folder of artifacts, or does not answer.
        ModelError: if a version that an alias points at does not load from the archive.
        DataFileError: if the archive cannot be read back.
    """
    require_writable(path)
    root = project_root(root)
    registry = open_registry(params.tracking, root)
    database, artifacts = configured_database(params.tracking, root), artifact_folder(params.tracking, root)
    cache = cache_folder(root)
    git = git_state(root)
    with tempfile.TemporaryDirectory(prefix="atnet-backup-") as folder:
        copy = Path(folder) / DATABASE
        copy_database(database, copy)
        entries = cache_entries(root, cache) if cache else None
        members = [
            (DATABASE, copy),
            *artifact_files(artifacts),
            *project_files(root, Path(params.monitor.output_folder)),
            *((f"{CACHE}/{name}", entry) for name, entry in (entries.copies.items() if entries else ())),
        ]
        manifest = Manifest(
            created=now.isoformat(timespec="seconds"),
            commit=git.commit,
            dirty=git.dirty,
            artifact_location=str(artifacts),
            aliases=aliases(registry),
            missing=entries.missing if entries else (),
            files={},
        )
        written = write_archive(path, members, manifest)
    verify_backup(params, path)
    return Backup(path, path.stat().st_size, written)


def verify_backup(params: Params, path: Path) -> Manifest:
    """Extract an archive to a temporary folder and load every version that an alias points at.

    Raises:
        DataFileError: if the archive is damaged.
        ModelError: if a version does not load.
    """
    with tempfile.TemporaryDirectory(prefix="atnet-backup-") as folder:
        manifest = extract_archive(path, Path(folder))
        load_aliases(extracted_registry(params, Path(folder), manifest), manifest)
    return manifest


def extracted_registry(params: Params, folder: Path, manifest: Manifest) -> Registry:
    """Open the registry of an extracted archive; its database then refers to the extracted artifacts."""
    artifacts = folder / ARTIFACTS
    artifacts.mkdir(exist_ok=True)
    move_artifacts(folder / DATABASE, Path(manifest.artifact_location), artifacts)
    return open_registry_copy(params.tracking, folder / DATABASE, folder)


def load_aliases(registry: Registry, manifest: Manifest) -> None:
    """Check that the registry has the manifest's aliases, and that each of their versions loads and predicts."""
    present = aliases(registry)
    if present != dict(manifest.aliases):
        raise StoreError(
            f"The backup's registry has the aliases {present}, its manifest {dict(manifest.aliases)}: a release ran "
            "while the backup was written. Run `atnet backup` again."
        )
    for number in sorted(set(present.values())):
        names = ", ".join(alias for alias, target in present.items() if target == number)
        rows = smoke_test(registry, version(registry, number))
        logger.info("Version %s (%s) loads from the backup and predicts %s rows.", number, names, rows)
