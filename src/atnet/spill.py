"""Temporary folders for what does not fit into memory: removed at the end, or at the next start after a kill."""

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from atnet.errors import AtnetError
from atnet.files import SPILL

LOCK = ".lock"


@contextlib.contextmanager
def spill_folder(root: Path, name: str) -> Iterator[Path]:
    """Yield an empty folder on the project's disk and remove it afterwards.

    Folders that killed processes left behind are removed first: a process locks its folder, and the lock of a process
    that dies is released.
    """
    parent = root / SPILL
    parent.mkdir(parents=True, exist_ok=True)
    remove_left_over(root)
    folder = parent / f"{name}-{os.getpid()}"
    lock_file = folder.with_suffix(LOCK)
    with FileLock(lock_file):
        folder.mkdir()
        try:
            yield folder
        finally:
            shutil.rmtree(folder)
            lock_file.unlink(missing_ok=True)


def remove_left_over(root: Path) -> None:
    """Remove the folders of processes that were killed."""
    for lock_file in sorted((root / SPILL).glob(f"*{LOCK}")):
        with contextlib.suppress(Timeout), FileLock(lock_file, timeout=0):
            shutil.rmtree(lock_file.with_suffix(""), ignore_errors=True)
            lock_file.unlink(missing_ok=True)


def require_free_disk(folder: Path, needed: int, purpose: str) -> None:
    """Check that a disk has enough free space before the work starts.

    Args:
        folder: an existing folder on the disk.
        needed: bytes, estimated from above.
        purpose: what they are for.

    Raises:
        AtnetError: if it does not, with the missing size.
    """
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise AtnetError(
            f"the disk of {folder.resolve()} has {free / 1e9:.1f} GB free, and {purpose} needs about "
            f"{needed / 1e9:.1f} GB. Free {(needed - free) / 1e9:.1f} GB, or move the project to a larger disk."
        )
