"""Serve the deployments of prefect.yaml: their flows run on this machine at the times it declares.

Run `make schedule` or `python -m pipelines.deployments`. Without PREFECT_API_URL, a server is started and stopped too.
"""

import argparse
import contextlib
import importlib
import logging
import os
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from prefect import serve
from prefect.client.schemas.objects import ConcurrencyLimitConfig
from prefect.client.schemas.schedules import CronSchedule
from prefect.deployments.runner import RunnerDeployment
from prefect.settings import PREFECT_API_URL, temporary_settings

from atnet.config import load_params
from atnet.config.yaml_text import parse_yaml
from atnet.environment import prepare_process
from atnet.errors import AtnetError, ConfigurationError, StoreError
from atnet.file_system import file_system_errors
from atnet.redaction import redact
from atnet.schedules.prefect_api import PrefectApi, configured_api
from atnet.schedules.sweep import apply_sweep, find_project_sweep, without_slots
from pipelines.tasks import prefect_errors

logger = logging.getLogger(__name__)

DECLARATIONS = Path("prefect.yaml")
DEFAULT_PORT = 4200
START_SECONDS = 90
SWEEP_SECONDS = 60.0
"""Interval between sweeps while deployments are served."""
WAIT_SECONDS = 600
"""Long enough for a server that `make up` starts at the same time: creating its database can take minutes."""


def declared_deployments(path: Path = DECLARATIONS) -> list[RunnerDeployment]:
    """Read the deployments that prefect.yaml declares.

    Raises:
        ConfigurationError: if the file is missing or names a flow that does not exist.
    """
    try:
        content = parse_yaml(path.read_text(encoding="utf-8"))
        return [_deployment(declared) for declared in content["deployments"]]
    except FileNotFoundError:
        raise ConfigurationError(f"{path} does not exist. Run the command in the project folder.") from None
    except (KeyError, TypeError, AttributeError, ImportError) as error:
        raise ConfigurationError(f"{path} cannot be used: {error}. Restore it with `git checkout {path}`.") from error


def _deployment(declared: Mapping[str, Any]) -> RunnerDeployment:
    file, name = declared["entrypoint"].split(":")
    module = importlib.import_module(".".join(Path(file).with_suffix("").parts))
    deployment: RunnerDeployment = getattr(module, name).to_deployment(
        name=declared["name"],
        description=declared.get("description"),
        parameters=declared.get("parameters"),
        schedules=[CronSchedule(**schedule) for schedule in declared.get("schedules", [])],
        concurrency_limit=ConcurrencyLimitConfig(**declared["concurrency_limit"]),
    )
    return deployment


@contextlib.contextmanager
def local_server(port: int = DEFAULT_PORT) -> Iterator[str]:
    """Run a Prefect server on this machine and yield its API address; it stops with the block.

    Raises:
        StoreError: if it does not answer in time.
    """
    address = f"http://127.0.0.1:{port}/api"
    command = [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for_server(address, process)
        yield address
    finally:
        process.terminate()
        process.wait()


def answers(address: str) -> bool:
    """Return whether a Prefect server answers at this API address."""
    try:
        with urllib.request.urlopen(f"{address}/health", timeout=5) as response:
            return bool(response.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def wait_for_server(
    address: str, process: subprocess.Popen[bytes] | None = None, *, seconds: float = START_SECONDS
) -> None:
    """Wait until a Prefect server answers.

    Raises:
        StoreError: if it does not answer in time, or if its process ends.
    """
    end = time.monotonic() + seconds
    while not answers(address):
        if (process is not None and process.poll() is not None) or time.monotonic() > end:
            raise StoreError(
                f"The Prefect server at {address} did not start. Is the port in use? "
                "Set PREFECT_API_URL to a running server, or start one with `prefect server start`."
            )
        time.sleep(0.5)


def sweep_at_start(root: Path, address: str) -> None:
    """End the runs and correct the limits that a kill or downtime left on the server, before runs are started.

    Raises:
        StoreError: if the server does not answer.
    """
    api = _api(root, address)
    sweep = find_project_sweep(api, load_params(), root, datetime.now(UTC))
    apply_sweep(api, root, sweep)
    print(f"schedule: {len(sweep.runs)} runs ended and {len(sweep.slots)} limits corrected at the start", flush=True)


def sweep_regularly(root: Path, address: str, stop: threading.Event, *, seconds: float = SWEEP_SECONDS) -> None:
    """End dead and missed runs, repeatedly, until `stop` is set.

    The sweep at the start misses a run that was killed just before it: it has not been PENDING long enough yet.
    """
    api = _api(root, address)
    while not stop.wait(seconds):
        try:
            with file_system_errors():
                apply_sweep(api, root, without_slots(find_project_sweep(api, load_params(), root, datetime.now(UTC))))
        except AtnetError as error:
            # The server may be starting again, or params.yaml may be half edited: the next sweep tries again.
            logger.info("Cannot check for dead runs now: %s", error)


@contextlib.contextmanager
def _swept_regularly(root: Path, address: str) -> Iterator[None]:
    """Sweep in a thread while the block runs."""
    stop = threading.Event()
    thread = threading.Thread(target=sweep_regularly, args=(root, address, stop), daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()


def _api(root: Path, address: str) -> PrefectApi:
    return replace(configured_api(root), address=address.rstrip("/"))


def main(arguments: Sequence[str] = ()) -> int:
    """Serve every declared deployment until interrupted; the exit code is 1 after an error."""
    prepare_process()
    parser = argparse.ArgumentParser(prog="python -m pipelines.deployments", description=__doc__)
    parser.add_argument("--wait", action="store_true", help="wait for the server at PREFECT_API_URL")
    options = parser.parse_args(arguments)
    try:
        with file_system_errors(), prefect_errors():
            _serve(wait=options.wait)
    except AtnetError as error:
        print(f"schedule: {error}", file=sys.stderr)
        return 1
    return 0


def _serve(*, wait: bool) -> None:
    deployments = declared_deployments()
    configured = os.environ.get("PREFECT_API_URL") or PREFECT_API_URL.value()
    default = f"http://127.0.0.1:{DEFAULT_PORT}/api"
    with contextlib.ExitStack() as stack:
        address = configured or (default if answers(default) else stack.enter_context(local_server()))
        if wait:
            wait_for_server(address, seconds=WAIT_SECONDS)
        print(f"Prefect UI: {redact(address.removesuffix('/api'))}", flush=True)
        stack.enter_context(temporary_settings({PREFECT_API_URL: address}))
        sweep_at_start(Path.cwd(), address)
        stack.enter_context(_swept_regularly(Path.cwd(), address))
        # The schedules stay active when this process stops: a restart continues with them.
        serve(*deployments, pause_on_shutdown=False)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
