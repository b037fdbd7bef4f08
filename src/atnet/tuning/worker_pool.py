"""The processes that train: each has its own TensorFlow, and none outlives the search."""

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TextIO

from atnet.config import TrainConfig

WORKER = "atnet.tuning.trial_worker"
"""Named, not imported: TensorFlow must not come into this process."""
END_SECONDS = 5
NOBODY = -1
"""Stands in for a worker where an interrupt wakes the search."""


@dataclass(frozen=True, slots=True)
class WorkerMessage:
    """What a worker tells."""

    worker: int
    message: dict[str, Any] | None
    """None: the process has ended."""


class WorkerPool(Protocol):
    """Whoever trains: processes, or what a test puts in their place."""

    size: int

    def train(self, worker: int, config: TrainConfig) -> None:
        """Begin a training."""

    def answer(self, worker: int, go: bool) -> None:
        """Let the training go on after an epoch, or end it."""

    def wait(self, seconds: float | None) -> WorkerMessage | None:
        """Give the next thing a worker says; None when the time is over."""

    def last_log_line(self, worker: int) -> str:
        """Give what a worker wrote before it ended."""


class SubprocessPool:
    """One child process per worker, started when it is first needed and again after it has died."""

    def __init__(self, size: int, root: Path, *, threads: int | None) -> None:
        """Prepare; nothing is started yet.

        Args:
            size: trainings at once.
            root: the project folder.
            threads: of each process; None: as many as a training by itself takes.
        """
        self.size = size
        self._command = [sys.executable, "-m", WORKER, str(root)]
        self._environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", **_thread_limits(threads)}
        self._said: queue.SimpleQueue[WorkerMessage] = queue.SimpleQueue()
        self._running: dict[int, subprocess.Popen[str]] = {}
        self._logs: dict[int, TextIO] = {}

    def train(self, worker: int, config: TrainConfig) -> None:
        """Begin a training."""
        if worker not in self._running:
            self._start(worker)
        self._send(worker, {"train": config.model_dump()})

    def answer(self, worker: int, go: bool) -> None:
        """Let the training go on after an epoch, or end it."""
        self._send(worker, {"go": go})

    def wait(self, seconds: float | None) -> WorkerMessage | None:
        """Give the next thing a worker says; None when the time is over.

        Raises:
            KeyboardInterrupt: here only, while `interruptible` lasts.
        """
        try:
            said = self._said.get(timeout=seconds)
        except queue.Empty:
            return None
        if said.worker == NOBODY:
            raise KeyboardInterrupt
        if said.message is None:
            self._end(self._running.pop(said.worker))
        return said

    def last_log_line(self, worker: int) -> str:
        """Give the last line a worker wrote to its log."""
        log = self._logs[worker]
        log.seek(0)
        lines = log.read().strip().splitlines()
        return lines[-1] if lines else "no message; the system may have ended it for want of memory"

    @contextlib.contextmanager
    def interruptible(self) -> Iterator[None]:
        """Let an interrupt wait until the search waits; a second one strikes at once.

        Anywhere else it could leave a database locked in the middle of a change.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        def wake(*_: object) -> None:
            signal.signal(signal.SIGINT, before)
            self._said.put(WorkerMessage(NOBODY, None))

        before = signal.signal(signal.SIGINT, wake)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)

    def close(self) -> None:
        """End every process, whatever it is doing."""
        for process in self._running.values():
            process.kill()
        for process in self._running.values():
            self._end(process)
        for log in self._logs.values():
            log.close()
        self._running.clear()

    def _start(self, worker: int) -> None:
        if worker in self._logs:
            self._logs.pop(worker).close()
        # Closed with the processes: it is read after one has died.
        log = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115
        self._logs[worker] = log
        process = subprocess.Popen(
            self._command,
            env=self._environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            encoding="utf-8",
            # An interrupt at the terminal is for the search, which then ends its processes.
            start_new_session=True,
        )
        self._running[worker] = process
        threading.Thread(target=self._listen, args=(worker, process), daemon=True).start()

    def _listen(self, worker: int, process: "subprocess.Popen[str]") -> None:
        assert process.stdout is not None
        with contextlib.suppress(ValueError):
            for line in process.stdout:
                self._said.put(WorkerMessage(worker, json.loads(line)))
        self._said.put(WorkerMessage(worker, None))

    def _send(self, worker: int, message: dict[str, Any]) -> None:
        stream = self._running[worker].stdin
        assert stream is not None
        # A process that has died shows in what it does not answer.
        with contextlib.suppress(BrokenPipeError):
            stream.write(json.dumps(message) + "\n")
            stream.flush()

    @staticmethod
    def _end(process: "subprocess.Popen[str]") -> None:
        with contextlib.suppress(BrokenPipeError):
            if process.stdin is not None:
                process.stdin.close()
        process.wait(timeout=END_SECONDS)


@contextlib.contextmanager
def worker_pool(size: int, root: Path, *, threads: int | None) -> Iterator[SubprocessPool]:
    """Give the processes; they end with the block."""
    processes = SubprocessPool(size, root, threads=threads)
    try:
        yield processes
    finally:
        processes.close()


def threads_each(jobs: int, cores: int | None = None) -> int | None:
    """Share the cores among the processes; one alone is left as free as the `train` stage."""
    return None if jobs == 1 else max(1, (cores or os.cpu_count() or 1) // jobs)


def _thread_limits(threads: int | None) -> dict[str, str]:
    names = ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS")
    return {} if threads is None else dict.fromkeys(names, str(threads))
