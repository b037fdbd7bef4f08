"""Start the workers of a training on this machine, follow them, and start them again when one dies.

As a command it runs the worker of another machine, in a clone of the project with the same inputs:
`python -m atnet.network.data_parallel --index 1`. The stage `train` runs worker 0.
"""

import argparse
import contextlib
import logging
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from atnet.config import TrainConfig
from atnet.environment import prepare_process
from atnet.errors import AtnetError, ConfigurationError, ProcessInterrupted
from atnet.files import PARAMS_FILE
from atnet.network.checkpoint import load_state, training_key, training_settings
from atnet.network.training_inputs import training_code, training_inputs
from atnet.network.training_processes import ParallelTraining, WorkerProcesses
from atnet.network.training_state import Epoch, TrainingState
from atnet.storage import load_params

logger = logging.getLogger(__name__)

RESTARTS = 3
"""How often all workers are started again after one of them has died."""
CONNECT_SECONDS = 300.0
"""How long all workers together may take to start and to connect."""


@dataclass(frozen=True, slots=True)
class Callbacks:
    """Callbacks that run in this process while the workers train."""

    on_epoch: Callable[[Epoch], None]
    on_step: Callable[[int, int, float], None]


class WorkerDied(Exception):
    """A worker's process ended before the training did."""


def train_in_parallel(training: ParallelTraining, callbacks: Callbacks) -> TrainingState:
    """Train from the checkpoint until the training is finished.

    Raises:
        ProcessInterrupted: if workers die repeatedly, or do not connect.
        AtnetError: if a worker reports an error.
    """
    assert training.checkpoint is not None
    checkpoint = training.checkpoint
    state = load_state(checkpoint)
    if not state.is_finished(training.config):
        reported = len(state.history)

        def report_epochs() -> None:
            # From the checkpoint, not from the message: a chief that died had perhaps not sent it.
            nonlocal reported
            for epoch in load_state(checkpoint).history[reported:]:
                callbacks.on_epoch(epoch)
                reported += 1

        supervise(training, training.local_workers, report_epochs, callbacks.on_step)
        report_epochs()
    return load_state(checkpoint)


def supervise(
    training: ParallelTraining,
    indices: Sequence[int],
    on_epoch: Callable[[], None],
    on_step: Callable[[int, int, float], None],
) -> None:
    """Run workers until they are done; when one dies, start all again from the last checkpoint, a few times."""
    for restart in range(1, RESTARTS + 2):
        try:
            with contextlib.closing(WorkerProcesses(training)) as processes:
                processes.start(indices)
                _follow(processes, set(indices), on_epoch, on_step)
        except WorkerDied as error:
            if restart > RESTARTS:
                raise ProcessInterrupted(
                    f"The training stopped: {error}, after {RESTARTS} restarts. "
                    "Run `dvc repro` to continue from the last finished epoch."
                ) from None
            logger.warning("%s; all workers start again from the last epoch (%d of %d)", error, restart, RESTARTS)
        else:
            return


def _follow(
    processes: WorkerProcesses,
    training: set[int],
    on_epoch: Callable[[], None],
    on_step: Callable[[int, int, float], None],
) -> None:
    """Pass the workers' messages on until all of them are done."""
    connecting, deadline = set(training), time.monotonic() + CONNECT_SECONDS
    while training:
        try:
            index, message = processes.wait(deadline - time.monotonic() if connecting else None)
        except TimeoutError:
            raise ProcessInterrupted(
                f"The workers of the training have not connected within {CONNECT_SECONDS:g} s. If train.workers lists "
                "addresses, start `python -m atnet.network.data_parallel --index N` for each of the others, and check "
                "that the machines reach each other on these ports."
            ) from None
        if message is None:
            if index in training:
                raise WorkerDied(f"worker {index} ended: {processes.end_reason(index)}")
        elif "connected" in message:
            connecting.discard(index)
        elif "step" in message:
            on_step(*message["step"])
        elif "epoch" in message:
            on_epoch()
        elif "error" in message:
            raise AtnetError(message["error"])
        elif "done" in message:
            training.discard(index)


def check_workers(config: TrainConfig, batch_size: int) -> None:
    """Check that every worker gets rows.

    Raises:
        ConfigurationError: if there are more workers than rows in a batch.
    """
    if config.worker_count > batch_size:
        raise ConfigurationError(
            f"train.workers is {config.worker_count}, but a batch of this training split has {batch_size} texts. Use "
            "fewer workers; a small split gets smaller batches, see train.min_steps."
        )


def main(argv: Sequence[str] | None = None) -> int:
    """Run the worker of this machine until the training is finished."""
    prepare_process()
    logging.basicConfig(format="data_parallel: %(message)s")
    parser = argparse.ArgumentParser(prog="python -m atnet.network.data_parallel", description=__doc__)
    parser.add_argument("--index", type=int, required=True, help="position in train.workers, from 1 on")
    parser.add_argument("--root", type=Path, default=Path(), help="the project folder")
    arguments = parser.parse_args(argv)
    try:
        supervise(remote_training(arguments.root, arguments.index), [arguments.index], lambda: None, lambda *_: None)
    except AtnetError as error:
        print(f"data_parallel: {error}", file=sys.stderr, flush=True)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def remote_training(root: Path, index: int) -> ParallelTraining:
    """Read the settings and inputs of a training whose chief is on another machine.

    Raises:
        ConfigurationError: if train.workers has no such worker.
    """
    from atnet.network.device import training_device

    config = load_params(root / PARAMS_FILE).train
    if isinstance(config.workers, int) or not 0 < index < len(config.workers):
        raise ConfigurationError(
            f"train.workers has no address for worker {index}: list host:port of every worker, the one of stage "
            "`train` first, and count from 0."
        )
    precision = training_device(config).precision(config)
    key = training_key(training_settings(config, precision), [*training_inputs(root), *training_code(root)])
    return ParallelTraining(config, root.resolve(), key, precision, checkpoint=None, wide_logits=None)


if __name__ == "__main__":
    sys.exit(main())
