"""Read the state of git and of dvc.lock, and run DVC commands."""

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from atnet.config.yaml_text import parse_yaml, yaml_problem
from atnet.errors import DataFileError, StoreError
from atnet.file_hashes import file_md5

GIT_SECONDS = 30


@dataclass(frozen=True, slots=True)
class GitState:
    """The commit of the project, and whether its files differ from it."""

    commit: str | None
    """Full hash of the commit; None outside a git repository and before the first commit."""
    dirty: bool
    """Files other than a dvc.lock differ from the commit: changed, staged, or new and not ignored by git."""


def git_state(root: Path | None = None) -> GitState:
    """Return the commit and whether the project's folder differs from it."""
    folder = root or Path.cwd()
    commit = _git(folder, "rev-parse", "--verify", "--quiet", "HEAD")
    if commit is None:
        return GitState(commit=None, dirty=True)
    # dvc.lock records a run and changes with every run; data/ has its own graph and so its own lock.
    changes = _git(folder, "status", "--porcelain", "--", ".", ":(exclude,glob)**/dvc.lock")
    return GitState(commit=commit.strip(), dirty=changes is None or bool(changes.strip()))


def locked_outputs(lock_text: str) -> dict[str, str]:
    """Return the MD5 of each output in a dvc.lock, ending in `.dir` for a folder. Paths are relative to the lock."""
    return {
        str(output["path"]): str(output["md5"])
        for stage in _stages(lock_text).values()
        for output in stage.get("outs", [])
        if "md5" in output
    }


@dataclass(frozen=True, slots=True)
class LockedFile:
    """An output as a dvc.lock records it."""

    md5: str
    size: int | None


def locked_files(lock_text: str) -> dict[str, LockedFile]:
    """Return MD5 and size of each output in a dvc.lock that is a file."""
    return {
        str(output["path"]): LockedFile(str(output["md5"]), output.get("size"))
        for stage in _stages(lock_text).values()
        for output in stage.get("outs", [])
        if "md5" in output and not str(output["md5"]).endswith(".dir")
    }


def cache_folder(root: Path) -> Path | None:
    """Return the folder of DVC's cache in which files are named by their MD5; None if DVC does not say."""
    default = root / ".dvc" / "cache"
    if default.is_dir():
        return default / "files" / "md5"
    try:
        return Path(run_dvc(["cache", "dir"], root).strip(), "files", "md5")
    except StoreError:
        return None


def locked_params(lock_text: str, params_file: str = "params.yaml") -> dict[str, Any]:
    """Return the value that each parameter in a dvc.lock had, by its name in dvc.yaml (`train`, `data.columns`)."""
    return {
        str(key): value
        for stage in _stages(lock_text).values()
        for key, value in stage.get("params", {}).get(params_file, {}).items()
    }


def read_dvc_file(path: Path) -> dict[str, Any]:
    """Read a dvc.yaml, dvc.lock or .dvc file; one without keys is empty.

    Raises:
        DataFileError: if it is not valid YAML, for example after a merge with conflicts.
    """
    try:
        content = parse_yaml(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise _unreadable(str(path), error) from error
    return content if isinstance(content, dict) else {}


def _unreadable(name: str, error: Exception) -> DataFileError:
    problem = yaml_problem(error) if isinstance(error, yaml.YAMLError) else str(error)
    return DataFileError(
        f"{name} is not valid YAML: {problem}. Resolve a merge conflict in it, or restore it with `git checkout`."
    )


def _stages(lock_text: str) -> dict[str, Any]:
    try:
        lock = parse_yaml(lock_text)
    except yaml.YAMLError as error:
        raise _unreadable("dvc.lock", error) from error
    stages = lock.get("stages", {}) if isinstance(lock, dict) else {}
    return stages if isinstance(stages, dict) else {}


def _git(folder: Path, *arguments: str) -> str | None:
    """Run git and return its output; None if git or the repository is missing, or if git does not answer in time."""
    command = ["git", "-C", str(folder), *arguments]
    try:
        finished = subprocess.run(command, capture_output=True, text=True, timeout=GIT_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return finished.stdout if finished.returncode == 0 else None


def run_dvc(arguments: Sequence[str], root: Path, timeout_seconds: float | None = None) -> str:
    """Run a DVC command in the project and return its output.

    Raises:
        StoreError: with DVC's own message, if the command fails or takes longer than the timeout.
    """
    # Always the DVC of this environment, even if it is not activated.
    command = [sys.executable, "-m", "dvc", *arguments]
    try:
        finished = subprocess.run(
            command,
            cwd=root,
            capture_output=True,
            text=True,
            encoding="utf-8",
            errors="replace",
            timeout=timeout_seconds,
        )
    except subprocess.TimeoutExpired:
        raise StoreError(f"`dvc {' '.join(arguments)}` did not end within {timeout_seconds:g} s.") from None
    if finished.returncode != 0:
        lines = finished.stderr.splitlines()
        errors = [line for line in lines if line.startswith("ERROR")] or lines
        reason = errors[-1].removeprefix("ERROR: ") if errors else f"exit code {finished.returncode}"
        raise StoreError(f"`dvc {' '.join(arguments)}` failed: {reason}. Run it yourself to see more.")
    return finished.stdout


def out_of_date(root: Path, stages: Sequence[str]) -> list[str]:
    """Return the stages that `dvc repro` would run for these stages and their dependencies.

    Raises:
        StoreError: if `dvc status` fails.
    """
    return sorted(json.loads(run_dvc(["status", "--json", "--with-deps", *stages], root)))


def damaged_in_cache(root: Path) -> dict[str, Path]:
    """Return the outputs in the project's locks whose copy in DVC's cache is damaged, with the path of the copy.

    DVC trusts a read-only file of its cache: it checks out the damaged copy, and even replaces what a stage has just
    written by it.

    Raises:
        StoreError: if DVC does not return the path of its cache.
    """
    cache = Path(run_dvc(["cache", "dir"], root).strip(), "files", "md5")
    return {name: copy for name, copy in cached_copies(root, cache) if copy.is_file() and not _is_intact(copy)}


def cached_copies(root: Path, cache: Path) -> Iterator[tuple[str, Path]]:
    """Yield each output in the project's locks, and each file of an output that is a folder, with its cache entry."""
    # data/ has its own graph and so its own lock.
    for lock in (root / "dvc.lock", root / "data" / "dvc.lock"):
        text = lock.read_text(encoding="utf-8") if lock.is_file() else ""
        for name, digest in locked_outputs(text).items():
            copy = cache / digest[:2] / digest[2:]
            yield name, copy
            if digest.endswith(".dir") and copy.is_file() and _is_intact(copy):
                for entry in json.loads(copy.read_text(encoding="utf-8")):
                    yield f"{name}/{entry['relpath']}", cache / entry["md5"][:2] / entry["md5"][2:]


def tracked_copies(root: Path, cache: Path) -> Iterator[tuple[str, Path]]:
    """Yield each `.dvc` file of the project's data, and the cache entry of what it tracks."""
    for pointer in (*root.glob("*.dvc"), *(root / "data").rglob("*.dvc")):
        if not pointer.is_file():
            continue
        content = read_dvc_file(pointer)
        for output in content.get("outs", []):
            digest = str(output.get("md5", ""))
            if digest:
                yield str(pointer.relative_to(root)), cache / digest[:2] / digest[2:]


def _is_intact(copy: Path) -> bool:
    """Return whether a file of DVC's cache has the MD5 that its path states."""
    return file_md5(copy) == copy.parent.name + copy.name.removesuffix(".dir")
