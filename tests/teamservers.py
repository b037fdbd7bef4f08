"""The servers of `make team-demo` around a small project, for tests."""

import contextlib
import importlib.util
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import psycopg
import pytest

from pipelines.team_demo.postgresql import find_programs
from pipelines.team_demo.settings import FOLDER, SEAWEEDFS_PORTS, Demo, Ports, load_demo
from tests.projects import Project
from tests.servers import free_port, wait_until

START_SECONDS = 1800
STOP_SECONDS = 200
PRIVATE_FILES = ("alice.env", "bob.env", "basic_auth.ini", "s3.json", "secrets.json")
"""The only files that may hold a credential."""


@dataclass(slots=True)
class TeamServers:
    """A running demo."""

    demo: Demo
    process: "subprocess.Popen[str]"
    data: Path
    """PostgreSQL's folder."""
    log: Path
    """What the demo printed."""

    def environment(self, user: str) -> dict[str, str]:
        """Read the variables of a user from the file that the demo wrote."""
        lines = shlex.split((self.demo.folder / f"{user}.env").read_text(encoding="utf-8"))
        return dict(line.split("=", 1) for line in lines)

    def processes(self, *words: str) -> list[psutil.Process]:
        """List the demo's processes whose command contains all of the words."""
        found = []
        for process in psutil.Process(self.process.pid).children(recursive=True):
            with contextlib.suppress(psutil.Error):
                command = " ".join(process.cmdline())
                if all(word in command for word in words):
                    found.append(process)
        return found

    def kill_mlflow(self) -> None:
        """Kill every process of MLflow's server, as a power cut would."""
        for process in self.processes("mlflow"):
            with contextlib.suppress(psutil.NoSuchProcess):
                if "keep_running" not in " ".join(process.cmdline()):
                    process.kill()

    def mlflow_answers(self) -> bool:
        """Return whether MLflow's port accepts connections."""
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.demo.ports.mlflow)) == 0

    def database(self, name: str) -> "psycopg.Connection[tuple[object, ...]]":
        """Connect to a database of the demo."""
        return psycopg.connect(self.demo.database_url(name, "postgresql"))

    def stop(self) -> int:
        """Stop the demo as Ctrl-C does, and return its exit code."""
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(timeout=STOP_SECONDS)

    def credentials(self) -> list[str]:
        """List every password and key."""
        return [value.removeprefix("admin:") for value in self.demo.passwords.values()]


def require_team_packages() -> None:
    """Skip the test where the packages of requirements-team.lock are not installed."""
    for module in ("boto3", "dvc_s3", "flask_wtf"):
        if importlib.util.find_spec(module) is None:
            pytest.skip("needs the packages of requirements-team.lock: make install TEAM=1")
    if shutil.which("weed", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}") is None:
        pytest.skip("SeaweedFS is not installed: make install TEAM=1")
    if find_programs() is None:
        pytest.skip("PostgreSQL is not installed: make install TEAM=1, or apt install postgresql")


@contextlib.contextmanager
def team_servers(project: Project) -> Iterator[TeamServers]:
    """Run `make team-demo` in a project on free ports."""
    ports = Ports(mlflow=free_port(), prefect=free_port(), postgresql=free_port(), s3=_free_ports())
    # Not pytest's folder: only its owner may enter it, and PostgreSQL does not run as root.
    folder = Path(tempfile.mkdtemp(prefix="atnet-team-"))
    folder.chmod(0o755)
    variables = {
        "MLFLOW_PORT": str(ports.mlflow),
        "PREFECT_PORT": str(ports.prefect),
        "POSTGRES_PORT": str(ports.postgresql),
        "S3_PORT": str(ports.s3),
        "PGDATA": str(folder / "data"),
    }
    log_path = folder / "demo.log"
    try:
        with log_path.open("w", encoding="utf-8") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "pipelines.team_demo"],
                cwd=project.root,
                env=project.environment(**variables),
                stdout=log,
                stderr=subprocess.STDOUT,
                text=True,
                start_new_session=True,
            )
        try:
            wait_until(lambda: _is_ready(process, log_path), seconds=START_SECONDS)
            yield TeamServers(load_demo(project.root, ports), process, folder / "data", log_path)
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=STOP_SECONDS)
            # Its parts notice that it is gone.
            process.kill()
            process.wait()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def demo_folder(project: Project) -> Path:
    """Return the demo's folder of a project."""
    return project.root / FOLDER


def _is_ready(process: "subprocess.Popen[str]", log: Path) -> bool:
    text = log.read_text(encoding="utf-8")
    assert process.poll() is None, text
    return "MLflow: users" in text and "ProcessWorker" in text


def _free_ports() -> int:
    """Find a port that is free together with those after it."""
    while True:
        first = free_port()
        if first + SEAWEEDFS_PORTS < 65536 and all(_is_free(first + offset) for offset in range(SEAWEEDFS_PORTS + 1)):
            return first


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
