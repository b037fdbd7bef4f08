"""The search for real: processes, SQLite, MLflow; killed, gone on with, written back and trained."""

import os
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient

from atnet import files
from tests.encoded import VOCABULARY, write_tokens
from tests.settings import params_file

pytestmark = pytest.mark.slow
SMALL = {
    "train": {
        "embedding_dimensions": 8,
        "filters": 8,
        "epochs": 4,
        "batch_size": 16,
        "soft_target_slope": None,
        # With it, these texts are told apart whatever the network learns, and a search has nothing to find.
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


def run(root, *command, check=True):
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
    done = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=root,
        env=kept,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=600,
    )
    assert not check or done.returncode == 0, done.stdout
    return done


def trial_runs(root):
    client = MlflowClient(f"sqlite:///{root}/mlflow.db")
    experiment = client.get_experiment_by_name("atnet").experiment_id
    runs = client.search_runs([experiment], "tags.`atnet.kind` = 'tuning trial'")
    parents = client.search_runs([experiment], "tags.`atnet.kind` = 'search'")
    return client, parents, sorted(runs, key=lambda one: int(one.data.tags["trial.number"]))


@pytest.fixture(scope="module")
def workplace(tmp_path_factory):
    """A folder with parameters, tokens and word vectors; there is no test split to read."""
    root = tmp_path_factory.mktemp("tuned")
    params_file(root, SMALL)
    write_tokens(root, rows=400)
    (root / files.TOKENS / "test.arrow").unlink()
    (root / files.VECTORS).mkdir(parents=True)
    # Not zeros: with them every feature is the same, and nothing is learned at any rate.
    start = np.random.default_rng(0).normal(scale=0.1, size=(VOCABULARY, 8)).astype(np.float32)
    np.save(root / files.VECTORS / "vectors.npy", start)
    return root


@pytest.fixture(scope="module")
def killed(workplace):
    """The search killed outright in its second trial, and gone on with: what it printed then."""
    command = [sys.executable, "-m", "atnet.cli", "tune"]
    search = subprocess.Popen(command, cwd=workplace, stdout=subprocess.PIPE, text=True)
    first = search.stdout.readline()
    assert first.startswith("trial   0")
    time.sleep(0.1)
    os.kill(search.pid, signal.SIGKILL)
    search.wait()
    return run(workplace, "atnet.cli", "tune").stdout


def test_a_killed_search_goes_on_and_leaves_no_process(workplace, killed):
    assert killed.startswith("going on after 1 trials")
    assert "3 complete" in killed
    listed = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True).stdout
    assert not [line for line in listed.splitlines() if "atnet.tuning.trial_worker" in line and str(workplace) in line]


def test_the_trials_are_nested_runs_with_curves_and_without_a_model(workplace, killed):
    client, (parent,), trials = trial_runs(workplace)
    assert parent.info.status == "FINISHED"
    assert {trial.data.tags["mlflow.parentRunId"] for trial in trials} == {parent.info.run_id}
    complete = [trial for trial in trials if trial.data.tags["trial.state"] == "complete"]
    assert len(complete) == 3
    assert {trial.info.status for trial in complete} == {"FINISHED"}
    assert all(trial.info.status != "RUNNING" for trial in trials)
    assert len(client.get_metric_history(complete[0].info.run_id, "curve/validation_loss")) == 4
    assert set(complete[0].data.params) == set(SMALL["tune"]["space"])
    assert not [
        tag for trial in [parent, *trials] for tag in trial.data.tags if tag.startswith(("model.", "training."))
    ]
    names = {entry.path for entry in client.list_artifacts(parent.info.run_id, "plots")}
    assert {"plots/history.png", "plots/parallel_coordinates.png"} <= names
    best = min(trial.data.metrics["best/validation_loss"] for trial in complete)
    assert parent.data.metrics["best/validation_loss"] == best


def test_a_store_that_was_lost_is_filled_again(workplace, killed, tmp_path):
    root = shutil.copytree(workplace, tmp_path / "moved")
    (root / "mlflow.db").unlink()
    shutil.rmtree(root / "mlartifacts")
    run(root, "atnet.cli", "tune")
    _, parents, trials = trial_runs(root)
    assert len(parents) == 1
    assert len([trial for trial in trials if trial.data.tags["trial.state"] == "complete"]) == 3


def test_what_is_applied_trains_to_the_value_that_was_found(workplace, killed, tmp_path):
    root = shutil.copytree(workplace, tmp_path / "applied", ignore=shutil.ignore_patterns("mlflow.db", "mlartifacts"))
    printed = run(root, "atnet.cli", "tune", "--apply").stdout
    assert "+  learning_rate: " in printed
    assert "params.yaml is changed as shown" in printed
    run(root, "atnet.stages.train")
    trained = pd.read_csv(root / files.MODEL / "history.csv")["validation_loss"].min()
    _, (parent,), _ = trial_runs(root)
    assert trained == pytest.approx(parent.data.metrics["best/validation_loss"], abs=1e-6)


def test_an_interrupt_ends_every_process_and_keeps_the_trials(workplace, killed, tmp_path):
    root = shutil.copytree(workplace, tmp_path / "interrupted", ignore=shutil.ignore_patterns("mlflow.db"))
    command = [sys.executable, "-m", "atnet.cli", "tune", "--trials", "40", "--jobs", "2"]
    search = subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, text=True)
    while not search.stdout.readline().startswith("trial "):
        assert search.poll() is None
    search.send_signal(signal.SIGINT)
    printed, _ = search.communicate(timeout=60)
    assert search.returncode == 130
    assert "run `atnet tune` again to go on" in printed
    _, (parent,), trials = trial_runs(root)
    assert parent.info.status == "KILLED"
    assert all(trial.info.status != "RUNNING" for trial in trials)
