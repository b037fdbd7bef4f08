"""A real service in a separate process, on models in a real MLflow store."""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from atnet.config import Params
from atnet.inference import Predictor, model_hash
from atnet.model_verification import MODEL_TAG
from atnet.registry import versions
from atnet.registry.versions import CHAMPION, Registry, Version, open_registry
from atnet.storage import load_params
from atnet.tracking.logged_model import ModelContents, ensure_logged_model
from tests.settings import params_file
from tests.tinymodel import write_tiny_model

ROOT = Path(__file__).resolve().parents[1]
WAIT_SECONDS = 300
"""A limit for a machine that does much other work; what is waited for takes a fraction of a second on an idle one."""
QUICK: dict[str, dict[str, Any]] = {
    "serve": {"poll_seconds": 0.2},
    "serve.limits": {
        "max_characters": 2000,
        "max_texts": 100,
        "max_explained_texts": 5,
        "max_explained_characters": 1000,
        "max_body_bytes": 100_000,
    },
    "serve.timeouts": {"headers_seconds": 1.0, "request_seconds": 2.0, "shutdown_seconds": 5.0},
    "serve.prediction_log": {"flush_seconds": 0.5},
}


@dataclass(frozen=True, slots=True)
class ServedProject:
    """A folder with params.yaml and an MLflow store, as `atnet release` leaves them."""

    root: Path
    registry: Registry

    @property
    def params(self) -> Params:
        return load_params(self.root / "params.yaml")

    def publish(self, scale: float = 1.0) -> Version:
        """Log and register a small model; another scale is another version."""
        return self.publish_folder(write_tiny_model(self.root / "models" / str(scale), scale=scale))

    def publish_folder(self, folder: Path) -> Version:
        """Log and register a model folder."""
        store, sha256 = self.registry.store, model_hash(folder)
        run_id = store.client.create_run(store.experiment_id, tags={MODEL_TAG: sha256}).info.run_id
        contents = ModelContents("atnet", sha256, sorted(folder.iterdir()), {}, ["A good film.", "Awful."])
        ensure_logged_model(store, run_id, contents)
        store.client.set_terminated(run_id, "FINISHED")
        versions.ensure_registered_model(self.registry)
        return versions.register(self.registry, sha256)

    def promote(self, number: int | None) -> None:
        """Point the alias at a version; None removes it."""
        versions.set_alias(self.registry, CHAMPION, number)

    def artifacts(self, version: Version) -> Path:
        """Return the folder of a version's files in the store."""
        return Path(self.registry.store.client.get_logged_model(version.model_id).artifact_location)

    def predictor(self, scale: float = 1.0) -> Predictor:
        return Predictor.load(self.root / "models" / str(scale))


def make_project(root: Path, empty_store: Path, *changes: Mapping[str, Mapping[str, Any]]) -> ServedProject:
    """Create the folder with an empty store."""
    root.mkdir(parents=True, exist_ok=True)
    shutil.copy(empty_store, root / "mlflow.db")
    params = load_params(params_file(root, QUICK, *changes))
    return ServedProject(root, open_registry(params.tracking, root))


class RunningService:
    """A running `atnet serve`."""

    def __init__(self, process: "subprocess.Popen[str]", address: str, log: Path) -> None:
        self.process, self.address, self._log = process, address, log
        self.client = httpx.Client(base_url=address, timeout=30)

    @property
    def port(self) -> int:
        return int(self.address.rpartition(":")[2])

    def predict(self, **body: Any) -> httpx.Response:
        return self.client.post("/v1/predict", json=body)

    def is_ready(self) -> bool:
        try:
            return httpx.get(f"{self.address}/ready", timeout=5).status_code == 200
        except httpx.TransportError:
            return False

    def version(self) -> int | None:
        model = httpx.get(f"{self.address}/ready", timeout=5).json()["model"]
        return model and int(model["version"])

    def metric(self, name: str) -> float:
        """Return the sum of a metric's samples, by its whole name with labels or without."""
        lines = httpx.get(f"{self.address}/metrics", timeout=5).text.splitlines()
        values = [line.split()[1] for line in lines if re.fullmatch(rf"{re.escape(name)}(\{{.*\}})? \S+", line)]
        return sum(map(float, values))

    def workers(self) -> list[int]:
        """Return the ids of the worker processes."""
        return _children(self.process.pid, "atnet.serving.http_worker")

    def log(self) -> str:
        return self._log.read_text(encoding="utf-8")

    def stop(self, number: int = signal.SIGTERM) -> float:
        """Stop the service and return the seconds it took."""
        start = time.monotonic()
        self.process.send_signal(number)
        self.process.wait(timeout=60)
        return time.monotonic() - start


@contextlib.contextmanager
def running_service(
    root: Path, *arguments: str, ready: bool = True, python: str = sys.executable, **environment: str
) -> Iterator[RunningService]:
    """Run `atnet serve` on a free port while the block runs."""
    inherited = {
        name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW_", "ATNET_", "PROM"))
    }
    log = root / "service.log"
    with log.open("w", encoding="utf-8") as errors:
        process = subprocess.Popen(
            [python, "-m", "atnet.cli", "serve", "--port", "0", *arguments],
            cwd=root,
            env={**inherited, "PYTHONPATH": str(ROOT / "src"), **environment},
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
        try:
            assert process.stdout is not None
            match = re.search(r"http://\S+", process.stdout.readline())
            assert match, log.read_text(encoding="utf-8")
            service = RunningService(process, match[0].replace("0.0.0.0", "127.0.0.1"), log)
            if ready:
                wait_for(service.is_ready, service)
            yield service
            service.client.close()
        finally:
            if process.poll() is None:
                process.terminate()
                try:
                    process.wait(timeout=60)
                except subprocess.TimeoutExpired:
                    process.kill()
            process.stdout.close() if process.stdout else None


def wait_for(condition: Callable[[], object], service: RunningService | None = None) -> None:
    """Poll until a condition is true."""
    end = time.monotonic() + WAIT_SECONDS
    while not condition():
        log = service.log()[-3000:] if service else ""
        assert time.monotonic() < end, f"not true within {WAIT_SECONDS} s\n{log}"
        time.sleep(0.05)


def is_running(pid: int) -> bool:
    """Return whether a process runs and is not a zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def resident_megabytes(pid: int) -> float:
    """Return the resident memory of a process in units of 10^6 bytes."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def _children(parent: int, module: str) -> list[int]:
    children = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = status.read_text().rpartition(")")[2].split()
            command = (status.parent / "cmdline").read_bytes().split(b"\0")
            if int(fields[1]) == parent and fields[0] != "Z" and module.encode() in command:
                children.append(int(status.parent.name))
    return children
