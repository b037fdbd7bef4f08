"""The ASGI application of a worker: its routes and what lives as long as it does."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from atnet.serving.api_keys import ApiKey, RateLimiter
from atnet.serving.inference_thread import InferenceThread, ScoredText
from atnet.serving.loaded_model import LoadedModel
from atnet.serving.metrics import WorkerMetrics
from atnet.serving.model_folder import ModelFolder
from atnet.serving.model_follower import ModelFollower
from atnet.serving.openapi import openapi_document
from atnet.serving.page import page_routes
from atnet.serving.predict_endpoint import PredictEndpoint
from atnet.serving.prediction_log import PredictionLog
from atnet.serving.responses import NO_STORE, error_body, to_json
from atnet.serving.settings import ServiceSettings
from atnet.serving.shadow import Shadow
from atnet.serving.status import read_status, without_folders

NO_STORE_HEADERS = {name.decode(): value.decode() for name, value in NO_STORE}


@dataclass(slots=True)
class Service:
    """Everything that a worker's application is made of."""

    settings: ServiceSettings
    metrics: WorkerMetrics
    keys: list[ApiKey]
    rate_limiter: RateLimiter | None
    tasks: list["asyncio.Task[None]"] = field(default_factory=list)
    draining: bool = False
    """Set when the worker has been told to end: it answers what it has accepted and is not ready for more."""
    inference: InferenceThread = field(init=False)
    follower: ModelFollower = field(init=False)
    log: PredictionLog | None = field(init=False)
    shadow: Shadow | None = field(init=False)

    def __post_init__(self) -> None:
        config, models = self.settings.config, ModelFolder(self.settings.folder, self.settings.model)
        self.inference = InferenceThread(self.metrics, config.batch_tokens, self._scored)
        self.follower = ModelFollower(models, config.alias, self.metrics, self._swap)
        logged = config.prediction_log
        self.log = PredictionLog(self.settings.root / logged.folder, logged, self.metrics) if logged else None
        self.shadow = Shadow(models, config.shadow, self.metrics) if self.settings.shadow else None

    @contextlib.asynccontextmanager
    async def lifespan(self, app: Starlette) -> AsyncIterator[None]:
        """Start the threads and follow the pointer; the last good copy is loaded before the first request."""
        self.inference.start()
        if self.log is not None:
            self.log.start()
        await self.follower.look()
        self.tasks = [asyncio.create_task(self.follower.run())]
        if self.shadow is not None:
            self.shadow.start()
            self.tasks.append(asyncio.create_task(self.shadow.follower.run()))
        yield
        for task in self.tasks:
            task.cancel()
        self.inference.stop()
        if self.shadow is not None:
            self.shadow.stop()
        if self.log is not None:
            self.log.stop()

    def is_healthy(self) -> bool:
        """Tell whether all that should be running is; it never ends by itself."""
        return self.inference.is_alive() and not any(task.done() for task in self.tasks)

    def state(self) -> tuple[bool, dict[str, Any]]:
        """Return whether the worker can answer, and what there is to say about it."""
        model, rejected = self.inference.model, self.follower.rejected
        registry = read_status(self.settings.folder)
        ready = model is not None and not self.draining
        return ready, {
            "status": "ready" if ready else "draining" if self.draining else "no model",
            "model": {"name": self.settings.model, "version": model.version, "sha256": model.sha256} if model else None,
            "registry": registry,
            "rejected": without_folders(rejected.reason) if rejected else None,
        }

    def _swap(self, model: LoadedModel | None) -> None:
        # Without a pointer the model at hand is the last good one: it goes on answering.
        if model is not None:
            self.inference.model = model
            self.metrics.version.set(model.version)
            self.metrics.ready.set(1)

    def _scored(self, model: LoadedModel, scored: Sequence[ScoredText]) -> None:
        """Hand answers on, in the inference thread."""
        if self.log is not None:
            self.log.add(model, scored)
        if self.shadow is not None:
            self.shadow.add(model, scored)


def make_app(service: Service) -> Starlette:
    """Build the application."""
    settings = service.settings
    predict = PredictEndpoint(
        settings.config, settings.model, service.inference, service.metrics, service.keys, service.rate_limiter
    )
    return Starlette(
        routes=[Route("/v1/predict", predict, methods=["POST"]), *_state_routes(service), *page_routes()],
        exception_handlers={HTTPException: _http_error, Exception: _server_error},
        lifespan=service.lifespan,
    )


def _state_routes(service: Service) -> list[Route]:
    """Return the routes that tell about the service."""
    document = to_json(openapi_document(service.settings, needs_key=bool(service.keys)))

    async def health(request: Request) -> Response:
        return _json({"status": "alive"})

    async def ready(request: Request) -> Response:
        is_ready, state = service.state()
        return _json(state, status=200 if is_ready else 503)

    async def metrics(request: Request) -> Response:
        # It reads a file per process: not in the event loop.
        text = await asyncio.get_running_loop().run_in_executor(None, service.metrics.render)
        return Response(text, media_type="text/plain; version=0.0.4", headers=NO_STORE_HEADERS)

    async def openapi(request: Request) -> Response:
        return Response(document, media_type="application/json", headers=NO_STORE_HEADERS)

    paths = {"/health": health, "/ready": ready, "/metrics": metrics, "/openapi.json": openapi}
    return [Route(path, endpoint) for path, endpoint in paths.items()]


def _json(value: Any, *, status: int = 200) -> Response:
    return Response(to_json(value), status, media_type="application/json", headers=NO_STORE_HEADERS)


async def _http_error(request: Request, error: Exception) -> Response:
    """Answer an unknown path or method."""
    assert isinstance(error, HTTPException)
    codes = {404: "not_found", 405: "method_not_allowed"}
    body = error_body(codes.get(error.status_code, "http_error"), f"{error.detail}. GET /openapi.json lists them.", "")
    headers = {**NO_STORE_HEADERS, **(error.headers or {})}
    return Response(body, error.status_code, media_type="application/json", headers=headers)


async def _server_error(request: Request, error: Exception) -> Response:
    """Answer an error of ours without saying what it was; the log says it."""
    body = error_body("internal_error", "The service has failed on this request; the log says why.", "")
    return Response(body, 500, media_type="application/json", headers=NO_STORE_HEADERS)
