"""Compare the installed packages with requirements.lock, the versions that are tested together.

With the GPU build of TensorFlow, requirements-gpu.lock replaces the CPU build.
"""

import importlib.metadata
from collections.abc import Iterator, Mapping
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement

from atnet.diagnosis.finding import Finding

LOCK_FILE = "requirements.lock"
GPU_LOCK_FILE = "requirements-gpu.lock"
CPU_BUILD, GPU_BUILD = "tensorflow-cpu", "tensorflow"
MAX_LISTED = 5
REINSTALL = "`rm -rf .venv && make install` installs the locked versions."


def check_installed_versions(root: Path, installed: Mapping[str, str | None] | None = None) -> Finding:
    """Check that every locked package that this platform needs is installed in the locked version.

    Args:
        root: the project folder.
        installed: package -> version, None if it is missing; by default those of this environment.
    """
    path = root / LOCK_FILE
    if not path.is_file():
        return Finding("versions", "note", f"{LOCK_FILE} is missing. Restore it with `git checkout {LOCK_FILE}`.")
    version = _version if installed is None else installed.get
    locked = dict(locked_versions(path.read_text(encoding="utf-8")))
    files, gpu_path = LOCK_FILE, root / GPU_LOCK_FILE
    if CPU_BUILD in locked and version(CPU_BUILD) is None and version(GPU_BUILD) is not None and gpu_path.is_file():
        del locked[CPU_BUILD]
        files = f"{LOCK_FILE} and {GPU_LOCK_FILE}"
        locked |= locked_versions(gpu_path.read_text(encoding="utf-8"))
    versions = {name: version(name) for name in locked}
    missing = [name for name in locked if versions[name] is None]
    others = [
        f"{name} {versions[name]} instead of {version}"
        for name, version in locked.items()
        if name not in missing and versions[name] != version
    ]
    if missing:
        return Finding("versions", "fault", f"not installed: {_listed(missing)}. {REINSTALL}")
    if others:
        return Finding("versions", "note", f"not the tested versions: {_listed(others)}. {REINSTALL}")
    return Finding("versions", "ok", f"{len(locked)} packages have the versions of {files}")


def locked_versions(text: str) -> Iterator[tuple[str, str]]:
    """Yield the packages of a lock file that this platform needs, with their versions."""
    for line in text.splitlines():
        # Hashes and comments are indented.
        if not line or line[0].isspace() or line.startswith(("#", "-")):
            continue
        try:
            requirement = Requirement(line.rstrip(" \\"))
        except InvalidRequirement:
            continue
        pins = [specifier.version for specifier in requirement.specifier if specifier.operator == "=="]
        if pins and (requirement.marker is None or requirement.marker.evaluate()):
            yield requirement.name, pins[0]


def _listed(names: list[str]) -> str:
    rest = f" and {len(names) - MAX_LISTED} more" if len(names) > MAX_LISTED else ""
    return ", ".join(names[:MAX_LISTED]) + rest


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
