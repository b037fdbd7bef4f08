"""Checks of DVC's remote, the second copy of the contents of DVC's cache."""

import tempfile
from collections.abc import Mapping
from datetime import date
from pathlib import Path

from atnet.diagnosis.finding import Finding
from atnet.errors import StoreError
from atnet.file_hashes import file_md5
from atnet.git_dvc import cached_copies, run_dvc, tracked_copies

LAYOUT = "files/md5"
"""Folder of a remote in which DVC 3 names files by their MD5."""
TIMEOUT_SECONDS = 300
MAX_LISTED = 5


def check_remote(root: Path, today: date) -> Finding:
    """Check that the default remote has every entry that the project's locks name, and one of them byte for byte.

    Only lists and downloads: unlike `dvc status --cloud`, these commands take no lock that would stop a flow's stage.
    """
    name = _default_remote(root)
    if name is None:
        message = "DVC's cache is the only copy. For a second one: `dvc remote add --default NAME URL`, `dvc push`"
        return Finding("remote", "note", message)
    try:
        entries = _entries(root)
        listed = run_dvc(["ls-url", "--recursive", f"remote://{name}/{LAYOUT}"], root, TIMEOUT_SECONDS)
        missing = sorted(set(entries) - set(listed.split()))
        if missing:
            return Finding("remote", "fault", f"{name} lacks {_names(entries, missing)}. Upload them: `dvc push`")
        return _check_one(root, name, entries, today)
    except StoreError as error:
        message = f"{name} cannot be checked: {error} If nothing was pushed to it yet: `dvc push`"
        return Finding("remote", "fault", message)


def _check_one(root: Path, remote: str, entries: Mapping[str, str], today: date) -> Finding:
    """Download one entry, another one each day, and compare it with its hash."""
    if not entries:
        return Finding("remote", "ok", f"{remote}: nothing needs to be pushed yet")
    entry = sorted(entries)[today.toordinal() % len(entries)]
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder, "copy")
        run_dvc(["get-url", f"remote://{remote}/{LAYOUT}/{entry}", str(copy)], root, TIMEOUT_SECONDS)
        intact = file_md5(copy) == entry.replace("/", "").removesuffix(".dir")
    if intact:
        return Finding("remote", "ok", f"{remote} has all {len(entries)} entries; {entries[entry]} is intact there")
    message = (
        f"{entries[entry]} is damaged in {remote}. Delete {LAYOUT}/{entry} there, then upload it again: `dvc push`"
    )
    return Finding("remote", "fault", message)


def _default_remote(root: Path) -> str | None:
    try:
        return run_dvc(["config", "core.remote"], root).strip() or None
    except StoreError:
        # DVC fails if it is not set; what else may be wrong with DVC, other checks report.
        return None


def _entries(root: Path) -> dict[str, str]:
    """Return the entries that the remote must have, as `ab/cdef...`, with the name of the output."""
    cache = Path(run_dvc(["cache", "dir"], root).strip(), LAYOUT)
    copies = (*cached_copies(root, cache), *tracked_copies(root, cache))
    return {copy.relative_to(cache).as_posix(): name for name, copy in copies}


def _names(entries: Mapping[str, str], missing: list[str]) -> str:
    names = sorted({entries[entry] for entry in missing})
    rest = f" and {len(names) - MAX_LISTED} more" if len(names) > MAX_LISTED else ""
    return ", ".join(names[:MAX_LISTED]) + rest
