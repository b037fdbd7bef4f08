"""The tracking store and the run of a training in progress, with a real SQLite store."""

import contextlib
import json
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from atnet.config import Params, TrackingConfig
from atnet.errors import StoreError
from atnet.tracking import TrackingStore, open_store, training_run, ui_address, ui_command
from atnet.tracking.store import resolve_uri
from atnet.tracking.store_errors import readable
from atnet.tracking.tags import DUPLICATE_TAG, MODEL_TAG, NOTE_TAG, PROCESS_TAG
from atnet.tracking.ui import VIEW_TAG, save_runs_view
from tests.finishedproject import ROOT, tracking_config

DEAD_PROCESS = 2**22 + 1
"""Above the largest process id of Linux."""
CURVES = {"train_loss": 0.6, "validation_loss": 0.5}


@pytest.fixture(autouse=True)
def _short_timeouts(monkeypatch: pytest.MonkeyPatch) -> None:
    # open_store sets these for the whole process where they are not set.
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


@pytest.fixture
def config(params: Params) -> TrackingConfig:
    return tracking_config(params)


@pytest.fixture
def root(tmp_path: Path, empty_store: Path) -> Path:
    shutil.copy(empty_store, tmp_path / "mlflow.db")
    return tmp_path


@pytest.fixture
def store(config: TrackingConfig, root: Path) -> TrackingStore:
    return open_store(config, root)


def _runs(store: TrackingStore) -> list[Run]:
    return list(store.client.search_runs([store.experiment_id]))


# The store


def test_a_relative_store_is_anchored_at_the_project(config: TrackingConfig, store: TrackingStore, root: Path) -> None:
    assert store.uri == f"sqlite:///{root}/mlflow.db"
    assert store.client.get_experiment(store.experiment_id).artifact_location == str(root / "mlartifacts")


def test_a_temporary_copy_of_dvc_uses_the_store_of_the_project(config: TrackingConfig, root: Path) -> None:
    copy = root / ".dvc" / "tmp" / "exps" / "tmp1"
    copy.mkdir(parents=True)
    assert open_store(config, copy).uri == f"sqlite:///{root}/mlflow.db"


def test_the_environment_wins_over_the_configuration(
    config: TrackingConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///elsewhere.db")
    assert resolve_uri(config, tmp_path) == f"sqlite:///{tmp_path}/elsewhere.db"


def test_opening_twice_gives_the_same_experiment(config: TrackingConfig, store: TrackingStore, root: Path) -> None:
    assert open_store(config, root).experiment_id == store.experiment_id


def test_a_locked_store_is_reported_within_the_timeout(
    config: TrackingConfig, store: TrackingStore, root: Path
) -> None:
    other = sqlite3.connect(root / "mlflow.db", isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    began = time.monotonic()
    with pytest.raises(StoreError, match=r"mlflow\.db is locked by another process\. Close the program that uses it"):
        open_store(config, root)
    assert time.monotonic() - began < config.timeout_seconds + 1
    other.close()


def test_a_file_that_is_not_a_database_is_reported(config: TrackingConfig, tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").write_bytes(b"not a database" * 100)
    with pytest.raises(StoreError, match=r"not a readable SQLite database.*atnet publish"):
        open_store(config, tmp_path)


def test_a_folder_as_store_is_refused(params: Params, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"'mlruns' is a folder.*sqlite:///mlflow\.db"):
        open_store(tracking_config(params, uri="mlruns"), tmp_path)


def test_a_server_that_refuses_connections_is_reported(params: Params, tmp_path: Path) -> None:
    began = time.monotonic()
    with pytest.raises(
        StoreError, match=r"http://127\.0\.0\.1:9 cannot be used \(.*refused\)\. Check that it is running"
    ):
        open_store(tracking_config(params, uri="http://127.0.0.1:9"), tmp_path)
    assert time.monotonic() - began < 4


def test_a_server_that_hangs_is_reported_within_the_timeout(params: Params, tmp_path: Path, silent_server: int) -> None:
    began = time.monotonic()
    with pytest.raises(StoreError, match=r"did not answer within 2 s\. Check that it is running"):
        open_store(tracking_config(params, uri=f"http://127.0.0.1:{silent_server}"), tmp_path)
    assert time.monotonic() - began < 4


def test_a_deleted_experiment_is_reported_with_the_command_that_restores_it(
    config: TrackingConfig, store: TrackingStore, root: Path
) -> None:
    store.client.delete_experiment(store.experiment_id)
    with pytest.raises(StoreError, match="mlflow experiments restore"):
        open_store(config, root)


def test_a_moved_project_is_reported(config: TrackingConfig, store: TrackingStore, root: Path) -> None:
    shutil.rmtree(root / "mlartifacts")
    with pytest.raises(StoreError, match="Was the project moved"):
        open_store(config, root)


def test_a_password_is_never_shown() -> None:
    assert readable("postgresql://user:secret@db/mlflow") == "postgresql://***@db/mlflow"
    assert readable("sqlite:////home/ana/mlflow.db") == "/home/ana/mlflow.db"


def test_links_lead_to_the_server_without_its_credentials() -> None:
    client = MlflowClient("http://127.0.0.1:1")
    store = TrackingStore(client, "http://alice:S3CRET@host:5000/mlflow?token=S3CRET", "1")
    assert store.run_link("r") == "http://host:5000/mlflow/#/experiments/1/runs/r?workflowType=machine_learning"


@pytest.mark.parametrize(
    ("uri", "module", "package"),
    [
        ("postgresql+psycopg://someone@127.0.0.1:1/mlflow", "psycopg", r"psycopg\[binary\]"),
        ("mysql://someone:S3CRET@127.0.0.1:1/mlflow", "MySQLdb", "mysqlclient"),
        ("mssql+pyodbc://someone@127.0.0.1:1/mlflow", "pyodbc", "pyodbc"),
    ],
)
def test_a_missing_database_driver_is_named_with_its_package(
    uri: str, module: str, package: str, params: Params, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As if it were not installed.
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(StoreError, match=f"needs the database driver .* not installed.*{package}") as raised:
        open_store(tracking_config(params, uri=uri), tmp_path)
    assert "S3CRET" not in str(raised.value)


def test_versions_go_to_the_store_of_the_runs_whatever_the_shell_says(
    config: TrackingConfig, store: TrackingStore, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_REGISTRY_URI", f"sqlite:///{root}/other.db")
    open_store(config, root).client.create_registered_model("atnet")
    assert not (root / "other.db").exists()
    assert [model.name for model in store.client.search_registered_models()] == ["atnet"]


@pytest.mark.parametrize("name", ["a b", "maçã é", "50% off", "a%20b", "a#b", "a?b", "é?x=1&y#c%41"])
def test_a_store_works_whatever_characters_the_projects_path_has(
    name: str, params: Params, empty_store: Path, tmp_path: Path
) -> None:
    root = tmp_path / name
    root.mkdir()
    shutil.copy(empty_store, root / "mlflow.db")
    store = open_store(tracking_config(params), root)
    run_id = store.client.create_run(store.experiment_id).info.run_id
    store.client.log_text(run_id, "hello", "notes/hello.txt")
    written = list((root / "mlartifacts").rglob("hello.txt"))
    assert [path.read_text() for path in written] == ["hello"]
    assert open_store(tracking_config(params), root).client.get_run(run_id).info.run_id == run_id
    assert sorted(path.name for path in tmp_path.iterdir()) == [name], "nothing is written next to the project"
    assert readable(store.uri) == f"{root}/mlflow.db"


def test_the_runs_table_opens_as_model_training_with_its_columns_chosen(store: TrackingStore) -> None:
    assert save_runs_view(store)
    tags = store.client.get_experiment(store.experiment_id).tags
    assert tags["mlflow.experimentKind"] == "custom_model_development"
    view = json.loads(tags[VIEW_TAG])
    state = json.loads(view["state"])
    assert state["orderByKey"] == "metrics.`test/macro_f1`"
    assert "metrics.`test/accuracy`" in state["selectedColumns"]
    save_runs_view(store)
    assert store.client.get_experiment(store.experiment_id).tags[VIEW_TAG] == tags[VIEW_TAG]


def test_the_ui_shows_the_store_that_runs_are_written_to(config: TrackingConfig, params: Params, root: Path) -> None:
    command = ui_command(config, root, port=5050)
    assert f"sqlite:///{root}/mlflow.db" in command
    assert command[command.index("--port") + 1] == "5050"
    served = ui_command(tracking_config(params, uri="https://alice:S3CRET@mlflow.example.org"), root)
    assert served[-2:] == ["webbrowser", "https://mlflow.example.org/#/experiments?workflowType=machine_learning"]
    address = ui_address(config, root, port=5050)
    assert address.startswith("http://127.0.0.1:5050/#/experiments/1/runs?workflowType=machine_learning")
    assert address.endswith("&viewStateShareKey=atnet-models")


@pytest.mark.slow
def test_a_new_store_is_created_without_output(config: TrackingConfig, tmp_path: Path) -> None:
    code = (
        "from pathlib import Path; from atnet.storage import load_params; from atnet import tracking\n"
        f"tracking.open_store(load_params({str(ROOT / 'params.yaml')!r}).tracking, Path({str(tmp_path)!r}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


# The run of a training


def test_curves_are_in_the_run_while_it_is_open(store: TrackingStore, root: Path) -> None:
    with training_run(store, name="training", params={"train.seed": "1"}, key="k", root=root) as run:
        run.epoch(1, CURVES)
        run.epoch(2, {"train_loss": 0.4, "validation_loss": 0.45})
        (open_run,) = _runs(store)
        assert open_run.info.status == "RUNNING"
        assert open_run.data.metrics["curve/train_loss"] == 0.4
        run.finish("a" * 64)
    (finished,) = _runs(store)
    assert finished.info.status == "FINISHED"
    assert finished.data.tags[MODEL_TAG] == "a" * 64
    assert finished.data.params == {"train.seed": "1"}
    assert [point.step for point in store.client.get_metric_history(finished.info.run_id, "curve/train_loss")] == [1, 2]


def test_a_stray_run_id_in_the_environment_is_ignored(
    store: TrackingStore, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = store.client.create_run(store.experiment_id).info.run_id
    monkeypatch.setenv("MLFLOW_RUN_ID", other)
    with training_run(store, name="training", params={}, key="k", root=root) as run:
        run.epoch(1, CURVES)
        run.finish("a" * 64)
    assert store.client.get_run(other).data.metrics == {}


@pytest.mark.parametrize(("fault", "status"), [(KeyboardInterrupt, "KILLED"), (ValueError, "FAILED")])
def test_an_interrupted_training_resumes_its_run(
    store: TrackingStore, root: Path, fault: type[BaseException], status: str
) -> None:
    with contextlib.suppress(fault), training_run(store, name="training", params={}, key="k", root=root) as run:
        run.epoch(1, CURVES)
        raise fault
    assert [interrupted.info.status for interrupted in _runs(store)] == [status]
    with training_run(store, name="training", params={}, key="k", root=root) as run:
        run.epoch(1, CURVES)
        run.epoch(2, CURVES)
        run.finish("a" * 64)
    (finished,) = _runs(store)
    assert [point.step for point in store.client.get_metric_history(finished.info.run_id, "curve/train_loss")] == [1, 2]


def test_a_killed_training_with_the_same_key_resumes_its_run(store: TrackingStore, root: Path) -> None:
    killed = _open_run(store, "k", DEAD_PROCESS)
    with training_run(store, name="training", params={}, key="k", root=root) as run:
        assert run.run_id == killed
        run.finish("a" * 64)


def test_runs_that_other_killed_trainings_left_open_are_closed(store: TrackingStore, root: Path) -> None:
    killed, active = _open_run(store, "other", DEAD_PROCESS), _open_run(store, "k", os.getppid())
    with training_run(store, name="training", params={}, key="k", root=root) as run:
        assert run.run_id not in (killed, active), "a run that another process is writing is not taken over"
        run.finish("a" * 64)
    assert store.client.get_run(killed).info.status == "KILLED"
    assert "killed" in store.client.get_run(killed).data.tags[NOTE_TAG]
    assert store.client.get_run(active).info.status == "RUNNING"


def test_a_resumed_run_loses_the_note_that_it_was_killed(store: TrackingStore, root: Path) -> None:
    killed = _open_run(store, "k", DEAD_PROCESS)
    for key in ("other", "k"):
        with training_run(store, name="training", params={}, key=key, root=root) as run:
            run.finish(key * 8)
    assert run.run_id == killed
    assert NOTE_TAG not in store.client.get_run(killed).data.tags


def test_the_same_model_twice_is_one_finished_run_and_a_duplicate(store: TrackingStore, root: Path) -> None:
    for _ in range(2):
        with training_run(store, name="training", params={}, key="k", root=root) as run:
            run.epoch(1, CURVES)
            run.finish("a" * 64)
    duplicate, first = _runs(store)
    assert (first.info.status, duplicate.info.status) == ("FINISHED", "KILLED")
    assert duplicate.data.tags[DUPLICATE_TAG] == first.info.run_id
    assert MODEL_TAG not in duplicate.data.tags
    assert duplicate.info.run_name == "duplicate of training"


def test_a_store_that_fails_during_training_gives_one_warning(
    store: TrackingStore, root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with training_run(store, name="training", params={}, key="k", root=root) as run:
        run.epoch(1, CURVES)
        store.client._tracking_client.store.engine.dispose()
        (root / "mlflow.db").write_bytes(b"not a database" * 100)
        run.epoch(2, CURVES)
        run.epoch(3, CURVES)
        run.finish("a" * 64)
    (warning,) = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert "writes its curves to history.csv; `atnet publish` copies them to MLflow" in warning


def _open_run(store: TrackingStore, key: str, process: int) -> str:
    tags = {"training.key": key, PROCESS_TAG: f"{socket.gethostname()}:{process}"}
    return str(store.client.create_run(store.experiment_id, tags=tags).info.run_id)


@pytest.fixture
def silent_server() -> Iterator[int]:
    """Yield a port that accepts connections and never answers."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        yield server.getsockname()[1]


@pytest.mark.slow
def test_a_training_killed_by_the_system_resumes_its_run(store: TrackingStore, root: Path) -> None:
    code = (
        "import os, signal; from pathlib import Path\n"
        "from atnet.storage import load_params; from atnet import tracking\n"
        f"config = load_params({str(ROOT / 'params.yaml')!r}).tracking\n"
        f"root = Path({str(root)!r}); store = tracking.open_store(config, root)\n"
        "with tracking.training_run(store, name='training', params={}, key='k', root=root) as run:\n"
        "    run.epoch(1, {'train_loss': 0.6}); os.kill(os.getpid(), signal.SIGKILL)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -9
    (killed,) = _runs(store)
    assert killed.info.status == "RUNNING"
    with training_run(store, name="training", params={}, key="k", root=root) as run:
        assert run.run_id == killed.info.run_id
        run.epoch(1, {"train_loss": 0.6})
        run.epoch(2, {"train_loss": 0.5})
        run.finish("a" * 64)
    assert [point.step for point in store.client.get_metric_history(run.run_id, "curve/train_loss")] == [1, 2]
