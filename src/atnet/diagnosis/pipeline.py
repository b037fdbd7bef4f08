"""Checks of git and DVC: repository, locks, dvc.lock, cache."""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import yaml
from filelock import FileLock, Timeout

from atnet.config.yaml_text import parse_yaml
from atnet.diagnosis.finding import Finding
from atnet.errors import DataFileError, StoreError
from atnet.files import DVC_LOCK, FLOW_LOCK
from atnet.git_dvc import damaged_in_cache
from atnet.subprocesses import is_alive

RWLOCK = Path(".dvc", "tmp", "rwlock")


def check_git(root: Path) -> Finding:
    """Check that the project is in a git repository, which DVC needs."""
    command = ["git", "-C", str(root), "rev-parse", "--is-inside-work-tree"]
    try:
        inside = subprocess.run(command, capture_output=True, text=True, check=False).returncode == 0
    except FileNotFoundError:
        return Finding("git", "fault", "git is not installed. DVC and the run's tags need it: install git.")
    if inside or _works_without_git(root):
        return Finding(
            "git", "ok", "the project is in a git repository" if inside else "DVC is set to work without git"
        )
    return Finding(
        "git",
        "fault",
        f"{root} is not a git repository, so `dvc repro` fails. Run `git init`, or "
        "`dvc config --local core.no_scm true` to work without git.",
    )


def require_runnable(root: Path) -> None:
    """Check what makes every DVC command fail.

    Raises:
        StoreError: if there is no git repository, or a file that DVC needs is damaged.
    """
    faults = [finding for finding in (check_git(root), check_locks(root), *check_dvc_lock(root)) if finding.is_fault]
    if faults:
        raise StoreError(" ".join(f"{fault.subject}: {fault.message}" for fault in faults))


def check_locks(root: Path) -> Finding:
    """Check whether a flow, a stage that a killed flow left running, or a DVC command is running in the project."""
    try:
        commands = sorted(_dvc_commands(root))
    except ValueError:
        message = f"{RWLOCK} is damaged, so DVC cannot run. If no DVC command is running: `rm {RWLOCK}`."
        return Finding("locks", "fault", message)
    running = f"DVC is running: {', '.join(commands)}" if commands else ""
    if _is_locked(root / FLOW_LOCK):
        flow = f"a flow, or a stage that it left running, holds {FLOW_LOCK}"
        return Finding("locks", "note", f"{flow}; {running}" if running else flow)
    if running:
        return Finding("locks", "note", running)
    return Finding("locks", "ok", "no flow and no DVC command is running")


def check_dvc_lock(root: Path) -> Iterator[Finding]:
    """Check that the dvc.lock files can be parsed; a kill while DVC writes one leaves it empty."""
    for name in (DVC_LOCK, Path("data") / DVC_LOCK):
        path = root / name
        if not path.exists():
            continue
        if _is_lock(path):
            yield Finding(str(name), "ok", "can be read")
        else:
            message = (
                "is empty, cut short or has merge conflicts, so `dvc repro` fails. "
                f"Restore it with `git checkout {name}` (or delete it if it was never committed), "
                "then run `dvc repro`: the outputs come back from DVC's run cache."
            )
            yield Finding(str(name), "fault", message)


def check_cache(root: Path) -> Finding:
    """Check that DVC's cache holds the outputs byte for byte, which DVC itself does not check."""
    try:
        damaged = damaged_in_cache(root)
    except (DataFileError, StoreError) as error:
        return Finding("cache", "fault", str(error))
    if not damaged:
        return Finding("cache", "ok", "every output in DVC's cache is intact")
    files = " ".join(f"{name} {os.path.relpath(cached, root)}" for name, cached in damaged.items())
    message = (
        f"damaged: {', '.join(damaged)}. Delete both copies and run the stages again: `rm -f {files}`, `dvc repro`"
    )
    return Finding("cache", "fault", message)


def _is_locked(path: Path) -> bool:
    if not path.exists():
        return False
    try:
        FileLock(path, timeout=0).acquire().lock.release()
    except Timeout:
        return True
    except OSError:
        # On a read-only disk nothing can be locked; `check_disk` reports that.
        return False
    return False


def _works_without_git(root: Path) -> bool:
    configs = (root / ".dvc" / "config", root / ".dvc" / "config.local")
    return any("no_scm = true" in path.read_text(encoding="utf-8").lower() for path in configs if path.is_file())


def _is_lock(path: Path) -> bool:
    try:
        content = parse_yaml(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError):
        return False
    return isinstance(content, dict) and "schema" in content


def _dvc_commands(root: Path) -> set[str]:
    """Return the running DVC commands.

    Raises:
        ValueError: if DVC's lock file is damaged.
    """
    try:
        # DVC reads an empty file as an error, too.
        locks = json.loads((root / RWLOCK).read_text(encoding="utf-8"))
        readers = [reader for path_readers in locks.get("read", {}).values() for reader in path_readers]
        return {
            f"{holder['cmd']} (process {holder['pid']})"
            for holder in (*locks.get("write", {}).values(), *readers)
            if is_alive(int(holder["pid"]))
        }
    except OSError:
        return set()
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError("not the locks of DVC") from error
