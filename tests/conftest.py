"""What several test modules share."""

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from atnet.config import Params
from atnet.storage import load_params

# Before anything imports Prefect: it reads these once, and must never touch the user's own server or home.
os.environ.setdefault("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
os.environ.setdefault("PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS", "90")
os.environ.setdefault("DO_NOT_TRACK", "1")

# A shell may start what runs in its background deaf to Ctrl-C, children too; some tests send it.
signal.signal(signal.SIGINT, signal.default_int_handler)

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def project() -> Path:
    """Name the folder of the project under test."""
    return ROOT


@pytest.fixture(scope="session")
def params() -> Params:
    """Read the committed params.yaml."""
    return load_params(ROOT / "params.yaml")


@pytest.fixture
def datasets() -> Path:
    """Name the folder of real labelled sets; skip where ATNET_DATASETS does not give one."""
    folder = os.environ.get("ATNET_DATASETS")
    if not folder or not Path(folder).is_dir():
        pytest.skip("ATNET_DATASETS names no folder of real sets")
    return Path(folder)


@pytest.fixture(scope="session")
def dvc_installed() -> None:
    """Skip where git is missing: DVC works in a git repository."""
    if shutil.which("git") is None:
        pytest.skip("git is not installed")


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give an MLflow store without runs, to be copied: making its tables takes two seconds."""
    from tests.finishedproject import make_empty_store

    return make_empty_store(tmp_path_factory.mktemp("store"))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of one megabyte."""
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)], capture_output=True)
    if mounted.returncode != 0:
        pytest.skip("a small file system cannot be mounted here")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)
