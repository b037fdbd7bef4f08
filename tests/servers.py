"""Real servers on free ports of this machine, ended by their own process id."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

START_SECONDS = 600


def free_port() -> int:
    """Find a port that nobody listens at."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def running(command: list[str], folder: Path, environment: Mapping[str, str], *, name: str) -> Iterator[None]:
    """Run a process as long as the block lasts; what it prints goes to a file in the folder."""
    with (folder / f".{name}.log").open("w", encoding="utf-8") as log:
        process = subprocess.Popen(
            command, cwd=folder, env=dict(environment), stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )
        try:
            yield
        finally:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=30)
            # What it has started goes with it: the group is this process's own.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@contextlib.contextmanager
def mlflow_server(folder: Path, environment: Mapping[str, str], *, port: int | None = None) -> Iterator[str]:
    """Run an MLflow server with its own store, which proxies artifacts; return its address."""
    port = port or free_port()
    address = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += [
        "--backend-store-uri",
        f"sqlite:///{folder}/server.db",
        "--artifacts-destination",
        f"{folder}/artifacts",
    ]
    quiet = {**environment, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    with running(command, folder, quiet, name="mlflow"):
        wait_until(lambda: _answers(f"{address}/health"), seconds=START_SECONDS)
        yield address


@contextlib.contextmanager
def prefect_server(folder: Path, environment: Mapping[str, str]) -> Iterator[str]:
    """Run a Prefect server; give its API address."""
    port = free_port()
    address = f"http://127.0.0.1:{port}/api"
    command = [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)]
    with running(command, folder, environment, name="prefect"):
        wait_until(lambda: _answers(f"{address}/health"), seconds=START_SECONDS)
        yield address


def wait_until(reached: Callable[[], bool], seconds: float) -> None:
    """Wait for something to become true."""
    end = time.monotonic() + seconds
    while not reached():
        assert time.monotonic() < end, f"not reached in {seconds} s"
        time.sleep(0.5)


def ask(address: str, path: str, body: dict[str, Any]) -> Any:
    """Post to Prefect's API."""
    request = urllib.request.Request(
        f"{address}/{path}", data=json.dumps(body).encode(), headers={"Content-Type": "application/json"}
    )
    while True:
        try:
            with urllib.request.urlopen(request, timeout=30) as response:
                return json.load(response)
        except urllib.error.HTTPError as error:
            # The server's SQLite is busy; Prefect's own client asks again, too.
            if error.code != 503:
                raise
            time.sleep(1)


def _answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(address, timeout=5) as response:
            return bool(response.status == 200)
    except OSError:
        return False
