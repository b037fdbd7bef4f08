"""The first creation of MLflow's SQLite database: complete or not at all, also with kills and several processes."""

import contextlib
import multiprocessing
import os
import random
import shutil
import signal
import sqlite3
import time
from multiprocessing.synchronize import Event
from pathlib import Path

import pytest

from atnet.config import TrackingConfig
from atnet.errors import StoreError
from atnet.storage import load_params
from atnet.tracking.sqlite_store import MLFLOW_TABLE
from atnet.tracking.store import open_store
from tests.settings import params_file

KILLS = 12


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TrackingConfig:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return load_params(params_file(tmp_path)).tracking


def _tables(path: Path) -> set[str]:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        return {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}


def test_a_database_of_another_program_is_refused_and_not_changed(tmp_path: Path, config: TrackingConfig) -> None:
    with contextlib.closing(sqlite3.connect(tmp_path / "mlflow.db")) as connection:
        connection.execute("CREATE TABLE studies (study_id INTEGER)")
    with pytest.raises(StoreError, match=r"mlflow\.db belongs to another program \(it has the tables studies\)"):
        open_store(config, tmp_path)
    assert _tables(tmp_path / "mlflow.db") == {"studies"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("UPDATE alembic_version SET version_num = '27a6a02d2cf1'", "mlflow db upgrade"),
        (
            "UPDATE alembic_version SET version_num = '451aebb31d03'; DROP TABLE trace_info",
            "not created or upgraded completely .*move the file aside and run `atnet publish`",
        ),
        ("DROP TABLE alembic_version; DROP TABLE trace_info", "not created or upgraded completely"),
    ],
)
def test_a_database_that_was_not_migrated_completely_is_reported_with_the_way_out(
    tmp_path: Path, config: TrackingConfig, empty_store: Path, change: str, message: str
) -> None:
    shutil.copy(empty_store, tmp_path / "mlflow.db")
    with contextlib.closing(sqlite3.connect(tmp_path / "mlflow.db")) as connection:
        connection.executescript(change)
    with pytest.raises(StoreError, match=message):
        open_store(config, tmp_path)


@pytest.mark.slow
def test_an_empty_file_becomes_a_database(tmp_path: Path, config: TrackingConfig) -> None:
    (tmp_path / "mlflow.db").touch()
    assert open_store(config, tmp_path).experiment_id
    assert MLFLOW_TABLE in _tables(tmp_path / "mlflow.db")


@pytest.mark.slow
def test_a_database_is_created_whatever_characters_its_folder_has(tmp_path: Path, config: TrackingConfig) -> None:
    folder = tmp_path / "50% off, café #1"
    folder.mkdir()
    assert open_store(config, folder).experiment_id
    assert MLFLOW_TABLE in _tables(folder / "mlflow.db")
    assert sorted(path.name for path in tmp_path.iterdir()) == [folder.name, "params.yaml"]


def _open(root: str, ready: Event, go: Event) -> None:
    config = load_params(f"{root}/params.yaml").tracking
    ready.set()
    go.wait()
    open_store(config, Path(root))


class _Opening:
    """A process that opens the store on a signal."""

    def __init__(self, root: Path) -> None:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["tests.test_sqlite_store"])
        ready, self._go = context.Event(), context.Event()
        self.process = context.Process(target=_open, args=(str(root), ready, self._go))
        self.process.start()
        assert ready.wait(120)

    def start(self) -> None:
        self._go.set()

    def exit_code(self) -> int | None:
        self.process.join(240)
        return self.process.exitcode


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_kill_or_an_interrupt_at_any_moment_leaves_no_half_made_database(
    tmp_path: Path, config: TrackingConfig
) -> None:
    random_times = random.Random(5)
    first = _Opening(tmp_path)
    start = time.monotonic()
    first.start()
    assert first.exit_code() == 0
    seconds = time.monotonic() - start
    killed_early = 0
    for kill in range(KILLS):
        root = tmp_path / f"kill {kill}"
        root.mkdir()
        params_file(root)
        opening = _Opening(root)
        opening.start()
        time.sleep(random_times.uniform(0, seconds))
        assert opening.process.pid is not None
        os.kill(opening.process.pid, signal.SIGINT if kill % 2 else signal.SIGKILL)
        opening.exit_code()
        killed_early += not (root / "mlflow.db").exists()

        again = _Opening(root)
        again.start()
        assert again.exit_code() == 0, f"after kill {kill}"
        assert MLFLOW_TABLE in _tables(root / "mlflow.db")
        assert not list(root.glob(".mlflow.db*")), "partial files are removed"
    print(f"{KILLS} kills within {seconds:.1f} s, {killed_early} before the database was complete")
    assert killed_early > 0


@pytest.mark.slow
def test_processes_that_open_a_new_store_at_the_same_time_all_succeed(tmp_path: Path, config: TrackingConfig) -> None:
    openings = [_Opening(tmp_path) for _ in range(3)]
    for opening in openings:
        opening.start()
    assert [opening.exit_code() for opening in openings] == [0, 0, 0]
    client = open_store(config, tmp_path).client
    assert [experiment.name for experiment in client.search_experiments()] == [config.experiment, "Default"]
