"""Start the workers of a training on this machine, follow them, and start them again when one dies.

As a command it runs the worker of another machine, in a clone of the project with the same inputs:
`python -m atnet.network.data_parallel --index 1`. The stage `train` runs worker 0.
"""

import contextlib
import functools
import logging
import queue
import socket
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from atnet.config import TrainConfig
from atnet.environment import TENSORFLOW_SETTINGS, reduced_environment, thread_variables, threads_per_process
from atnet.errors import AtnetError, ConfigurationError, ProcessInterrupted
from atnet.network.checkpoint import load_state
from atnet.network.training_state import Epoch, TrainingState
from atnet.subprocesses import JsonLineProcess, JsonMessage

logger = logging.getLogger(__name__)

WORKER_MODULE = "atnet.network.training_worker"
RESTARTS = 3
"""How often all workers are started again after one of them has died."""
CONNECT_SECONDS = 300.0
"""How long all workers together may take to start and to connect."""


@dataclass(frozen=True, slots=True)
class ParallelTraining:
    """A training for several workers."""

    config: TrainConfig
    root: Path
    key: str
    precision: str
    checkpoint: Path
    wide_logits: Path | None
    """File of the wide branch's logits on the validation split."""

    @property
    def local_workers(self) -> list[int]:
        """The workers that stage `train` starts."""
        return list(range(self.config.workers)) if isinstance(self.config.workers, int) else [0]

    def addresses(self) -> list[str]:
        """Return `host:port` of each worker, on this machine with free ports."""
        return local_addresses(self.config.workers) if isinstance(self.config.workers, int) else self.config.workers

    def task(self, index: int, addresses: list[str]) -> JsonMessage:
        """Return the first message to a worker."""
        is_chief = index == 0
        return {
            "train": self.config.model_dump(),
            "root": str(self.root),
            "key": self.key,
            "precision": self.precision,
            "addresses": addresses,
            "index": index,
            "checkpoint": str(self.checkpoint) if is_chief else None,
            "wide_logits": str(self.wide_logits) if is_chief and self.wide_logits else None,
        }


@dataclass(frozen=True, slots=True)
class Callbacks:
    """What is called in this process while the workers train."""

    on_epoch: Callable[[Epoch], None]
    on_step: Callable[[int, int, float], None]


class WorkerDied(Exception):
    """A worker's process has ended before the training."""


class WorkerProcesses:
    """The workers' processes on this machine."""

    def __init__(self, training: ParallelTraining) -> None:
        """Prepare the workers; no process is started yet."""
        self._training = training
        self._messages: queue.SimpleQueue[tuple[int, JsonMessage | None]] = queue.SimpleQueue()
        self._processes: dict[int, JsonLineProcess] = {}

    def start(self, indices: Sequence[int]) -> None:
        """Start workers, which share the cores of this machine."""
        addresses = self._training.addresses()
        threads = thread_variables(threads_per_process(len(indices)))
        environment = reduced_environment({**TENSORFLOW_SETTINGS, **threads}, training=True)
        for index in indices:
            self._processes[index] = JsonLineProcess(
                [sys.executable, "-m", WORKER_MODULE],
                environment=environment,
                name=f"Worker {index}",
                on_message=functools.partial(self._deliver, index),
            )
            self._processes[index].send(self._training.task(index, addresses))

    def wait(self, seconds: float | None) -> tuple[int, JsonMessage]:
        """Return the next message and the worker that sent it.

        Raises:
            WorkerDied: if the next event is the end of a process.
            TimeoutError: if there is none in time.
        """
        try:
            index, message = self._messages.get(timeout=None if seconds is None else max(seconds, 0))
        except queue.Empty:
            raise TimeoutError from None
        if message is None:
            raise WorkerDied(f"worker {index} ended: {self._processes[index].end_reason()}")
        return index, message

    def close(self) -> None:
        """End every process, whatever it is doing."""
        for process in self._processes.values():
            process.kill()
            process.close()

    def _deliver(self, index: int, message: JsonMessage | None) -> None:
        self._messages.put((index, message))


def train_in_parallel(training: ParallelTraining, callbacks: Callbacks) -> TrainingState:
    """Train from the checkpoint until the training is finished.

    Raises:
        ProcessInterrupted: if workers die again and again, or do not connect.
        AtnetError: if a worker reports an error.
    """
    state = load_state(training.checkpoint)
    if not state.is_finished(training.config):
        reported = len(state.history)

        def report_epochs() -> None:
            # From the checkpoint, not from the message: a chief that died had perhaps not sent it.
            nonlocal reported
            for epoch in load_state(training.checkpoint).history[reported:]:
                callbacks.on_epoch(epoch)
                reported += 1

        supervise(training, training.local_workers, report_epochs, callbacks.on_step)
        report_epochs()
    return load_state(training.checkpoint)


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
        if "connected" in message:
            connecting.discard(index)
        elif "step" in message:
            on_step(*message["step"])
        elif "epoch" in message:
            on_epoch()
        elif "error" in message:
            raise AtnetError(message["error"])
        elif "done" in message:
            training.discard(index)


def local_addresses(workers: int) -> list[str]:
    """Return addresses of this machine with ports that are free now."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(workers)]
        for listener in sockets:
            listener.bind(("127.0.0.1", 0))
        return [f"127.0.0.1:{listener.getsockname()[1]}" for listener in sockets]


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
