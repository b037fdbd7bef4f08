"""Child processes: what is exchanged with one, and why it ended."""

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import IO, Any

from atnet.errors import ProcessInterrupted

JsonMessage = dict[str, Any]

SHUTDOWN_SECONDS = 5
"""How long a process may take to exit after its input was closed."""
KILL_SIGNALS = frozenset(
    getattr(signal, name)
    for name in ("SIGKILL", "SIGTERM", "SIGINT", "SIGHUP", "SIGQUIT", "SIGXCPU", "SIGXFSZ")
    if hasattr(signal, name)
)
"""Sent from outside. A crash of the process itself (SIGSEGV, SIGABRT) is not among them."""
RESOURCE_ERRORS = (
    "MemoryError",
    "bad_alloc",
    "bad allocation",
    "Cannot allocate memory",
    "Failed to allocate memory",
    "failed to map segment",
    "can't start new thread",
    "Resource temporarily unavailable",
    "Too many open files",
    "No space left on device",
    "Disk quota exceeded",
)
"""How Python, NumPy, ONNX Runtime and the C library report that the machine ran out of something."""


def is_alive(process_id: int) -> bool:
    """Return whether a process with this id is running, whoever owns it."""
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def is_resource_error(message: str) -> bool:
    """Return whether an error message reports that memory, disk space or another resource of the machine ran out."""
    return any(text in message for text in RESOURCE_ERRORS)


class ChildProcess:
    """A child process that talks to this one through standard input and output.

    What the child writes to standard error goes to a temporary file and is read only if the child fails.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        environment: Mapping[str, str],
        name: str = "The process",
        folder: str | None = None,
        text: bool = False,
    ) -> None:
        """Start the process.

        Args:
            command: the program and its arguments.
            environment: the child's whole environment.
            name: what the process is called in messages.
            folder: the child's current folder; by default that of this process.
            text: exchange UTF-8 text, not bytes.
        """
        self._name = name
        # Stays open as long as this object: it is read after the process has ended.
        self._log = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115
        self._process: subprocess.Popen[Any] = subprocess.Popen(
            list(command),
            env=dict(environment),
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=text,
            encoding="utf-8" if text else None,
            errors="replace" if text else None,
            # Ctrl-C in the terminal is for the parent, which then ends its children.
            start_new_session=True,
        )

    @property
    def process_id(self) -> int:
        """Return the id of the process."""
        return self._process.pid

    @property
    def input(self) -> IO[Any]:
        """Return the stream that the process reads."""
        assert self._process.stdin is not None
        return self._process.stdin

    @property
    def output(self) -> IO[Any]:
        """Return the stream that the process writes."""
        assert self._process.stdout is not None
        return self._process.stdout

    def raise_if_interrupted(self) -> None:
        """Check how the process ended.

        Raises:
            ProcessInterrupted: if it was killed from outside or ran out of memory or disk space.
        """
        code = self._process.wait()
        if -code in KILL_SIGNALS:
            raise ProcessInterrupted(
                f"{self._name} was killed by {signal.Signals(-code).name}. The system does this when memory runs out; "
                "free some memory and run the command again."
            )
        last_line = self.last_log_line()
        if code != 0 and is_resource_error(last_line):
            raise ProcessInterrupted(
                f"{self._name} ran out of memory or disk space ({last_line}). Free some and run the command again."
            )

    def end_reason(self) -> str:
        """Describe why the process ended: its last log line, else the signal or the exit code."""
        code = self._process.wait()
        if code < 0:
            hint = ", perhaps because memory ran out" if -code == getattr(signal, "SIGKILL", None) else ""
            return f"killed by {signal.Signals(-code).name}{hint}"
        return self.last_log_line() or f"exit code {code}"

    def log_lines(self, limit: int) -> list[str]:
        """Return the last lines that the process wrote to standard error."""
        self._log.seek(0)
        return self._log.read().strip().splitlines()[-limit:]

    def last_log_line(self) -> str:
        """Return the last line that the process wrote to standard error; empty if there is none."""
        return next(iter(self.log_lines(1)), "")

    def kill(self) -> None:
        """End the process at once."""
        self._process.kill()
        self._process.wait()

    def close(self) -> None:
        """Close the process's input, wait for it to exit, kill it if it does not, and drop its log."""
        with contextlib.suppress(BrokenPipeError, ValueError):
            self.input.close()
        try:
            self._process.wait(timeout=SHUTDOWN_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
        self._log.close()


class JsonLineProcess(ChildProcess):
    """A child process that reads JSON lines from standard input and writes JSON lines to standard output."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        environment: Mapping[str, str],
        name: str = "The process",
        folder: str | None = None,
        on_message: Callable[[JsonMessage | None], None] | None = None,
    ) -> None:
        """Start the process.

        Args:
            command: the program and its arguments.
            environment: the child's whole environment.
            name: what the process is called in messages.
            folder: the child's current folder; by default that of this process.
            on_message: called from a thread with each message, and with None once the process has closed its output.
                Without it, messages are queued for `receive`.
        """
        super().__init__(command, environment=environment, name=name, folder=folder, text=True)
        self._queue: queue.SimpleQueue[JsonMessage | None] = queue.SimpleQueue()
        threading.Thread(target=self._read, args=(on_message or self._queue.put,), daemon=True).start()

    def send(self, message: Mapping[str, Any]) -> None:
        """Write a message to the process; one that has ended is noticed when its reply is read."""
        with contextlib.suppress(BrokenPipeError, ValueError):
            self.input.write(json.dumps(message) + "\n")
            self.input.flush()

    def receive(self, timeout_seconds: float | None = None) -> JsonMessage | None:
        """Return the next message, or None if the process exited without one.

        Raises:
            ProcessInterrupted: if no message arrives in time (the process is then killed), or if the process was
                killed from outside or ran out of memory.
        """
        try:
            message = self._queue.get(timeout=timeout_seconds)
        except queue.Empty:
            self.kill()
            raise ProcessInterrupted(
                f"{self._name} did not answer within {timeout_seconds:g} s and was stopped; the machine may be busy. "
                "Run the command again when it is less busy."
            ) from None
        if message is None:
            self.raise_if_interrupted()
        return message

    def _read(self, deliver: Callable[[JsonMessage | None], None]) -> None:
        with self.output as lines:
            for line in lines:
                # A line cut short by a kill is not a message.
                with contextlib.suppress(json.JSONDecodeError):
                    message = json.loads(line)
                    if isinstance(message, dict):
                        deliver(message)
        deliver(None)


class JsonLineChannel:
    """The child's side of a `JsonLineProcess`; the process exits when its parent closes the input or dies."""

    def __init__(self) -> None:
        """Reserve standard output for messages: whatever libraries print goes to standard error."""
        self._output = os.fdopen(os.dup(1), "w", encoding="utf-8")
        os.dup2(2, 1)
        self._lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        threading.Thread(target=self._read, daemon=True).start()

    def send(self, message: Mapping[str, Any]) -> None:
        """Write a message to the parent."""
        self._output.write(json.dumps(message) + "\n")
        self._output.flush()

    def receive(self) -> JsonMessage:
        """Wait for the parent's next message."""
        message: JsonMessage = json.loads(self._lines.get())
        return message

    def _read(self) -> None:
        for line in sys.stdin:
            self._lines.put(line)
        # The parent is gone, so the work in progress is dropped.
        os._exit(1)
