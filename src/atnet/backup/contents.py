"""Which files a backup contains, and their names in the archive."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from atnet.files import DVC_LOCK, STATE
from atnet.git_dvc import cached_copies, tracked_copies

DATABASE = "mlflow.db"
ARTIFACTS, CACHE, PROJECT = "artifacts", "cache", "project"
LOCKS = (DVC_LOCK, Path("data") / DVC_LOCK)
RECORDS = (STATE / "ledger.jsonl", STATE / "releases")
"""The project's own records: the copy of the ledger, and the results of the gate."""
TEMPORARY_SUFFIXES = (".part", ".tmp", ".lock")


@dataclass(frozen=True, slots=True)
class CacheEntries:
    """The entries of DVC's cache that a project needs."""

    copies: dict[str, Path]
    """Name in the cache -> file."""
    missing: tuple[str, ...]
    """Outputs whose entry is not in the cache."""


def cache_entries(root: Path, cache: Path) -> CacheEntries:
    """Find the cache entries of the outputs in the dvc.lock files and of the data files that DVC tracks."""
    copies: dict[str, Path] = {}
    missing = []
    for name, copy in (*cached_copies(root, cache), *tracked_copies(root, cache)):
        if copy.is_file():
            copies[copy.relative_to(cache).as_posix()] = copy
        else:
            missing.append(name)
    return CacheEntries(copies, tuple(sorted(set(missing))))


def artifact_files(folder: Path) -> Iterator[tuple[str, Path]]:
    """Yield the store's artifacts."""
    for path in _files(folder):
        yield f"{ARTIFACTS}/{path.relative_to(folder).as_posix()}", path


def project_files(root: Path, monitoring: Path) -> Iterator[tuple[str, Path]]:
    """Yield the dvc.lock files, the project's records and those of monitored windows.

    Args:
        root: the project folder.
        monitoring: folder of the monitoring's records, relative to the project.
    """
    for name in LOCKS:
        if (root / name).is_file():
            yield f"{PROJECT}/{name.as_posix()}", root / name
    windows = sorted((root / monitoring).glob("*.jsonl"))
    for record in (*(root / name for name in RECORDS), *windows):
        for path in _files(record):
            yield f"{PROJECT}/{path.relative_to(root).as_posix()}", path


def _files(path: Path) -> Iterator[Path]:
    if path.is_file():
        yield path
    for inner in sorted(path.rglob("*")) if path.is_dir() else ():
        if inner.is_file() and not inner.name.endswith(TEMPORARY_SUFFIXES):
            yield inner
