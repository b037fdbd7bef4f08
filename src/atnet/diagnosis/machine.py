"""Checks of the machine: Python, packages, disk, environment variables."""

import importlib.metadata
import platform
import shutil
import sys
import tempfile
from pathlib import Path

from atnet.config import EngineConfig
from atnet.diagnosis.finding import Finding
from atnet.environment import environment_notes
from atnet.errors import ConfigurationError
from atnet.file_system import file_system_message, is_file_system_error
from atnet.files import STATE
from atnet.spark_engine import require_spark

TESTED_PYTHON = (3, 11)
"""The Python versions with which all tests pass."""
PACKAGES = ("tensorflow-cpu", "tensorflow", "keras", "mlflow", "dvc", "prefect", "great-expectations", "onnxruntime")
REQUIRED_BYTES = 5 * 2**30


def check_python(version: tuple[int, ...] = sys.version_info[:3]) -> Finding:
    """Report the Python version, and whether the project is tested with it."""
    message = f"{'.'.join(str(part) for part in version)} on {platform.platform()}"
    if version[:2] == TESTED_PYTHON:
        return Finding("Python", "ok", message)
    return Finding("Python", "note", f"{message}. The slow tests are run with 3.11 only.")


def check_packages() -> Finding:
    """Report the versions of the most important packages."""
    versions = {name: _version(name) for name in PACKAGES}
    return Finding("packages", "ok", ", ".join(f"{name} {version}" for name, version in versions.items() if version))


def check_disk(root: Path, required_bytes: int = REQUIRED_BYTES) -> Finding:
    """Check that the project can be written, with space for the environment, the caches and a model."""
    free_bytes = shutil.disk_usage(root).free
    message = f"{free_bytes / 2**30:.1f} GB free"
    for folder in (root, root / STATE):
        try:
            with tempfile.TemporaryFile(dir=folder if folder.exists() else root):
                pass
        except OSError as error:
            reason = file_system_message(error) if is_file_system_error(error) else f"{error}."
            return Finding("disk", "fault", f"{folder} cannot be written: {reason}")
    if free_bytes >= required_bytes:
        return Finding("disk", "ok", message)
    return Finding("disk", "fault", f"{message}. `dvc gc --workspace` deletes cached outputs that are no longer used.")


def check_environment(root: Path) -> Finding:
    """Report the settings of other projects and tools that are ignored or take effect."""
    notes = environment_notes(root)
    if notes:
        return Finding("settings", "note", "; ".join(notes))
    return Finding("settings", "ok", "no variable of another project or tool is set")


def check_engine(config: EngineConfig) -> Finding:
    """Check that what the engine needs is installed."""
    if config.kind == "local":
        return Finding("engine", "ok", "local")
    try:
        require_spark()
    except ConfigurationError as error:
        return Finding("engine", "fault", str(error))
    return Finding("engine", "ok", f"Spark at {config.master or 'the master of its own configuration'}")


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
