"""Measure the cost of the HTTP server and framework: the same service behind each, one worker.

python -m benchmarks.serving_variants compares them; `--run NAME SETTINGS PORT` runs one.
FastAPI and Granian are used if they are installed.
"""

import argparse
import asyncio
import importlib.util
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import uvicorn
from pydantic import BaseModel

from atnet.serving.application import Service, make_app
from atnet.serving.prediction_jobs import PredictionJob
from atnet.serving.service_metrics import WorkerMetrics
from atnet.serving.service_settings import ServiceSettings
from benchmarks.measure import machine, markdown_table, system_load, versions
from benchmarks.serving_load import Load, run_load
from benchmarks.serving_servers import ROOT, Server, started

UVICORN: dict[str, dict[str, Any]] = {
    "uvicorn, uvloop, httptools, Starlette": {"loop": "uvloop", "http": "httptools"},
    "uvicorn, asyncio, httptools, Starlette": {"loop": "asyncio", "http": "httptools"},
    "uvicorn, uvloop, h11, Starlette": {"loop": "uvloop", "http": "h11"},
    "uvicorn, uvloop, httptools, FastAPI": {"loop": "uvloop", "http": "httptools"},
}
GRANIAN = "Granian, uvloop, Starlette"
SETTINGS = "ATNET_BENCHMARK_SETTINGS"


def main() -> None:
    """Compare the variants, or run one of them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", nargs=3, metavar=("NAME", "SETTINGS", "PORT"))
    parser.add_argument("--texts", default="data/03_splits/test.parquet")
    parser.add_argument("--model", default="data/07_model")
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    if options.run:
        _run(*options.run)
        return
    names = [*UVICORN, GRANIAN]
    if importlib.util.find_spec("fastapi") is None:
        names = [name for name in names if "FastAPI" not in name]
    if importlib.util.find_spec("granian") is None:
        names.remove(GRANIAN)
    _compare(names, options)


def _compare(names: Sequence[str], options: argparse.Namespace) -> None:
    texts = pd.read_parquet(options.texts)["text"].head(1024).tolist()
    packages = versions("uvicorn", "uvloop", "httptools", "starlette", "fastapi", "granian")
    print(f"{machine()}; {system_load()}; {packages}\n")
    loads: dict[str, list[Load]] = {name: [] for name in names}
    with tempfile.TemporaryDirectory() as temporary:
        project = Path(temporary)
        settings = _downloaded(project, Path(options.model))
        for number in range(options.rounds):
            for name in [*names[number % len(names) :], *names[: number % len(names)]]:
                command = [sys.executable, "-m", "benchmarks.serving_variants", "--run", name, str(settings), "{port}"]
                path = {"PYTHONPATH": f"{ROOT / 'src'}:{ROOT}", "TOKENIZERS_PARALLELISM": "false"}
                server = Server(name, command, "/ready", "/v1/predict", path)
                with started(server, project, 1) as running:
                    bodies = [{"text": text} for text in texts]
                    address = running.address + server.predict
                    run_load(address, bodies, running.process, connections=16, seconds=1)
                    loads[name].append(
                        run_load(address, bodies, running.process, connections=16, seconds=options.seconds)
                    )
                print(f"round {number + 1}: {name}: {loads[name][-1]}", file=sys.stderr)
    first = loads[names[0]]
    rows = [
        [
            name,
            f"{statistics.median([load.requests_per_second for load in measured]):,.0f}",
            f"{statistics.median([load.cpu_ms for load in measured]):.3f}",
            f"{statistics.median([a.cpu_ms / b.cpu_ms for a, b in zip(measured, first, strict=True)]):.2f}",
        ]
        for name, measured in loads.items()
    ]
    header = [
        "one worker, single texts, 16 connections",
        "requests/s",
        "CPU time (ms)",
        "ratio of CPU time to the first",
    ]
    print(markdown_table(header, rows))


def _downloaded(project: Path, model: Path) -> Path:
    """Download the model once with `atnet serve`; return the file with its settings."""
    from benchmarks.serving_project import release_model

    release_model(project, model)
    command = [sys.executable, "-m", "atnet.cli", "serve", "--port", "{port}"]
    server = Server("atnet serve", command, "/ready", "/v1/predict", {"PYTHONPATH": str(ROOT / "src")})
    with started(server, project, 1):
        pass
    return project / ".atnet/serving/settings.json"


def _run(name: str, settings: str, port: str) -> None:
    os.environ[SETTINGS] = settings
    if name == GRANIAN:
        from granian import Granian

        Granian(
            "benchmarks.serving_variants:starlette_app",
            factory=True,
            port=int(port),
            interface="asgi",
            loop="uvloop",
            log_access=False,
        ).serve()
        return
    app = fastapi_app() if "FastAPI" in name else starlette_app()
    uvicorn.run(app, port=int(port), log_level="warning", access_log=False, **UVICORN[name])


def _service() -> Service:
    return Service(ServiceSettings.load(Path(os.environ[SETTINGS])), WorkerMetrics(), [], None)


def starlette_app() -> Any:
    """Return the service as it is."""
    return make_app(_service())


class Request(BaseModel):
    """The request, as FastAPI declares it."""

    text: str
    explain: bool = False


class Prediction(BaseModel):
    """A prediction, as FastAPI declares it."""

    label: str
    score: float
    probabilities: dict[str, float]


class Predictions(BaseModel):
    """The response, as FastAPI declares it."""

    predictions: list[Prediction]
    version: int
    request_id: str


def fastapi_app() -> Any:
    """Return the same service with its request and its response declared to FastAPI."""
    import fastapi

    service = _service()
    app = fastapi.FastAPI(lifespan=service.lifespan)

    @app.post("/v1/predict")
    async def predict(body: Request) -> Predictions:
        done = asyncio.get_running_loop().create_future()
        job = PredictionJob([body.text], body.explain, done, "id", time.perf_counter())
        service.inference.submit(job)
        await job.done
        service.inference.release(job)
        assert job.model is not None
        predictions = [Prediction.model_validate(prediction) for prediction in job.predictions]
        return Predictions(predictions=predictions, version=job.model.version, request_id=job.request_id)

    @app.get("/ready")
    async def ready() -> dict[str, bool]:
        return {"ready": service.state()[0]}

    return app


if __name__ == "__main__":
    main()
