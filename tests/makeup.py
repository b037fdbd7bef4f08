"""`make up` really running in a project on free ports; whatever is left of it is killed at the end."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from pipelines.keep_running import request_state
from tests.projects import Project
from tests.servers import free_port, wait_until

START_SECONDS = 900
"""On two busy cores Prefect's server needs minutes to create its database."""
PREFECT, MLFLOW, SERVICE = "prefect server start", "mlflow server", "atnet.cli serve"
"""Words in the command line of each part with an address."""


@dataclass(frozen=True, slots=True)
class RunningUp:
    """A running `make up`."""

    project: Project
    process: "subprocess.Popen[bytes]"
    ports: dict[str, str]
    log_file: Path

    @property
    def prefect(self) -> str:
        return f"http://127.0.0.1:{self.ports['PREFECT_PORT']}"

    @property
    def mlflow(self) -> str:
        return f"http://127.0.0.1:{self.ports['MLFLOW_PORT']}"

    @property
    def service(self) -> str:
        return f"http://127.0.0.1:{self.ports['SERVE_PORT']}"

    @property
    def checks(self) -> dict[str, str]:
        """Words of a part's command -> an address that answers only if the part works."""
        return {
            PREFECT: f"{self.prefect}/api/ready",
            MLFLOW: f"{self.mlflow}/api/2.0/mlflow/experiments/search?max_results=1",
            SERVICE: f"{self.service}/ready",
        }

    def log(self) -> str:
        return self.log_file.read_text(encoding="utf-8")

    def wait_for_servers(self) -> None:
        """Wait until every address answers."""
        for address in self.checks.values():
            wait_until(lambda address=address: answers(address), seconds=START_SECONDS)

    def leader(self, words: str) -> psutil.Process | None:
        """Return the process that a part has started."""
        return leader(self.project.root, words)

    def stop(self) -> None:
        """Press Ctrl-C, and check that everything ends and nothing is left."""
        self.process.send_signal(signal.SIGINT)
        assert self.process.wait(timeout=300) == 0, self.log()[-3000:]
        wait_until(lambda: not processes(self.project.root), seconds=30)
        assert not (self.project.root / ".atnet" / "up.json").exists()
        for port in self.ports.values():
            with socket.socket() as probe:
                assert probe.connect_ex(("127.0.0.1", int(port))) != 0


@contextlib.contextmanager
def make_up(project: Project) -> Iterator[RunningUp]:
    """Start everything while the block runs; kill what the block has not stopped."""
    ports = {name: str(free_port()) for name in ("PREFECT_PORT", "MLFLOW_PORT", "SERVE_PORT")}
    log = project.root / ".up.log"
    with log.open("w") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "pipelines.up"],
            cwd=project.root,
            env=project.environment(**ports, SERVE_PYTHON=sys.executable),
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield RunningUp(project, process, ports, log)
    finally:
        for left in (*processes(project.root), *_descendants(process.pid)):
            with contextlib.suppress(psutil.Error):
                left.kill()
        process.wait()


def processes(root: Path) -> list[psutil.Process]:
    """Return the processes that work in the project's folder."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.cwd() == str(root) and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


def leader(root: Path, words: str) -> psutil.Process | None:
    """Return the process that a part has started: it leads its own group."""
    for process in processes(root):
        with contextlib.suppress(psutil.Error, ProcessLookupError):
            line = " ".join(process.cmdline())
            if words in line and "keep_running" not in line and os.getpgid(process.pid) == process.pid:
                return process
    return None


def part_of(root: Path, words: str) -> psutil.Process | None:
    """Return the process that keeps a part running."""
    for process in processes(root):
        with contextlib.suppress(psutil.Error):
            line = " ".join(process.cmdline())
            if "pipelines.keep_running" in line and words in line:
                return process
    return None


def processes_of_runs(root: Path) -> dict[str, psutil.Process]:
    """Return the processes in which Prefect executes flow runs, by the id of the run."""
    found = {}
    for process in processes(root):
        with contextlib.suppress(psutil.Error):
            engine = "prefect.engine" in " ".join(process.cmdline())
            run_id = process.environ().get("PREFECT__FLOW_RUN_ID") if engine else None
            if run_id is not None:
                found[run_id] = process
    return found


def answers(address: str) -> bool:
    """Return whether a part answers, ready or not."""
    return request_state(address) is not None


def get_json(address: str) -> Any:
    """Request an address and parse the response."""
    with urllib.request.urlopen(address, timeout=30) as response:
        return json.load(response)


def _descendants(process_id: int) -> list[psutil.Process]:
    with contextlib.suppress(psutil.Error):
        return psutil.Process(process_id).children(recursive=True)
    return []
