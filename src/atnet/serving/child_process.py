"""A child process of the service: how the supervisor starts and watches it, and how it ends with its parent."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field

FIRST_DELAY_SECONDS, MAX_DELAY_SECONDS = 0.1, 30.0
"""Delay before a process is replaced; it doubles when the replacement soon ends too."""
STABLE_SECONDS = 60.0
"""After a process that ran longer, the delay is the first one again."""
HEARTBEAT_TIMEOUT_SECONDS = 30.0
"""A process without a heartbeat for this long is killed."""
START_TIMEOUT_SECONDS = 300.0
"""The same before the first heartbeat: on a busy machine, the imports alone can take more than half a minute."""
ENVIRONMENT = {
    "TOKENIZERS_PARALLELISM": "false",
    "OMP_NUM_THREADS": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    # Otherwise each thread keeps freed memory in its own arena.
    "MALLOC_ARENA_MAX": "2",
}


@dataclass(slots=True)
class ServiceProcess:
    """A process that is replaced when it ends; a new interpreter, never a fork.

    ONNX Runtime and the tokenizer have threads, which do not survive a fork.
    """

    module: str
    arguments: Sequence[str]
    inherited: Sequence[int] = ()
    """File descriptors that the process needs; its arguments contain them."""
    has_heartbeat: bool = False
    """Whether the process gets one more file descriptor as its last argument, to which it writes once a second."""
    process: "subprocess.Popen[bytes] | None" = None
    heartbeat: int = -1
    started: float = 0.0
    last_beat: float | None = None
    """None before the first heartbeat."""
    killed: bool = False
    """Whether the supervisor has killed it."""
    delay: float = field(default=FIRST_DELAY_SECONDS)

    def start(self, now: float) -> None:
        """Start the process; `now` in seconds of time.monotonic()."""
        command = [sys.executable, "-P", "-m", self.module, *self.arguments]
        inherited = list(self.inherited)
        if self.has_heartbeat:
            self.heartbeat, child_end = os.pipe()
            os.set_blocking(self.heartbeat, False)
            os.set_blocking(child_end, False)
            command.append(str(child_end))
            inherited.append(child_end)
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            pass_fds=inherited,
            env={**os.environ, **ENVIRONMENT},
            # Ctrl-C reaches only the supervisor, which then stops the others in order.
            start_new_session=True,
        )
        if self.has_heartbeat:
            os.close(inherited[-1])
        self.started, self.last_beat, self.killed = now, None, False

    def is_hanging(self, now: float) -> bool:
        """Read the heartbeats; return whether there was none for too long. False once it has been killed for that."""
        if not self.has_heartbeat or self.killed:
            return False
        with contextlib.suppress(BlockingIOError):
            if os.read(self.heartbeat, 1024):
                self.last_beat = now
        if self.last_beat is None:
            return now - self.started > START_TIMEOUT_SECONDS
        return now - self.last_beat > HEARTBEAT_TIMEOUT_SECONDS

    def exit_code(self) -> int | None:
        """Return the exit code of a process that has ended, negative for a signal; None while it runs."""
        return self.process.poll() if self.process is not None else None

    def restart_time(self, now: float) -> float:
        """Clean up after the process has ended, and return when it should be started again."""
        self.delay = FIRST_DELAY_SECONDS if now - self.started > STABLE_SECONDS else self.delay
        time = now + self.delay
        self.delay = min(2 * self.delay, MAX_DELAY_SECONDS)
        self.close()
        return time

    def close(self) -> None:
        """Close the pipes of a process that has ended."""
        if self.process is not None and self.process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self.process.stdin.close()
        if self.has_heartbeat and self.heartbeat >= 0:
            os.close(self.heartbeat)
            self.heartbeat = -1
        self.process = None

    def kill(self) -> None:
        """Kill the process."""
        self.killed = True
        self.send(signal.SIGKILL)

    def send(self, number: signal.Signals) -> None:
        """Send a signal, unless the process has ended."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(number)


def stop_with_parent() -> threading.Event:
    """Return an event that is set on SIGTERM or SIGINT, or when the supervisor, and with it standard input, ends."""
    stopping = threading.Event()

    def wait_for_parent() -> None:
        while os.read(0, 1024):
            pass
        stopping.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    threading.Thread(target=wait_for_parent, name="parent", daemon=True).start()
    return stopping
