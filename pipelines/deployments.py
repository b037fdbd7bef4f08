"""Serve what prefect.yaml declares: its flows run on this machine at the times that stand there.

`make schedule`, or `python -m pipelines.deployments`. Without PREFECT_API_URL a server is
started here and ended with it.
"""

import contextlib
import importlib
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from prefect import serve
from prefect.client.schemas.objects import ConcurrencyLimitConfig
from prefect.client.schemas.schedules import CronSchedule
from prefect.deployments.runner import RunnerDeployment
from prefect.settings import PREFECT_API_URL, temporary_settings

from atnet.environment import prepare_process
from atnet.errors import ConfigurationError, StoreError
from atnet.redaction import redact

DECLARATIONS = Path("prefect.yaml")
DEFAULT_PORT = 4200
START_SECONDS = 90


def declared_deployments(path: Path = DECLARATIONS) -> list[RunnerDeployment]:
    """Read the deployments that prefect.yaml declares.

    Raises:
        ConfigurationError: if the file is missing or names a flow that is not there.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        return [_deployment(declared) for declared in content["deployments"]]
    except FileNotFoundError:
        raise ConfigurationError(f"{path} is not here. Run the command in the project's folder.") from None
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
    """Run a Prefect server on this machine and give its API address; it ends with the block.

    Raises:
        StoreError: if it does not answer in time.
    """
    address = f"http://127.0.0.1:{port}/api"
    command = [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _wait_for(address, process)
        yield address
    finally:
        process.terminate()
        process.wait()


def answers(address: str) -> bool:
    """Tell whether a Prefect server answers at this API address."""
    try:
        with urllib.request.urlopen(f"{address}/health", timeout=5) as response:
            return bool(response.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def _wait_for(address: str, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + START_SECONDS
    while not answers(address):
        if process.poll() is not None or time.monotonic() > end:
            raise StoreError(
                f"The Prefect server at {address} did not start. Is the port taken? "
                "Set PREFECT_API_URL to a server that runs already, or start one with `prefect server start`."
            )
        time.sleep(0.5)


def main() -> int:
    """Serve every declared deployment until interrupted."""
    prepare_process()
    given = os.environ.get("PREFECT_API_URL") or PREFECT_API_URL.value()
    default = f"http://127.0.0.1:{DEFAULT_PORT}/api"
    with contextlib.ExitStack() as stack:
        address = given or (default if answers(default) else stack.enter_context(local_server()))
        print(f"Prefect UI: {redact(address.removesuffix('/api'))}", flush=True)
        stack.enter_context(temporary_settings({PREFECT_API_URL: address}))
        # The schedules stay on when this process stops: a restart goes on with them.
        serve(*declared_deployments(), pause_on_shutdown=False)
    return 0


if __name__ == "__main__":
    sys.exit(main())
