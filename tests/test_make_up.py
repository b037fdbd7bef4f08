"""`make up`: its parts, and everything really started, killed once each, and stopped."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from atnet.config import Params
from atnet.errors import ConfigurationError
from atnet.running_servers import RunningServers, running_servers, write_running_servers
from pipelines import up
from pipelines.keep_running import request_state
from tests.makeup import START_SECONDS, answers, get_json, leader, make_up
from tests.projects import ROOT, Project, make_project
from tests.receiver import http_server
from tests.servers import free_port, wait_until

# Options


def test_the_ports_are_options_and_prefects_page_gets_its_own_address(params: Params) -> None:
    options = up.read_options({"PREFECT_PORT": "4301", "MLFLOW_PORT": "", "PUBLIC_HOST": "ml.example.org"}, params)
    environment = up.part_environment(options, {"PATH": "/bin"})
    assert environment["PREFECT_API_URL"] == "http://ml.example.org:4301/api"
    assert environment["PREFECT_SERVER_UI_API_URL"] == environment["PREFECT_API_URL"]
    assert (environment["MLFLOW_PORT"], environment["SERVE_PORT"]) == ("5000", str(params.serve.port))


@pytest.mark.parametrize("value", ["http", "0", "70000", "-1"])
def test_a_port_that_is_not_a_number_is_refused(params: Params, value: str) -> None:
    with pytest.raises(ConfigurationError, match=f"MLFLOW_PORT={value} is not a port"):
        up.read_options({"MLFLOW_PORT": value}, params)


def test_a_port_in_use_is_refused_with_the_variable_to_set(params: Params) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        names = {"PREFECT_PORT": str(free_port()), "MLFLOW_PORT": str(port), "SERVE_PORT": str(free_port())}
        with pytest.raises(ConfigurationError, match=f"Port {port} is in use.*make up MLFLOW_PORT={port + 1}"):
            up.require_free_ports(up.read_options(names, params))
    names["MLFLOW_PORT"] = names["PREFECT_PORT"]
    with pytest.raises(ConfigurationError, match="ports must differ"):
        up.require_free_ports(up.read_options(names, params))


def test_other_commands_find_the_addresses_while_make_up_runs(tmp_path: Path) -> None:
    assert running_servers(tmp_path) is None
    servers = RunningServers(os.getpid(), "http://a/api", "http://b", "http://c")
    write_running_servers(tmp_path, servers)
    assert running_servers(tmp_path) == servers
    write_running_servers(tmp_path, RunningServers(2**22 + 1, "http://a/api", "http://b", "http://c"))
    assert running_servers(tmp_path) is None


def test_a_service_without_a_model_answers_but_is_not_ready() -> None:
    with http_server(lambda path, body: (503, {"status": "no model"})) as port:
        assert request_state(f"http://127.0.0.1:{port}/ready") == "answers, but is not ready (no model)"
    with http_server(lambda path, body: (403, {})) as port:
        assert request_state(f"http://127.0.0.1:{port}/api") is None
    assert request_state("http://127.0.0.1:9") is None


# One part


@contextlib.contextmanager
def part(folder: Path, *arguments: str, **environment: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "pipelines.keep_running", "part", *arguments]
    path = {"PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)])}
    process = subprocess.Popen(
        command, cwd=folder, env={**os.environ, **path, **environment}, stdout=subprocess.PIPE, text=True
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def _sleeper(folder: Path) -> list[str]:
    """Return a command that writes its process id and sleeps."""
    code = "import os, pathlib, time; pathlib.Path('pid').write_text(str(os.getpid())); time.sleep(600)"
    return ["--", sys.executable, "-c", code]


def _pid(folder: Path, other_than: int = 0) -> int:
    def written() -> bool:
        with contextlib.suppress(OSError, ValueError):
            return int((folder / "pid").read_text()) != other_than
        return False

    wait_until(written, seconds=60)
    return int((folder / "pid").read_text())


def test_a_part_that_is_killed_starts_again_and_ends_with_sigterm(tmp_path: Path) -> None:
    with part(tmp_path, *_sleeper(tmp_path)) as process:
        first = _pid(tmp_path)
        os.kill(first, signal.SIGKILL)
        second = _pid(tmp_path, other_than=first)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=60) == 0
        assert process.stdout is not None
        assert "part ended with exit code -9 and restarts in 1 s" in process.stdout.read()
    assert not psutil.pid_exists(second)


def test_a_part_stops_when_make_up_has_gone(tmp_path: Path) -> None:
    starter = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    with part(tmp_path, *_sleeper(tmp_path), ATNET_UP_PID=str(starter.pid)) as process:
        child = _pid(tmp_path)
        starter.kill()
        starter.wait()
        process.wait(timeout=60)
    assert not psutil.pid_exists(child)


def test_a_server_stops_after_the_other_parts(tmp_path: Path) -> None:
    with part(tmp_path, *_sleeper(tmp_path)) as other:
        _pid(tmp_path)
        with part(tmp_path, "--stop-order", "1", "--", sys.executable, "-c", "import time; time.sleep(600)") as server:
            wait_until(lambda: bool(psutil.Process(server.pid).children()), seconds=60)
            server.send_signal(signal.SIGTERM)
            time.sleep(1)
            assert server.poll() is None
            other.send_signal(signal.SIGTERM)
            assert other.wait(timeout=60) == 0
            assert server.wait(timeout=60) == 0


# Everything


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    project = make_project(tmp_path_factory.mktemp("up"), {"operate": {"poll_seconds": 2.0}})
    # A foreign file: neither honcho nor the parts may take their settings from it.
    (project.root / ".env").write_text("PREFECT_PORT=1\nPREFECT_API_URL=http://127.0.0.1:1/api\nMLFLOW_PORT=x\n")
    return project


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_everything_starts_comes_back_after_a_kill_and_stops_without_a_trace(project: Project) -> None:
    with make_up(project) as up_now:
        up_now.wait_for_servers()
        for name, address in (("Prefect", up_now.prefect), ("MLflow", up_now.mlflow), ("service", up_now.service)):
            wait_until(lambda line=f"{name}: {address} answers": line in up_now.log(), seconds=60)
        assert get_json(f"{up_now.prefect}/ui-settings")["api_url"] == f"{up_now.prefect}/api"
        second = project.run(sys.executable, "-m", "pipelines.up", check=False, **up_now.ports)
        assert second.returncode == 1
        assert "is already running in this project" in second.stdout
        wait_until(
            lambda: "Your deployments are being served" in up_now.log() or _served(up_now.prefect), START_SECONDS
        )
        for words in (*up_now.checks, "pipelines.deployments", "atnet.cli watch"):
            _kill_and_wait(project.root, words, up_now.checks.get(words))
        up_now.stop()


def _served(prefect: str) -> bool:
    request = urllib.request.Request(
        f"{prefect}/api/deployments/filter", data=b"{}", headers={"Content-Type": "application/json"}
    )
    with contextlib.suppress(OSError), urllib.request.urlopen(request, timeout=30) as response:
        return len(json.load(response)) >= 4
    return False


def _kill_and_wait(root: Path, words: str, address: str | None) -> None:
    wait_until(lambda: leader(root, words) is not None, seconds=START_SECONDS)
    before = leader(root, words)
    assert before is not None
    before.kill()

    def is_back() -> bool:
        now = leader(root, words)
        return now is not None and now.pid != before.pid and (address is None or answers(address))

    wait_until(is_back, seconds=START_SECONDS)
