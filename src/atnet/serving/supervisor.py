"""The process behind `atnet serve`: it starts the workers and the registry process, and replaces those that end."""

import contextlib
import fcntl
import logging
import signal
import socket
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from atnet.errors import ConfigurationError, StoreError
from atnet.serving.child import Child
from atnet.serving.metrics import SupervisorMetrics, clear_folder, forget_process
from atnet.serving.model_folder import CHALLENGER, ModelFolder
from atnet.serving.settings import RATE_FILE, ServiceSettings
from atnet.serving.status import STATUS_FILE

logger = logging.getLogger(__name__)

BACKLOG = 2048
TICK_SECONDS = 0.1
KILL_SECONDS = 3.0
"""Beyond serve.timeouts.shutdown_seconds, until the processes that are left are killed."""
LOCK_FILE = "service.lock"


class Supervisor:
    """Runs a service until it is told to stop."""

    def __init__(self, settings: ServiceSettings, listening: Sequence[socket.socket]) -> None:
        self._settings, self._listening = settings, listening
        self._restarts: dict[int, float] = {}
        """Position of a child that has ended -> when it is started again."""
        self._signals = 0
        file = str(settings.save())
        descriptors = [listening[number % len(listening)].fileno() for number in range(settings.config.workers)]
        self._children = [Child("atnet.serving.worker", (file, str(fd)), (fd,), True) for fd in descriptors]
        self._children.append(Child("atnet.serving.registry_process", (file,)))
        self._metrics = SupervisorMetrics()

    def run(self) -> None:
        """Start the processes, replace those that end, and end all in good order on SIGTERM or Ctrl-C."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._count_signal)
        for child in self._children:
            child.start(time.monotonic())
        while not self._signals:
            self._watch(time.monotonic())
            time.sleep(TICK_SECONDS)
        self._stop()

    def _count_signal(self, *_: object) -> None:
        self._signals += 1

    def _watch(self, now: float) -> None:
        for position, child in enumerate(self._children):
            if position in self._restarts:
                if now >= self._restarts[position]:
                    del self._restarts[position]
                    child.start(now)
                    self._metrics.restarts.inc()
                continue
            if child.is_silent(now):
                logger.error("%s gives no sign of life and is killed.", _name(child))
                child.send(signal.SIGKILL)
            code = child.exit_code()
            if code is not None:
                self._forget(child)
                self._restarts[position] = child.restart_at(now)
                logger.warning("%s ended with %d and is replaced.", _name(child), code)

    def _stop(self) -> None:
        """Let the workers finish what they have accepted; a second signal or the end of the time kills them."""
        for listening in self._listening:
            listening.close()
        for child in self._children:
            child.send(signal.SIGTERM)
        end = time.monotonic() + self._settings.config.timeouts.shutdown_seconds + KILL_SECONDS
        running = self._children
        while running := [child for child in running if child.process and child.exit_code() is None]:
            if time.monotonic() > end or self._signals > 1:
                for child in running:
                    logger.error("%s did not end in time and is killed.", _name(child))
                    child.send(signal.SIGKILL)
            time.sleep(TICK_SECONDS / 2)

    def _forget(self, child: Child) -> None:
        if child.process is not None:
            forget_process(child.process.pid, self._settings.metrics_folder)


def _name(child: Child) -> str:
    pid = child.process.pid if child.process else "-"
    return f"{child.module.rpartition('.')[2]} {pid}"


@contextlib.contextmanager
def listening_sockets(host: str, port: int, workers: int) -> Iterator[list[socket.socket]]:
    """Open a listening socket per worker on one port, as long as the block lasts.

    Linux spreads connections over them; of one shared socket, one worker would take all that arrive together. The
    sockets stay open when a worker ends: what arrives meanwhile waits for its replacement.

    Raises:
        ConfigurationError: if the address is taken or not one of this machine.
    """
    first = _listen(host, port, shared=False)
    if workers == 1 or sys.platform != "linux":
        sockets = [first]
    else:
        # The port is known to be free now; one that is shared from the start could be another service's.
        port = first.getsockname()[1]
        first.close()
        sockets = [_listen(host, port, shared=True) for _ in range(workers)]
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(listening) for listening in sockets]


def _listen(host: str, port: int, *, shared: bool) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=BACKLOG, reuse_port=shared)
    except OSError as error:
        raise ConfigurationError(
            f"Cannot listen on {host}:{port} ({error.strerror or error}). Close what listens there, "
            f"or choose another: `atnet serve --port {port + 1 if port else 8000}`."
        ) from None


@contextlib.contextmanager
def exclusive_folder(folder: Path) -> Iterator[None]:
    """Keep a second service out of the folder as long as the block lasts.

    Raises:
        StoreError: if another service uses it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LOCK_FILE).open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StoreError(
                f"Another `atnet serve` uses {folder}. Stop it, or give this one another serve.folder in params.yaml."
            ) from None
        yield


def prepare_folder(settings: ServiceSettings) -> None:
    """Remove what an earlier service has left and this one must not go on with."""
    clear_folder(settings.metrics_folder)
    for name in (RATE_FILE, STATUS_FILE):
        (settings.folder / name).unlink(missing_ok=True)
    # The registry process points at the challenger again, if there is one and a shadow is asked for.
    ModelFolder(settings.folder, settings.model).point(CHALLENGER, None)
