"""The processes of a training's workers on this machine."""

import contextlib
import functools
import queue
import socket
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from atnet.config import TrainConfig
from atnet.environment import TENSORFLOW_SETTINGS, reduced_environment, thread_variables, threads_per_process
from atnet.subprocesses import JsonLineProcess, JsonMessage

WORKER_MODULE = "atnet.network.training_worker"


@dataclass(frozen=True, slots=True)
class ParallelTraining:
    """A training for several workers."""

    config: TrainConfig
    root: Path
    key: str
    precision: str
    checkpoint: Path | None
    """Where the chief saves the state; None if it is on another machine."""
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
            "checkpoint": str(self.checkpoint) if is_chief and self.checkpoint else None,
            "wide_logits": str(self.wide_logits) if is_chief and self.wide_logits else None,
        }


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
        on_cpu = {"CUDA_VISIBLE_DEVICES": "-1"}
        environment = reduced_environment({**TENSORFLOW_SETTINGS, **threads, **on_cpu}, training=True)
        for index in indices:
            self._processes[index] = JsonLineProcess(
                [sys.executable, "-m", WORKER_MODULE],
                environment=environment,
                name=f"Worker {index}",
                on_message=functools.partial(self._deliver, index),
            )
            self._processes[index].send(self._training.task(index, addresses))

    def wait(self, seconds: float | None) -> tuple[int, JsonMessage | None]:
        """Return a worker and its next message, or None once its process has ended.

        Raises:
            TimeoutError: if there is none in time.
        """
        try:
            return self._messages.get(timeout=None if seconds is None else max(seconds, 0))
        except queue.Empty:
            raise TimeoutError from None

    def end_reason(self, index: int) -> str:
        """Describe why a worker's process ended."""
        return self._processes[index].end_reason()

    def close(self) -> None:
        """End every process, whatever it is doing."""
        for process in self._processes.values():
            process.kill()
            process.close()

    def _deliver(self, index: int, message: JsonMessage | None) -> None:
        self._messages.put((index, message))


def local_addresses(workers: int) -> list[str]:
    """Return addresses of this machine with ports that are free now."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(workers)]
        for listener in sockets:
            listener.bind(("127.0.0.1", 0))
        return [f"127.0.0.1:{listener.getsockname()[1]}" for listener in sockets]
