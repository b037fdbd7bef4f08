"""A worker process: `python -m atnet.serving.http_worker SETTINGS SOCKET HEARTBEAT`, the last two file descriptors."""

import asyncio
import contextlib
import gc
import logging
import math
import os
import socket
import sys
import time
from pathlib import Path

import uvicorn

from atnet.serving.api_keys import RateLimiter, read_keys
from atnet.serving.application import Service, make_app
from atnet.serving.http_protocol import timed_protocol
from atnet.serving.json_log import log_as_json
from atnet.serving.service_metrics import WorkerMetrics, share_values
from atnet.serving.service_settings import RATE_FILE, ServiceSettings

logger = logging.getLogger(__name__)

HEARTBEAT_SECONDS = 1.0
BACKLOG = 2048


def main(settings_file: Path, listening: int, heartbeat: int) -> None:
    """Serve requests on a listening socket until the supervisor stops this process."""
    share_values()
    settings = ServiceSettings.load(settings_file)
    keys, rate = read_keys(os.environ), settings.config.rate_limit
    limiter = RateLimiter(settings.folder / RATE_FILE, len(keys), rate) if keys and rate else None
    service = Service(settings, WorkerMetrics(), keys, limiter)
    server = WorkerServer(_uvicorn_config(service), service, heartbeat)
    server.run(sockets=[socket.socket(fileno=listening)])


def _uvicorn_config(service: Service) -> uvicorn.Config:
    timeouts = service.settings.config.timeouts
    return uvicorn.Config(
        make_app(service),
        loop="uvloop",
        http=timed_protocol(timeouts.headers_seconds),
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        backlog=BACKLOG,
        limit_concurrency=service.settings.config.limits.max_connections,
        timeout_keep_alive=math.ceil(timeouts.keep_alive_seconds),
        timeout_graceful_shutdown=math.ceil(timeouts.shutdown_seconds),
    )


class WorkerServer(uvicorn.Server):
    """uvicorn's server with a heartbeat for the supervisor; it ends when the supervisor is gone."""

    def __init__(self, config: uvicorn.Config, service: Service, heartbeat: int) -> None:
        super().__init__(config)
        self._created = time.perf_counter()
        self._service = service
        self._heartbeat = heartbeat
        self._last_beat = 0.0

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start listening, and watch standard input: it ends with the supervisor."""
        await super().startup(sockets)
        # What exists now stays: the garbage collector need not visit it each time.
        gc.collect()
        gc.freeze()
        asyncio.get_running_loop().add_reader(0, self._read_parent)
        seconds = round(time.perf_counter() - self._created, 3)
        logger.info("A worker is listening.", extra={"fields": {"seconds_after_imports": seconds}})

    async def on_tick(self, counter: int) -> bool:
        """Send a heartbeat once a second, unless a batch has taken longer than any request may.

        If a thread or task of the worker has ended through an error of ours, the worker ends too and is replaced.
        """
        if not self._service.is_healthy():
            logger.critical("A thread or task of the worker has ended; the worker ends and is replaced.")
            return True
        now = time.monotonic()
        busy_since = self._service.inference.busy_since
        stuck = busy_since is not None and now - busy_since > 2 * self._service.settings.config.timeouts.request_seconds
        if now - self._last_beat >= HEARTBEAT_SECONDS and not stuck:
            self._last_beat = now
            self._service.metrics.queued_texts.set(self._service.inference.queued_texts)
            # A supervisor that is busy or gone must not stop the worker here.
            with contextlib.suppress(BlockingIOError, BrokenPipeError):
                os.write(self._heartbeat, b".")
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Finish what has been accepted; /ready reports it meanwhile."""
        self._service.draining = True
        self._service.metrics.ready.set(0)
        await super().shutdown(sockets)

    def _read_parent(self) -> None:
        if not os.read(0, 1024):
            asyncio.get_running_loop().remove_reader(0)
            self.should_exit = True


if __name__ == "__main__":
    log_as_json()
    # Under its own name: as __main__, its messages would not show where they come from.
    logger = logging.getLogger("atnet.serving.http_worker")
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
