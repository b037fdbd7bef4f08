"""The demo's Prefect worker: create the work pool, deploy what prefect.yaml declares, and run flows.

A team's worker machine does the same: `prefect work-pool create`, `prefect deploy --all`, `prefect worker start`.
"""

import copy
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.exceptions import ObjectAlreadyExists
from prefect.workers.process import ProcessWorker

from atnet.environment import prepare_process
from atnet.errors import AtnetError
from pipelines.deployments import WAIT_SECONDS, sweep_at_start, wait_for_server
from pipelines.tasks import prefect_errors

POOL = "atnet"
"""The work pool that prefect.yaml names."""


def create_work_pool(project: Path) -> None:
    """Create the work pool if it is missing; its flows run in the project folder."""
    template = copy.deepcopy(ProcessWorker.get_default_base_job_template())
    # By default a flow starts in an empty temporary folder.
    template["variables"]["properties"]["working_dir"]["default"] = str(project)
    with get_client(sync_client=True) as client:
        try:
            client.create_work_pool(WorkPoolCreate(name=POOL, type="process", base_job_template=template))
        except ObjectAlreadyExists:
            return


def deploy() -> None:
    """Deploy everything that prefect.yaml declares.

    Raises:
        AtnetError: if Prefect refuses.
    """
    done = _prefect("--no-prompt", "deploy", "--all")
    if done.returncode != 0:
        raise AtnetError(f"`prefect deploy --all` failed: {(done.stdout + done.stderr).strip()[-1000:]}")


def _prefect(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([sys.executable, "-m", "prefect", *arguments], capture_output=True, text=True)


def main() -> int:
    """Prepare the pool, then become the worker; the exit code is 1 if the server cannot be used."""
    prepare_process()
    try:
        with prefect_errors():
            address = os.environ["PREFECT_API_URL"]
            wait_for_server(address, seconds=WAIT_SECONDS)
            create_work_pool(Path.cwd())
            deploy()
            sweep_at_start(Path.cwd(), address)
    except AtnetError as error:
        print(f"worker: {error}", file=sys.stderr)
        return 1
    command: list[Any] = [sys.executable, "-m", "prefect", "worker", "start", "--pool", POOL, "--type", "process"]
    os.execv(sys.executable, command)


if __name__ == "__main__":
    sys.exit(main())
