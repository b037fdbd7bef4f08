"""The process behind `atnet serve`: it starts the workers and the registry process, and replaces those that end."""

import contextlib
import errno
import fcntl
import logging
import signal
import socket
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from atnet.errors import ConfigurationError, StoreError
from atnet.serving.child_process import ServiceProcess
from atnet.serving.model_copies import CHALLENGER, ModelCopies
from atnet.serving.registry_status import STATUS_FILE
from atnet.serving.service_metrics import SupervisorMetrics, clear_folder, forget_process
from atnet.serving.service_settings import RATE_FILE, ServiceSettings

logger = logging.getLogger(__name__)

BACKLOG = 2048
NO_ADDRESS = {errno.EADDRNOTAVAIL, socket.EAI_NONAME, socket.EAI_AGAIN, socket.EAI_FAIL}
"""Errors of a host that does not belong to this machine, or of a name that no address is known for."""
TICK_SECONDS = 0.1
KILL_SECONDS = 3.0
"""After serve.timeouts.shutdown_seconds, until the remaining processes are killed."""
LOCK_FILE = "service.lock"


class Supervisor:
    """Runs a service until it is stopped."""

    def __init__(self, settings: ServiceSettings, sockets: Sequence[socket.socket]) -> None:
        self._settings, self._sockets = settings, sockets
        self._restarts: dict[int, float] = {}
        """Position of a process that has ended -> when it is started again."""
        self._signals = 0
        file = str(settings.save())
        descriptors = [sockets[number % len(sockets)].fileno() for number in range(settings.config.workers)]
        self._processes = [
            ServiceProcess("atnet.serving.http_worker", (file, str(descriptor)), (descriptor,), has_heartbeat=True)
            for descriptor in descriptors
        ]
        self._processes.append(ServiceProcess("atnet.serving.registry_process", (file,)))
        self._metrics = SupervisorMetrics()

    def run(self) -> None:
        """Start the processes, replace those that end, and stop all in order on SIGTERM or Ctrl-C."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._count_signal)
        for process in self._processes:
            process.start(time.monotonic())
        while not self._signals:
            self._watch(time.monotonic())
            time.sleep(TICK_SECONDS)
        self._stop()

    def _count_signal(self, *_: object) -> None:
        self._signals += 1

    def _watch(self, now: float) -> None:
        for position, process in enumerate(self._processes):
            if position in self._restarts:
                if now >= self._restarts[position]:
                    del self._restarts[position]
                    process.start(now)
                    self._metrics.restarts.inc()
                continue
            if process.is_hanging(now):
                logger.error("%s sends no heartbeat and is killed.", _name(process))
                process.kill()
            code = process.exit_code()
            if code is not None:
                name = _name(process)
                self._forget(process)
                self._restarts[position] = process.restart_time(now)
                logger.warning("%s ended with exit code %d and is replaced.", name, code)

    def _stop(self) -> None:
        """Stop the workers once they have finished what they accepted; a second signal or the time limit kills them."""
        for listening in self._sockets:
            listening.close()
        for process in self._processes:
            process.send(signal.SIGTERM)
        deadline = time.monotonic() + self._settings.config.timeouts.shutdown_seconds + KILL_SECONDS
        running = self._processes
        while running := [process for process in running if process.process and process.exit_code() is None]:
            if time.monotonic() > deadline or self._signals > 1:
                for process in running:
                    if not process.killed:
                        logger.error("%s did not end in time and is killed.", _name(process))
                    process.kill()
            time.sleep(TICK_SECONDS / 2)

    def _forget(self, process: ServiceProcess) -> None:
        if process.process is not None:
            forget_process(process.process.pid, self._settings.metrics_folder)


def _name(process: ServiceProcess) -> str:
    pid = process.process.pid if process.process else "-"
    return f"{process.module.rpartition('.')[2]} {pid}"


@contextlib.contextmanager
def listening_sockets(host: str, port: int, workers: int) -> Iterator[list[socket.socket]]:
    """Open a listening socket per worker on one port while the block runs.

    Linux distributes connections among them; with one shared socket, one worker would take all that arrive together.
    The sockets stay open when a worker ends: connections that arrive meanwhile wait for its replacement.

    Raises:
        ConfigurationError: if the address is in use or does not belong to this machine.
    """
    first = _listen(host, port, shared=False)
    if workers == 1 or sys.platform != "linux":
        sockets = [first]
    else:
        # The port is known to be free now; one opened as shared at once could be another service's.
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
        if error.errno in NO_ADDRESS:
            raise ConfigurationError(
                f"Cannot listen on {host}: it is not an address of this machine. Set serve.host in params.yaml or "
                "--host, for example to 127.0.0.1."
            ) from None
        raise ConfigurationError(
            f"Cannot listen on {host}:{port} ({error.strerror or error}). Stop the program that listens there, "
            f"or choose another port: `atnet serve --port {port + 1 if port else 8000}`."
        ) from None


@contextlib.contextmanager
def exclusive_folder(folder: Path) -> Iterator[None]:
    """Lock the folder against a second service while the block runs.

    Raises:
        StoreError: if another service uses it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LOCK_FILE).open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StoreError(
                f"Another `atnet serve` uses {folder}. Stop it, or set another serve.state_folder in params.yaml."
            ) from None
        yield


def reset_folder(settings: ServiceSettings) -> None:
    """Remove the state of an earlier service that must not be used again."""
    clear_folder(settings.metrics_folder)
    for name in (RATE_FILE, STATUS_FILE):
        (settings.folder / name).unlink(missing_ok=True)
    # If there is a challenger and a shadow is wanted, the registry process points at it again.
    ModelCopies(settings.folder, settings.model).point(CHALLENGER, None)
