"""Several workers, their shared metrics, their replacement, and the end of a service in good order."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from atnet.serving.child_process import ServiceProcess
from tests.service import ROOT, RunningService, ServedProject, is_running, make_project, running_service, wait_for

OK = 'atnet_requests_total{result="ok"}'
KEYS = {"ATNET_API_KEYS": "app=0123456789abcdef-app, batch=0123456789abcdef-batch"}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, empty_store: Path) -> ServedProject:
    limits = {"serve": {"rate_limit": {"texts_per_second": 0.5, "burst": 20}}}
    project = make_project(tmp_path_factory.mktemp("served"), empty_store, limits)
    project.promote(project.publish().number)
    return project


@pytest.fixture
def pair(served: ServedProject) -> Iterator[RunningService]:
    with running_service(served.root, "--workers", "2") as service:
        wait_for(lambda: service.metric("atnet_ready_workers") == 2, service)
        yield service


def _send(service: RunningService, requests: int) -> None:
    def send(_: int) -> int:
        # A new connection each time, so that both workers get some.
        return httpx.post(f"{service.address}/v1/predict", json={"text": "good"}).status_code

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(send, range(requests))) == {200}


def test_a_worker_hangs_without_a_heartbeat_and_may_take_longer_to_start() -> None:
    read, write = os.pipe()
    os.set_blocking(read, False)
    process = ServiceProcess("module", (), has_heartbeat=True, heartbeat=read, started=0.0)
    assert not process.is_hanging(100.0)
    assert process.is_hanging(301.0)
    os.write(write, b".")
    assert not process.is_hanging(400.0)
    assert not process.is_hanging(429.0)
    assert process.is_hanging(431.0)
    process.kill()
    assert not process.is_hanging(432.0), "it is killed and reported once"
    os.close(write)
    process.close()


@pytest.mark.slow
def test_any_scrape_gives_the_sum_over_the_workers(pair: RunningService) -> None:
    _send(pair, 200)
    assert {pair.metric(OK) for _ in range(20)} == {200}
    assert {pair.metric("atnet_request_seconds_count") for _ in range(20)} == {200}
    text = httpx.get(f"{pair.address}/metrics").text
    assert all(f'atnet_model_version{{pid="{pid}"}} 1.0' in text for pid in pair.workers())


@pytest.mark.slow
def test_connections_are_spread_over_the_workers(pair: RunningService) -> None:
    connections = [httpx.Client(base_url=pair.address) for _ in range(40)]
    with ThreadPoolExecutor(40) as pool:
        assert set(pool.map(lambda client: client.get("/health").status_code, connections)) == {200}
    open_sockets = [sum(1 for link in Path(f"/proc/{pid}/fd").iterdir() if _is_socket(link)) for pid in pair.workers()]
    for client in connections:
        client.close()
    # Of 40 in a binomial draw, fewer than 8 on one side happen once in twenty thousand times.
    assert min(open_sockets) >= 8


def _is_socket(link: Path) -> bool:
    try:
        return os.readlink(link).startswith("socket:")
    except FileNotFoundError:
        return False


@pytest.mark.slow
def test_a_killed_worker_is_replaced_and_its_counts_stay_in_the_sum(pair: RunningService) -> None:
    _send(pair, 100)
    before = pair.workers()
    os.kill(before[0], signal.SIGKILL)
    wait_for(lambda: len(pair.workers()) == 2 and before[0] not in pair.workers(), pair)
    wait_for(lambda: pair.metric("atnet_ready_workers") == 2, pair)
    assert pair.metric("atnet_process_restarts_total") == 1
    _send(pair, 100)
    assert pair.metric(OK) == 200
    assert f'pid="{before[0]}"' not in httpx.get(f"{pair.address}/metrics").text


@pytest.mark.slow
def test_a_worker_that_hangs_is_killed_and_replaced(pair: RunningService) -> None:
    hung = pair.workers()[0]
    os.kill(hung, signal.SIGSTOP)
    wait_for(lambda: not is_running(hung) and len(pair.workers()) == 2, pair)
    assert "sends no heartbeat" in pair.log()


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_accepted_request_is_answered_before_the_end_with_keep_alive_connections_open(
    served: ServedProject, number: int
) -> None:
    with running_service(served.root, "--workers", "2") as service:
        workers = service.workers()
        idle = [httpx.Client(base_url=service.address) for _ in range(10)]
        assert {client.get("/health").status_code for client in idle} == {200}
        body = b'{"text": "good"}'
        head = f"POST /v1/predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
        with socket.create_connection(("127.0.0.1", service.port), timeout=10) as accepted:
            accepted.sendall(f"{head}\r\n\r\n".encode() + body[:5])
            time.sleep(0.3)  # the head must have arrived: what is not accepted yet may be refused
            service.process.send_signal(number)
            wait_for(lambda: not _accepts(service))
            accepted.sendall(body[5:])
            answer = accepted.recv(4096)
            assert answer.startswith(b"HTTP/1.1 200")
            assert b"connection: close" in answer
        assert service.process.wait(timeout=10) == 0
        assert not any(map(is_running, workers))
        for client in idle:
            client.close()


def _accepts(service: RunningService) -> bool:
    try:
        socket.create_connection(("127.0.0.1", service.port), timeout=1).close()
    except OSError:
        return False
    return True


@pytest.mark.slow
def test_a_request_that_never_ends_does_not_keep_the_service_beyond_its_time(served: ServedProject) -> None:
    with running_service(served.root) as service:
        stuck = socket.create_connection(("127.0.0.1", service.port), timeout=10)
        stuck.sendall(
            b"POST /v1/predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n"
        )
        assert service.stop() < 9
        stuck.close()


@pytest.mark.slow
def test_the_other_processes_end_with_a_supervisor_that_is_killed(served: ServedProject) -> None:
    with running_service(served.root) as service:
        workers = service.workers()
        service.stop(signal.SIGKILL)
        wait_for(lambda: not any(map(is_running, workers)))


@pytest.mark.slow
def test_several_keys_are_taken_and_each_has_its_own_rate_over_all_workers(served: ServedProject) -> None:
    with running_service(served.root, "--workers", "2", "--host", "0.0.0.0", **KEYS) as service:
        assert "can be reached from other machines" not in service.log()

        def ask(texts: int, **headers: str) -> httpx.Response:
            return httpx.post(f"{service.address}/v1/predict", json={"texts": ["good"] * texts}, headers=headers)

        assert ask(1).status_code == 401
        refused = ask(1, authorization="Bearer 0123456789abcdef-none")
        assert (refused.status_code, refused.headers["www-authenticate"]) == (401, "Bearer")
        app = {"authorization": "Bearer 0123456789abcdef-app"}
        answers = [ask(5, **app) for _ in range(8)]
        assert [answer.status_code for answer in answers].count(200) == 4
        limited = next(answer for answer in answers if answer.status_code == 429)
        assert limited.json()["error"]["code"] == "rate_limited"
        assert 1 <= int(limited.headers["retry-after"]) <= 10
        assert ask(21, **app).status_code == 422
        assert ask(5, **{"x-api-key": "0123456789abcdef-batch"}).status_code == 200
        assert httpx.get(f"{service.address}/health").status_code == 200
        assert service.metric('atnet_requests_total{result="unauthorized"}') == 2
        for secret in ("0123456789abcdef-app", "0123456789abcdef-batch"):
            assert secret not in service.log()


def _serve(root: Path, *arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "atnet.cli", "serve", *arguments],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src"), **environment},
        capture_output=True,
        text=True,
        timeout=30,
    )


@pytest.mark.slow
def test_a_taken_port_a_used_folder_and_a_bad_key_end_in_one_message(served: ServedProject) -> None:
    short = _serve(served.root, "--port", "0", ATNET_API_KEYS="app=short")
    assert (short.returncode, "the key of app has 5 characters" in short.stderr) == (1, True)
    assert "=short" not in short.stderr
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        refused = _serve(served.root, "--port", str(port))
    assert refused.returncode == 1
    assert refused.stderr.startswith(f"atnet: Cannot listen on 127.0.0.1:{port}")
    with running_service(served.root, ready=False):
        second = _serve(served.root, "--port", "0")
    assert (second.returncode, second.stderr.startswith("atnet: Another `atnet serve` uses")) == (1, True)


@pytest.mark.slow
def test_an_open_address_without_keys_is_warned_of(served: ServedProject) -> None:
    with running_service(served.root, "--host", "0.0.0.0") as service:
        assert "can be reached from other machines, and no API key is required" in service.log()
