"""The worker processes of a search: each has its own TensorFlow, and none outlives the search."""

import contextlib
import functools
import queue
import signal
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from atnet.config import TrainConfig
from atnet.environment import TENSORFLOW_SETTINGS, reduced_environment, thread_variables
from atnet.subprocesses import JsonLineProcess, JsonMessage

WORKER_MODULE = "atnet.tuning.trial_worker"
"""Started by name and not imported: TensorFlow must not be loaded in this process."""
INTERRUPT = -1
"""The worker number of the message that Ctrl-C puts into the queue."""


@dataclass(frozen=True, slots=True)
class WorkerMessage:
    """A message from a worker."""

    worker: int
    content: JsonMessage | None
    """None: the process has ended."""


class WorkerPool(Protocol):
    """Trains models, several at a time: child processes, or what a test puts in their place."""

    size: int

    def start_training(self, worker: int, config: TrainConfig) -> None:
        """Start a training in an idle worker."""

    def reply(self, worker: int, *, proceed: bool) -> None:
        """Continue a worker's training after an epoch, or stop it."""

    def wait(self, seconds: float | None) -> WorkerMessage | None:
        """Return the next message of any worker; None when the time is over."""

    def end_reason(self, worker: int) -> str:
        """Describe why a worker's process ended."""


class SubprocessPool:
    """One child process per worker, started when first needed and again after it has ended."""

    def __init__(self, size: int, root: Path, *, threads: int | None) -> None:
        """Prepare the pool; no process is started yet.

        Args:
            size: number of workers.
            root: the project folder.
            threads: of each process; None: as many as the `train` stage uses.
        """
        self.size = size
        self._command = [sys.executable, "-m", WORKER_MODULE, str(root)]
        self._environment = reduced_environment({**TENSORFLOW_SETTINGS, **thread_variables(threads)}, training=True)
        self._messages: queue.SimpleQueue[WorkerMessage] = queue.SimpleQueue()
        self._processes: dict[int, JsonLineProcess] = {}
        self._end_reasons: dict[int, str] = {}

    def start_training(self, worker: int, config: TrainConfig) -> None:
        """Start a training in an idle worker."""
        if worker not in self._processes:
            self._processes[worker] = JsonLineProcess(
                self._command, environment=self._environment, on_message=functools.partial(self._deliver, worker)
            )
        self._processes[worker].send({"train": config.model_dump()})

    def reply(self, worker: int, *, proceed: bool) -> None:
        """Continue a worker's training after an epoch, or stop it."""
        self._processes[worker].send({"proceed": proceed})

    def wait(self, seconds: float | None) -> WorkerMessage | None:
        """Return the next message of any worker; None when the time is over.

        Raises:
            KeyboardInterrupt: here only, inside `interruptible`.
        """
        try:
            message = self._messages.get(timeout=seconds)
        except queue.Empty:
            return None
        if message.worker == INTERRUPT:
            raise KeyboardInterrupt
        if message.content is None:
            process = self._processes.pop(message.worker)
            self._end_reasons[message.worker] = process.end_reason()
            process.close()
        return message

    def end_reason(self, worker: int) -> str:
        """Describe why a worker's last process ended."""
        return self._end_reasons[worker]

    @contextlib.contextmanager
    def interruptible(self) -> Iterator[None]:
        """Delay an interrupt until the search waits for a message; a second interrupt acts at once.

        Elsewhere it could leave a database locked in the middle of a transaction.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        def wake(*_: object) -> None:
            signal.signal(signal.SIGINT, before)
            self._messages.put(WorkerMessage(INTERRUPT, None))

        before = signal.signal(signal.SIGINT, wake)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)

    def close(self) -> None:
        """End every process, whatever it is doing."""
        for process in self._processes.values():
            process.kill()
            process.close()
        self._processes.clear()

    def _deliver(self, worker: int, content: JsonMessage | None) -> None:
        self._messages.put(WorkerMessage(worker, content))


@contextlib.contextmanager
def worker_pool(size: int, root: Path, *, threads: int | None) -> Iterator[SubprocessPool]:
    """Open a pool whose processes end with the block."""
    pool = SubprocessPool(size, root, threads=threads)
    try:
        yield pool
    finally:
        pool.close()
