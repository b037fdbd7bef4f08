"""A real search: processes, SQLite, MLflow; killed, continued, applied and trained."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from atnet import files
from tests.encoded import VOCABULARY, write_tokens
from tests.settings import params_file

pytestmark = pytest.mark.slow
SMALL: dict[str, dict[str, Any]] = {
    "train": {
        "embedding_dimensions": 8,
        "filters": 8,
        "epochs": 4,
        "batch_size": 16,
        "soft_target_slope": None,
        # With it these texts are separable whatever the network learns, and a search cannot improve anything.
        "wide": False,
        "embedding_dropout": 0.0,
        "learning_rate": 0.0003,
    },
    "tune": {
        "trials": 3,
        "space": {
            "train.learning_rate": {"low": 0.01, "high": 0.03, "log": True},
            "train.dropout": {"low": 0.0, "high": 0.5, "log": False},
        },
    },
}


def run(root: Path, *command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
    done = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=root,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=600,
    )
    assert not check or done.returncode == 0, done.stdout
    return done


def search_runs(root: Path) -> tuple[MlflowClient, list[Run], list[Run]]:
    """Return the client, the parent runs and the trials' runs in order."""
    client = MlflowClient(f"sqlite:///{root}/mlflow.db")
    experiment = client.get_experiment_by_name("atnet")
    assert experiment is not None
    trials = client.search_runs([experiment.experiment_id], "tags.`atnet.kind` = 'tuning trial'")
    parents = client.search_runs([experiment.experiment_id], "tags.`atnet.kind` = 'search'")
    return client, list(parents), sorted(trials, key=lambda run: int(run.data.tags["trial.number"]))


@pytest.fixture(scope="module")
def project_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build a folder with parameters, tokens and word vectors; there is no test split to read."""
    root = tmp_path_factory.mktemp("tuned")
    params_file(root, SMALL)
    write_tokens(root, rows=400)
    (root / files.TOKENS / "test.arrow").unlink()
    (root / files.VECTORS).mkdir(parents=True)
    # Not zeros: with them all features are equal, and nothing is learned at any rate.
    vectors = np.random.default_rng(0).normal(scale=0.1, size=(VOCABULARY, 8)).astype(np.float32)
    np.save(root / files.VECTORS / "vectors.npy", vectors)
    return root


@pytest.fixture(scope="module")
def continued(project_folder: Path) -> str:
    """Kill a search in its second trial, continue it, and return what the second call printed."""
    command = [sys.executable, "-m", "atnet.cli", "tune"]
    first_call = subprocess.Popen(command, cwd=project_folder, stdout=subprocess.PIPE, text=True)
    assert first_call.stdout is not None
    assert first_call.stdout.readline().startswith("trial   0")
    os.kill(first_call.pid, signal.SIGKILL)
    first_call.wait()
    return run(project_folder, "atnet.cli", "tune").stdout


def test_a_killed_search_continues_and_leaves_no_process(project_folder: Path, continued: str) -> None:
    assert continued.startswith("continuing after 1 trials")
    assert "3 complete" in continued
    listed = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True).stdout.splitlines()
    assert not [line for line in listed if "atnet.tuning.trial_worker" in line and str(project_folder) in line]


def test_the_trials_are_nested_runs_with_curves_and_without_a_model(project_folder: Path, continued: str) -> None:
    client, (parent,), trials = search_runs(project_folder)
    assert parent.info.status == "FINISHED"
    assert {trial.data.tags["mlflow.parentRunId"] for trial in trials} == {parent.info.run_id}
    complete = [trial for trial in trials if trial.data.tags["trial.status"] == "complete"]
    assert len(complete) == 3
    assert {trial.info.status for trial in complete} == {"FINISHED"}
    assert all(trial.info.status != "RUNNING" for trial in trials)
    assert len(client.get_metric_history(complete[0].info.run_id, "curve/validation_loss")) == 4
    assert set(complete[0].data.params) == set(SMALL["tune"]["space"])
    tags = [tag for run in [parent, *trials] for tag in run.data.tags]
    assert not [tag for tag in tags if tag.startswith(("model.", "training."))]
    plots = {entry.path for entry in client.list_artifacts(parent.info.run_id, "plots")}
    assert {"plots/history.png", "plots/parallel_coordinates.png"} <= plots
    best = min(trial.data.metrics["best/validation_loss"] for trial in complete)
    assert parent.data.metrics["best/validation_loss"] == best


def test_a_lost_store_is_filled_again(project_folder: Path, continued: str, tmp_path: Path) -> None:
    root = shutil.copytree(project_folder, tmp_path / "moved")
    (root / "mlflow.db").unlink()
    shutil.rmtree(root / "mlartifacts")
    run(root, "atnet.cli", "tune")
    _, parents, trials = search_runs(root)
    assert len(parents) == 1
    assert len([trial for trial in trials if trial.data.tags["trial.status"] == "complete"]) == 3


def test_the_applied_settings_train_to_the_value_that_the_search_reported(
    project_folder: Path, continued: str, tmp_path: Path
) -> None:
    ignored = shutil.ignore_patterns("mlflow.db", "mlartifacts")
    root = shutil.copytree(project_folder, tmp_path / "applied", ignore=ignored)
    printed = run(root, "atnet.cli", "tune", "--apply").stdout
    assert "+  learning_rate: " in printed
    assert "params.yaml was changed as shown" in printed
    run(root, "atnet.stages.train")
    trained = pd.read_csv(root / files.MODEL / "history.csv")["validation_loss"].min()
    _, (parent,), _ = search_runs(root)
    assert trained == pytest.approx(parent.data.metrics["best/validation_loss"], abs=1e-6)


def test_an_interrupt_ends_every_process_and_keeps_the_trials(
    project_folder: Path, continued: str, tmp_path: Path
) -> None:
    root = shutil.copytree(project_folder, tmp_path / "interrupted", ignore=shutil.ignore_patterns("mlflow.db"))
    command = [sys.executable, "-m", "atnet.cli", "tune", "--trials", "40", "--jobs", "2"]
    call = subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, text=True)
    assert call.stdout is not None
    while not call.stdout.readline().startswith("trial "):
        assert call.poll() is None
    call.send_signal(signal.SIGINT)
    printed, _ = call.communicate(timeout=60)
    assert call.returncode == 130
    assert "run `atnet tune` again to continue" in printed
    _, (parent,), trials = search_runs(root)
    assert parent.info.status == "KILLED"
    assert all(trial.info.status != "RUNNING" for trial in trials)
