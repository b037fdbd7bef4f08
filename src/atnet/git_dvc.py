"""The door to git, to dvc.lock and to DVC's commands: which code, which data, which settings."""

import hashlib
import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from atnet.errors import StoreError

GIT_SECONDS = 30


@dataclass(frozen=True, slots=True)
class GitState:
    """Where the project stands in git."""

    commit: str | None
    """Full name of the commit; None outside git and before the first commit."""
    dirty: bool
    """Anything differs from the commit but a dvc.lock: changed, staged or new files that git does not ignore."""


def git_state(root: Path | None = None) -> GitState:
    """Ask git for the commit and whether the project's folder differs from it."""
    folder = root or Path.cwd()
    commit = _git(folder, "rev-parse", "--verify", "--quiet", "HEAD")
    if commit is None:
        return GitState(commit=None, dirty=True)
    # dvc.lock is the record of a run and changes with every one; data/ has a graph, and so a lock, of its own.
    changes = _git(folder, "status", "--porcelain", "--", ".", ":(exclude,glob)**/dvc.lock")
    return GitState(commit=commit.strip(), dirty=changes is None or bool(changes.strip()))


def locked_outputs(lock_text: str) -> dict[str, str]:
    """Map each output in a dvc.lock to its MD5; a folder's ends in `.dir`. Paths are relative to the lock."""
    return {
        str(output["path"]): str(output["md5"])
        for stage in _stages(lock_text).values()
        for output in stage.get("outs", [])
        if "md5" in output
    }


def locked_params(lock_text: str, params_file: str = "params.yaml") -> dict[str, Any]:
    """Map each parameter in a dvc.lock, as the stage names it (`train`, `data.columns`), to the value it ran with."""
    return {
        str(key): value
        for stage in _stages(lock_text).values()
        for key, value in stage.get("params", {}).get(params_file, {}).items()
    }


def _stages(lock_text: str) -> dict[str, Any]:
    # The C loader, where it is built in, is ten times faster.
    lock = yaml.load(lock_text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)) or {}
    stages = lock.get("stages", {}) if isinstance(lock, dict) else {}
    return stages if isinstance(stages, dict) else {}


def _git(folder: Path, *arguments: str) -> str | None:
    """Run git and give what it prints; None where there is no git, no repository or no answer."""
    command = ["git", "-C", str(folder), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=GIT_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None


def run_dvc(arguments: Sequence[str], root: Path) -> str:
    """Run a DVC command in the project and give what it printed.

    Raises:
        StoreError: with DVC's own message, if it fails.
    """
    # Always this environment's DVC, whether or not it is activated.
    command = [sys.executable, "-m", "dvc", *arguments]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, encoding="utf-8", errors="replace")
    if done.returncode != 0:
        said = [line for line in done.stderr.splitlines() if line.startswith("ERROR")] or done.stderr.splitlines()
        reason = said[-1].removeprefix("ERROR: ") if said else f"exit code {done.returncode}"
        raise StoreError(f"`dvc {' '.join(arguments)}` failed: {reason}. Run it by hand to see more.")
    return done.stdout


def out_of_date(root: Path, stages: Sequence[str]) -> list[str]:
    """Name what `dvc repro` would do anew for these stages, whatever they stand on included.

    Raises:
        StoreError: if DVC cannot tell.
    """
    return sorted(json.loads(run_dvc(["status", "--json", "--with-deps", *stages], root)))


def damaged_in_cache(root: Path) -> dict[str, Path]:
    """Map each output whose copy in DVC's cache is damaged to that copy; outputs are those of the project's locks.

    DVC takes a read-only file of its cache for whole: it hands the damage out, and even a stage that is run again
    gets the damaged copy in place of what it wrote.

    Raises:
        StoreError: if DVC cannot say where its cache is.
    """
    cache = Path(run_dvc(["cache", "dir"], root).strip(), "files", "md5")
    return {name: kept for name, kept in _cached(root, cache) if kept.is_file() and not _is_whole(kept)}


def _cached(root: Path, cache: Path) -> Iterator[tuple[str, Path]]:
    # data/ has a graph, and so a lock, of its own.
    for lock in (root / "dvc.lock", root / "data" / "dvc.lock"):
        text = lock.read_text(encoding="utf-8") if lock.is_file() else ""
        for name, digest in locked_outputs(text).items():
            kept = cache / digest[:2] / digest[2:]
            yield name, kept
            if digest.endswith(".dir") and kept.is_file() and _is_whole(kept):
                for entry in json.loads(kept.read_text(encoding="utf-8")):
                    yield f"{name}/{entry['relpath']}", cache / entry["md5"][:2] / entry["md5"][2:]


def _is_whole(kept: Path) -> bool:
    """Tell whether a file of DVC's cache has the bytes that its name, cut after two letters, stands for."""
    with kept.open("rb") as file:
        return hashlib.file_digest(file, "md5").hexdigest() == kept.parent.name + kept.name.removesuffix(".dir")
