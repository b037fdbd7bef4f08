"""The servers that are compared: how each is started, and its request format."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
START_SECONDS = 120
MLFLOW_OPTIONS = ("--env-manager", "local", "--host", "127.0.0.1", "--port", "{port}", "--workers", "{workers}")


@dataclass(frozen=True, slots=True)
class Server:
    """A server of the same model."""

    name: str
    command: Sequence[str]
    """`{port}` and `{workers}` are filled in."""
    ready: str
    predict: str
    """Paths."""
    environment: dict[str, str] = field(default_factory=dict)
    explains: bool = True

    def body(self, texts: Sequence[str], *, explain: bool = False) -> Any:
        """Return the request for these texts."""
        if self.name.startswith("mlflow"):
            return {"inputs": list(texts), "params": {"attention": explain}}
        if self.name.startswith("LitServe"):
            return {"texts": list(texts)}
        return {"texts": list(texts), "explain": explain} if len(texts) > 1 else {"text": texts[0], "explain": explain}


@dataclass(frozen=True, slots=True)
class Running:
    """A server that is ready."""

    address: str
    process: int
    start_seconds: float


def servers(project: Path, model: Path, python: str, litserve_python: str | None) -> list[Server]:
    """Return the servers that can be compared here.

    Args:
        project: folder with params.yaml and the MLflow store.
        model: folder of the model's files, for servers that know no registry.
        python: interpreter of the service's environment.
        litserve_python: interpreter of an environment with litserve, onnxruntime, tokenizers and numpy.
    """
    source = str(ROOT / "src")
    store = {"MLFLOW_TRACKING_URI": f"sqlite:///{project}/mlflow.db", "MLFLOW_DISABLE_TELEMETRY": "true"}
    compared = [
        Server(
            "atnet serve",
            [python, "-m", "atnet.cli", "serve", "--port", "{port}", "--workers", "{workers}"],
            "/ready",
            "/v1/predict",
            {"PYTHONPATH": source},
        ),
        Server(
            "mlflow models serve",
            [sys.executable, "-m", "mlflow", "models", "serve", "-m", "models:/atnet@champion", *MLFLOW_OPTIONS],
            "/ping",
            "/invocations",
            # MLflow starts uvicorn by its name.
            {**store, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
        ),
    ]
    if litserve_python:
        command = [litserve_python, str(ROOT / "benchmarks/serving_litserve.py"), str(model), "{port}", "{workers}"]
        compared.append(Server("LitServe", command, "/health", "/predict", {"PYTHONPATH": source}, explains=False))
    return compared


@contextlib.contextmanager
def started(server: Server, folder: Path, workers: int) -> Iterator[Running]:
    """Run a server while the block runs.

    Raises:
        SystemExit: with what the server printed, if it does not become ready.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [part.replace("{port}", str(port)).replace("{workers}", str(workers)) for part in server.command]
    log = folder / "server.log"
    begun = time.perf_counter()
    with log.open("w") as output:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env={**os.environ, **server.environment},
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        address = f"http://127.0.0.1:{port}"
        while not _answers(address + server.ready):
            if process.poll() is not None or time.perf_counter() - begun > START_SECONDS:
                raise SystemExit(f"{server.name} does not become ready:\n{log.read_text()[-3000:]}")
            time.sleep(0.01)
        yield Running(address, process.pid, time.perf_counter() - begun)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=30)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def _answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(address, timeout=2) as response:
            return bool(response.status == 200)
    except OSError:
        return False
