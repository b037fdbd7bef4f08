"""Fixtures that several test modules share."""

import gc
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy

from atnet.config import Params
from atnet.environment import prepare_process
from atnet.storage import load_params

# Set before anything imports Prefect, which reads them once: it must never use the user's own server or home.
os.environ.setdefault("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
os.environ.setdefault("PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS", "300")
os.environ.setdefault("DO_NOT_TRACK", "1")

# As every command does: settings of other projects must not change a test.
prepare_process()

# A shell may start background processes, and so their children, with SIGINT ignored; some tests send it.
signal.signal(signal.SIGINT, signal.default_int_handler)
# Tests that are ended from outside stop the servers that they have started.
signal.signal(signal.SIGTERM, signal.default_int_handler)

ROOT = Path(__file__).resolve().parents[1]


def pytest_collection_finish() -> None:
    """Exclude what is imported by now from garbage collection: TensorFlow, MLflow and others have a million objects."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def _sqlite_without_sync() -> Iterator[None]:
    """Disable SQLite's waiting for the disk in this process: MLflow and Optuna commit hundreds of times."""

    def relax(connection: Any, record: object) -> None:
        if type(connection).__module__.startswith("sqlite3"):
            connection.execute("PRAGMA synchronous = OFF")

    sqlalchemy.event.listen(sqlalchemy.Engine, "connect", relax)
    yield
    sqlalchemy.event.remove(sqlalchemy.Engine, "connect", relax)


@pytest.fixture(scope="session")
def project() -> Path:
    """Return the folder of the project under test."""
    return ROOT


@pytest.fixture(scope="session")
def params() -> Params:
    """Read the committed params.yaml."""
    return load_params(ROOT / "params.yaml")


@pytest.fixture
def datasets() -> Path:
    """Return the folder of real labeled data sets; skip the test if ATNET_DATASETS does not name one."""
    folder = os.environ.get("ATNET_DATASETS")
    if not folder or not Path(folder).is_dir():
        pytest.skip("ATNET_DATASETS does not name a folder of real data sets")
    return Path(folder)


@pytest.fixture(scope="session")
def dvc_installed() -> None:
    """Skip the test if git is missing: DVC needs a git repository."""
    if shutil.which("git") is None:
        pytest.skip("git is not installed")


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an MLflow store without runs, to be copied: creating its tables takes two seconds."""
    from tests.finishedproject import make_empty_store

    return make_empty_store(tmp_path_factory.mktemp("store"))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Return a file system of one megabyte; skip the test if it cannot be mounted."""
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)], capture_output=True)
    if mounted.returncode != 0:
        pytest.skip("a small file system cannot be mounted here")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)
