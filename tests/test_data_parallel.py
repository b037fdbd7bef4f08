"""Training with several workers: how a batch is shared, what is refused, and what happens when a process is killed."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from pydantic import ValidationError

from atnet.config import Params, TrainConfig
from atnet.errors import ConfigurationError, ProcessInterrupted
from atnet.network import data_parallel
from atnet.network.checkpoint import load_state, training_settings
from atnet.network.data_parallel import Callbacks, check_workers, main, train_in_parallel
from atnet.network.parallel_trainer import distinct_tokens, worker_share
from atnet.network.training import Trainer
from atnet.network.training_inputs import TrainingInputs
from atnet.network.training_processes import ParallelTraining, local_addresses
from atnet.network.training_state import Epoch, TrainingState
from atnet.network.training_worker import WorkerTask, key_bytes, require_equal_keys
from atnet.subprocesses import is_alive
from tests.encoded import VOCABULARY, write_tokens, write_vectors

SETTINGS: dict[str, Any] = {
    "embedding_dimensions": 8,
    "filters": 8,
    "epochs": 3,
    "patience": 9,
    "batch_size": 16,
    "learning_rate": 0.01,
    "soft_target_slope": None,
    "wide": False,
    "precision": "float32",
    "workers": 2,
}
WITHOUT_DROPOUT = {"dropout": 0.0, "embedding_dropout": 0.0}
ROWS = 161
"""The last batch of an epoch has a single text, so that one worker gets none."""


def test_the_shares_of_a_batch_are_the_whole_batch() -> None:
    weights = np.arange(1, 8, dtype=np.float32)
    shares = [worker_share(weights, index, 3) for index in range(3)]
    assert sorted(np.concatenate([rows for rows, _ in shares]).tolist()) == list(range(7))
    for rows, share_weights in shares:
        assert share_weights.tolist() == weights[rows].tolist()


def test_a_worker_without_a_text_takes_the_first_one_with_weight_zero() -> None:
    rows, weights = worker_share(np.ones(2, np.float32), index=2, workers=3)
    assert (rows.tolist(), weights.tolist()) == ([0], [0.0])
    assert weights.dtype == np.float32


def test_distinct_tokens_beyond_the_vocabulary_are_the_unknown_word() -> None:
    tokens = np.array([[5, 9, 0], [5, 3, 7]], np.int32)
    assert distinct_tokens(tokens, vocabulary_size=6).tolist() == [0, 1, 3, 5]
    assert distinct_tokens(tokens, vocabulary_size=10).tolist() == [0, 3, 5, 7, 9]


def with_workers(params: Params, workers: Any, **changes: Any) -> TrainConfig:
    return TrainConfig.model_validate({**params.train.model_dump(), "workers": workers, **changes})


@pytest.mark.parametrize(
    ("workers", "message"),
    [
        (0, "greater than or equal to 1"),
        (True, "workers"),
        (["127.0.0.1:5000"], "at least 2"),
        (["first:5000", "second"], "write host:port for each worker.*'second'"),
        (["first:5000", "second:70000"], "write host:port"),
        (["first:5000", "first:5000"], "an address occurs twice"),
        (129, "129 workers share a batch of 128 texts"),
    ],
)
def test_impossible_workers_are_refused(params: Params, workers: Any, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        with_workers(params, workers, batch_size=128)


def test_more_workers_than_texts_in_the_smaller_batches_of_a_small_split_are_refused(params: Params) -> None:
    config = with_workers(params, 9)
    check_workers(config, 9)
    with pytest.raises(ConfigurationError, match=r"train.workers is 9, but a batch .* has 8 texts"):
        check_workers(config, 8)


def test_the_training_key_depends_on_the_number_of_workers_and_not_on_their_addresses(params: Params) -> None:
    local, first, second = (
        training_settings(with_workers(params, workers), "float32")
        for workers in (2, ["first:5000", "second:5000"], ["other:5000", "another:5000"])
    )
    assert local == first == second
    assert local != training_settings(with_workers(params, 1), "float32")


def test_addresses_on_this_machine_have_ports_of_their_own() -> None:
    assert len(set(local_addresses(3))) == 3


def test_workers_with_another_training_key_are_named() -> None:
    task = WorkerTask(
        train={}, root=Path(), key="0a" * 16, precision="float32", addresses=["first:1", "second:1"], index=0,
        checkpoint=None, wide_logits=None,
    )  # fmt: skip
    key = key_bytes(task.key).astype(float)
    require_equal_keys(task, np.stack([key, key]))
    with pytest.raises(ConfigurationError, match=r"training at second:1 differs from that at first:1"):
        require_equal_keys(task, np.stack([key, key + 1]))


@pytest.mark.parametrize(("workers", "index"), [(2, 1), (["first:1", "second:1"], 2), (["first:1", "second:1"], 0)])
def test_the_command_of_another_machine_needs_an_address(
    tmp_path: Path, project: Path, workers: Any, index: int, capsys: pytest.CaptureFixture[str]
) -> None:
    write_params(tmp_path, project, workers=workers)
    assert main(["--root", str(tmp_path), "--index", str(index)]) == 1
    assert f"train.workers has no address for worker {index}" in capsys.readouterr().err


def write_params(folder: Path, project: Path, **train: Any) -> None:
    params = yaml.safe_load((project / "params.yaml").read_text(encoding="utf-8"))
    params["train"] |= {**SETTINGS, **train}
    (folder / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")


def write_inputs(folder: Path, rows: int = ROWS) -> None:
    write_tokens(folder, rows=rows)
    write_vectors(folder, np.random.default_rng(0).normal(size=(VOCABULARY - 5, 8)).astype(np.float32))


def parallel_training(folder: Path, params: Params, **changes: Any) -> ParallelTraining:
    config = TrainConfig.model_validate({**params.train.model_dump(), **SETTINGS, **changes})
    return ParallelTraining(config, folder, "0a" * 16, "float32", folder / "state.npz", wide_logits=None)


def train(training: ParallelTraining, on_epoch: Callable[[Epoch], None] = lambda epoch: None) -> TrainingState:
    return train_in_parallel(training, Callbacks(on_epoch=on_epoch, on_step=lambda *progress: None))


def single(training: ParallelTraining) -> TrainingState:
    data = TrainingInputs.load(training.root).training_data(training.config)
    trainer = Trainer(training.config, data, precision="float32")
    return trainer.run(TrainingState(), on_epoch=lambda state: None, on_step=lambda *progress: None)


def children(process_id: int) -> list[int]:
    """List the child processes of a process."""
    tasks = Path(f"/proc/{process_id}/task")
    return [int(child) for path in tasks.glob("*/children") for child in path.read_text().split()]


def wait_until(condition: Callable[[], Any], seconds: float = 240) -> Any:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if value := condition():
            return value
        time.sleep(0.05)
    raise AssertionError("the condition did not become true in time")


def test_a_worker_that_always_dies_ends_the_training_after_a_few_restarts(
    tmp_path: Path, params: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("atnet.network.training_processes.WORKER_MODULE", "atnet.no_such_module")
    with pytest.raises(
        ProcessInterrupted, match=r"worker \d ended: .*no_such_module.* after 3 restarts. Run `dvc repro`"
    ):
        train(parallel_training(tmp_path, params))


def test_workers_that_do_not_connect_are_given_up(
    tmp_path: Path, params: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(data_parallel, "CONNECT_SECONDS", 0.01)
    with pytest.raises(ProcessInterrupted, match=r"not connected within 0.01 s.*--index N"):
        train(parallel_training(tmp_path, params))


@pytest.mark.slow
@pytest.mark.parametrize("changes", [{}, {"attention": "published", "embedding": "fine_tuned"}])
def test_two_workers_train_as_one_does_without_dropout(tmp_path: Path, params: Params, changes: dict[str, Any]) -> None:
    write_inputs(tmp_path)
    training = parallel_training(tmp_path, params, **WITHOUT_DROPOUT, **changes)
    epochs: list[Epoch] = []
    together, alone = train(training, epochs.append), single(training)

    assert tuple(epochs) == together.history
    for epoch, expected in zip(together.history, alone.history, strict=True):
        assert epoch.train_loss == pytest.approx(expected.train_loss, abs=1e-4)
        assert epoch.validation_loss == pytest.approx(expected.validation_loss, abs=1e-4)
    assert len(together.weights) == len(alone.weights)
    for weights, expected_weights in zip(together.weights, alone.weights, strict=True):
        np.testing.assert_allclose(weights, expected_weights, atol=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("victim", [0, 1])
def test_a_killed_worker_does_not_change_the_result(
    tmp_path: Path, params: Params, victim: int, caplog: pytest.LogCaptureFixture
) -> None:
    write_inputs(tmp_path)
    training = parallel_training(tmp_path, params)
    expected = train(training)
    killed: list[int] = []

    epochs: list[Epoch] = []

    def on_epoch(epoch: Epoch) -> None:
        epochs.append(epoch)
        if not killed:
            workers = sorted(child for child in children(os.getpid()) if is_worker(child))
            killed.append(workers[victim])
            os.kill(workers[victim], signal.SIGKILL)

    resumed = train(replace(training, checkpoint=tmp_path / "killed.npz"), on_epoch)
    assert killed
    assert not is_alive(killed[0])
    assert "all workers start again from the last epoch (1 of 3)" in caplog.text
    assert tuple(epochs) == resumed.history == expected.history
    for weights, expected_weights in zip(resumed.weights, expected.weights, strict=True):
        np.testing.assert_array_equal(weights, expected_weights)


def is_worker(process_id: int) -> bool:
    with contextlib.suppress(FileNotFoundError):
        return b"training_worker" in Path(f"/proc/{process_id}/cmdline").read_bytes()
    return False


@pytest.fixture
def started() -> Iterator[list[subprocess.Popen[bytes]]]:
    """Collect processes that end with the test."""
    processes: list[subprocess.Popen[bytes]] = []
    yield processes
    for process in processes:
        process.kill()
        process.wait()


@pytest.mark.slow
def test_a_killed_stage_leaves_no_worker_and_the_next_one_continues(
    tmp_path: Path, project: Path, started: list[subprocess.Popen[bytes]]
) -> None:
    write_inputs(tmp_path, rows=1200)
    write_params(tmp_path, project, wide=True, epochs=4)
    command = [sys.executable, "-m", "atnet.stages.train"]
    stage = subprocess.Popen(command, cwd=tmp_path)
    started.append(stage)
    (checkpoint,) = wait_until(lambda: list(tmp_path.glob(".atnet/checkpoints/*.npz")))
    workers = children(stage.pid)
    assert sum(map(is_worker, workers)) == 2
    stage.kill()
    stage.wait()
    wait_until(lambda: not any(map(is_alive, workers)), seconds=30)
    epochs = len(load_state(checkpoint).history)
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=600, check=True)
    assert f"epoch {epochs + 1:>2}" in result.stdout
    assert f"epoch {epochs:>2}" not in result.stdout
    assert (tmp_path / "data/07_model/model.onnx").exists()
    assert not list(tmp_path.glob(".atnet/spill/*"))


@pytest.mark.slow
def test_a_worker_of_another_clone_trains_along_and_one_with_other_tokens_is_refused(
    tmp_path: Path, project: Path, started: list[subprocess.Popen[bytes]]
) -> None:
    chief, clone = tmp_path / "chief", tmp_path / "clone"
    workers = local_addresses(2)
    for folder in (chief, clone):
        folder.mkdir()
        write_inputs(folder, rows=ROWS if folder == chief else ROWS + 1)
        write_params(folder, project, workers=workers)

    def start() -> tuple[str, int]:
        other = [sys.executable, "-m", "atnet.network.data_parallel", "--index", "1"]
        started.append(subprocess.Popen(other, cwd=clone))
        command = [sys.executable, "-m", "atnet.stages.train"]
        stage = subprocess.run(command, cwd=chief, capture_output=True, text=True, timeout=600)
        return stage.stdout + stage.stderr, started[-1].wait(timeout=120)

    output, code = start()
    assert f"The training at {workers[1]} differs from that at {workers[0]}" in output
    assert code == 1
    write_inputs(clone)
    output, code = start()
    assert "train: best epoch" in output
    assert code == 0
