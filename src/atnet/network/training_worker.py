"""A process that is one of several workers of a training; started by `atnet.network.data_parallel`.

Messages are JSON lines. The first one in is a `WorkerTask`. The worker sends `{"connected": true}`, then the chief
`{"step": [done, steps, loss]}` from time to time and `{"epoch": n}` after each saved checkpoint; `{"done": true}` or
`{"error": …}` ends the training, and the process waits for the end of its input.
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel

from atnet.config import TrainConfig
from atnet.environment import prepare_process
from atnet.errors import AtnetError, ConfigurationError
from atnet.subprocesses import JsonLineChannel

STEP_SECONDS = 0.2
"""Minimum time between two messages about steps."""


class WorkerTask(BaseModel):
    """The settings and inputs of a worker."""

    train: dict[str, Any]
    """Section `train` of params.yaml."""
    root: Path
    key: str
    """The training key, by which workers on several machines compare their inputs."""
    precision: str
    addresses: list[str]
    index: int
    checkpoint: Path | None
    """Where the chief reads and writes the state; None for other workers."""
    wide_logits: Path | None
    """The wide branch's logits on the validation split, for the chief; None without a wide branch."""


def run_task(task: WorkerTask, channel: JsonLineChannel) -> None:
    """Connect with the other workers and train.

    Raises:
        ConfigurationError: if another worker has other inputs.
    """
    from atnet.network.checkpoint import load_state, save_state
    from atnet.network.collectives import Collectives
    from atnet.network.parallel_trainer import ParallelTrainer
    from atnet.network.training_inputs import TrainingInputs
    from atnet.network.training_state import TrainingState

    collectives = Collectives(task.addresses, task.index)
    keys = collectives.gather(key_bytes(task.key))
    collectives.wait_for_all()
    require_equal_keys(task, keys)
    channel.send({"connected": True})
    config = TrainConfig.model_validate(task.train)
    # The wide branch is fitted once, by the process that starts the workers.
    data = TrainingInputs.load(task.root).training_data(config.model_copy(update={"wide": False}))
    wide_logits = None if task.wide_logits is None else np.load(task.wide_logits)
    trainer = ParallelTrainer(config, data, precision=task.precision, collectives=collectives, wide_logits=wide_logits)

    def on_epoch(state: TrainingState) -> None:
        if task.checkpoint is not None:
            save_state(task.checkpoint, state)
            channel.send({"epoch": len(state.history)})

    state = TrainingState() if task.checkpoint is None else load_state(task.checkpoint)
    trainer.run(state, on_epoch=on_epoch, on_step=step_messages(channel) if collectives.is_chief else ignore_step)
    collectives.wait_for_all()


def key_bytes(key: str) -> np.ndarray:
    """Return a training key as numbers that workers can exchange, (N,) uint8."""
    return np.frombuffer(bytes.fromhex(key), np.uint8)


def require_equal_keys(task: WorkerTask, keys: np.ndarray) -> None:
    """Compare the training keys of all workers, (W, N).

    Raises:
        ConfigurationError: in every worker, if one differs from the chief's.
    """
    others = [task.addresses[index] for index, key in enumerate(keys) if not np.array_equal(key, keys[0])]
    if others:
        raise ConfigurationError(
            f"The training at {', '.join(others)} differs from that at {task.addresses[0]} in section train of "
            "params.yaml, in the code, in the tokens or vectors (`dvc pull` fetches them), or in the precision that "
            "`auto` chooses there. Make them equal and start all workers again."
        )


def step_messages(channel: JsonLineChannel) -> Callable[[int, int, float], None]:
    """Return a callback that sends the steps done, at most every `STEP_SECONDS`."""
    last = time.monotonic()

    def send(done: int, steps: int, loss: float) -> None:
        nonlocal last
        if time.monotonic() - last >= STEP_SECONDS:
            last = time.monotonic()
            channel.send({"step": [done, steps, loss]})

    return send


def ignore_step(done: int, steps: int, loss: float) -> None:
    """Do nothing: the chief reports the steps."""


def main() -> None:
    """Work on one task over standard input and output."""
    prepare_process()
    channel = JsonLineChannel()
    task = WorkerTask.model_validate(channel.receive())
    try:
        run_task(task, channel)
    except AtnetError as error:
        channel.send({"error": str(error)})
    else:
        channel.send({"done": True})
    # Until the other workers are done too: their connection to this process must not end before.
    channel.receive()


if __name__ == "__main__":
    main()
