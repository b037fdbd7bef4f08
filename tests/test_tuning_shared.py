"""Several machines search one study: real processes and a real PostgreSQL."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from mlflow import MlflowClient

from atnet import files
from atnet.config import Params
from atnet.errors import ConfigurationError, StoreError
from atnet.tuning.shared_study import ADDRESS_VARIABLE, StudyDatabase, configured_database, database_errors
from atnet.tuning.space import Settings, current_settings, distributions
from atnet.tuning.study import Study
from atnet.tuning.trials import TrialResult
from tests.encoded import VOCABULARY, write_tokens
from tests.postgresql import postgresql
from tests.servers import mlflow_server, wait_until
from tests.settings import params_file

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]

TRIALS = 8
SETTINGS = {
    "train": {
        "embedding_dimensions": 8,
        "filters": 8,
        "epochs": 4,
        "batch_size": 16,
        "soft_target_slope": None,
        "wide": False,
        "embedding_dropout": 0.0,
        "initialize_from_vectors": False,
    },
    "tracking": {"timeout_seconds": 120},
    "tune": {
        "trials": TRIALS,
        "pruning": None,
        "worker_timeout_seconds": 6.0,
        "space": {
            "train.learning_rate": {"low": 0.001, "high": 0.03, "log": True},
            "train.dropout": {"low": 0.0, "high": 0.5, "log": False},
        },
    },
}


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with postgresql() as address:
        yield address.replace("postgresql://", "postgresql+psycopg://")


def _study(address: str, params: Params, name: str, timeout: float = 60.0) -> Study:
    current = current_settings(params.tune.space, params.train)
    space = distributions(params.tune.space, current)
    return Study(Path(name), params.tune, space, current, StudyDatabase(address, timeout))


def _result(number: int, settings: Settings) -> TrialResult:
    epoch = {"epoch": 1.0, "validation_loss": 0.5, "validation_accuracy": 0.7}
    return TrialResult(number, settings, "complete", (epoch,), 1.0)


def test_two_processes_get_different_trials_and_see_each_others_results(server: str, params: Params) -> None:
    first, second = _study(server, params, "shared"), _study(server, params, "shared")
    requests = [study.ask() for study in (first, second, first, second)]
    assert [request.number for request in requests] == [0, 1, 2, 3]
    assert len({str(request.settings) for request in requests}) == 4, "the current settings are tried once"
    assert (first.running_elsewhere(), second.running_elsewhere()) == (2, 2)
    second.tell(_result(1, requests[1].settings))
    assert [result.number for result in first.results()] == [1]
    assert second.requeue_interrupted() == [3], "an interrupt gives back this process's trials only"
    repeated = first.ask()
    assert repeated.settings == requests[3].settings
    for study in (first, second):
        study.close()


def test_studies_opened_at_the_same_time_queue_the_current_settings_once(server: str, params: Params) -> None:
    studies: list[Study] = []
    threads = [threading.Thread(target=lambda: studies.append(_study(server, params, "at-once"))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    current = current_settings(params.tune.space, params.train)
    assert [study.ask().settings == current for study in studies].count(True) == 1
    for study in studies:
        study.close()


def test_the_trials_of_a_silent_process_are_taken_over(server: str, params: Params) -> None:
    silent, other = _study(server, params, "silent", timeout=4.0), _study(server, params, "silent", timeout=4.0)
    lost = silent.ask()
    assert other.take_over() == []
    silent.close()
    taken: list[int] = []
    wait_until(lambda: bool(taken.extend(other.take_over()) or taken), seconds=60)
    assert taken == [lost.number]
    assert other.ask().settings == lost.settings
    other.close()


def test_a_database_that_is_gone_is_one_message_without_the_password(
    params: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = "postgresql+psycopg://optuna:S3CRET-word@127.0.0.1:9/optuna"
    monkeypatch.setenv(ADDRESS_VARIABLE, address)
    database = configured_database(params.tune)
    message = r"The study's database .*127\.0\.0\.1:9/optuna cannot be used"
    with pytest.raises(StoreError, match=message) as error, database_errors(database):
        _study(address, params, "gone")
    assert "S3CRET" not in str(error.value)
    monkeypatch.setenv(ADDRESS_VARIABLE, "postgres//x")
    with pytest.raises(ConfigurationError, match=ADDRESS_VARIABLE):
        configured_database(params.tune)


def test_two_machines_share_a_search_and_one_is_killed(server: str, tmp_path: Path) -> None:
    root = tmp_path / "one"
    root.mkdir()
    params_file(root, SETTINGS)
    write_tokens(root)
    (root / files.VECTORS).mkdir(parents=True)
    np.save(root / files.VECTORS / "vectors.npy", np.ones((VOCABULARY, 8), dtype=np.float32))
    other = Path(shutil.copytree(root, tmp_path / "two"))
    (tmp_path / "server").mkdir()
    plain = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
    with mlflow_server(tmp_path / "server", plain) as mlflow:
        environment = {**plain, ADDRESS_VARIABLE: server, "MLFLOW_TRACKING_URI": mlflow}
        command = [sys.executable, "-m", "atnet.cli", "tune"]
        with contextlib.ExitStack() as stack:
            killed, finishing = (
                stack.enter_context(_process(command, folder, environment)) for folder in (root, other)
            )
            _wait_for_first_trial(killed)
            os.kill(killed.pid, signal.SIGKILL)
            killed.wait()
            printed, _ = finishing.communicate(timeout=900)
        assert finishing.returncode == 0, printed
        assert f"{TRIALS} complete" in printed
        client = MlflowClient(tracking_uri=mlflow)
        experiment = client.get_experiment_by_name("atnet")
        runs = client.search_runs([experiment.experiment_id], "tags.`atnet.kind` = 'tuning trial'")
    states = [run.data.tags["trial.status"] for run in runs]
    assert states.count("complete") == TRIALS
    assert states.count("running") == 0, "the run of the lost trial is ended by who repeats it"
    if "interrupted" in states:
        assert "interrupted; its settings are tried again" in printed
    assert not [line for line in _processes() if "trial_worker" in line and str(root) in line]


@contextlib.contextmanager
def _process(command: list[str], folder: Path, environment: dict[str, str]) -> Iterator["subprocess.Popen[str]"]:
    process = subprocess.Popen(
        command, cwd=folder, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def _wait_for_first_trial(process: "subprocess.Popen[str]") -> None:
    assert process.stdout is not None
    lines = []
    while not (lines and lines[-1].startswith("trial ")):
        lines.append(process.stdout.readline())
        assert lines[-1], "".join(lines)


def _processes() -> list[str]:
    return subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True).stdout.splitlines()
