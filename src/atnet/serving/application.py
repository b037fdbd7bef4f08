"""The ASGI application of a worker: its routes, and the threads and tasks behind them."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from atnet.serving.api_keys import ApiKey, RateLimiter
from atnet.serving.inference_thread import InferenceThread
from atnet.serving.loaded_model import LoadedModel
from atnet.serving.model_copies import ModelCopies
from atnet.serving.model_reloader import ModelReloader
from atnet.serving.openapi import openapi_document
from atnet.serving.page import page_routes
from atnet.serving.predict_endpoint import PredictEndpoint
from atnet.serving.prediction_jobs import ScoredText
from atnet.serving.prediction_log import PredictionLog
from atnet.serving.registry_status import public_message, read_status
from atnet.serving.request_ids import request_id
from atnet.serving.responses import NO_STORE, error_body, to_json
from atnet.serving.service_metrics import WorkerMetrics
from atnet.serving.service_settings import ServiceSettings
from atnet.serving.shadow_scoring import ShadowScorer

NO_STORE_HEADERS = {name.decode(): value.decode() for name, value in NO_STORE}


@dataclass(slots=True)
class Service:
    """The parts of a worker's application."""

    settings: ServiceSettings
    metrics: WorkerMetrics
    keys: Sequence[ApiKey]
    rate_limiter: RateLimiter | None
    tasks: list["asyncio.Task[None]"] = field(default_factory=list)
    draining: bool = False
    """Set when the worker is to shut down: it finishes what it has accepted and is not ready for more."""
    inference: InferenceThread = field(init=False)
    reloader: ModelReloader = field(init=False)
    log: PredictionLog | None = field(init=False)
    shadow: ShadowScorer | None = field(init=False)

    def __post_init__(self) -> None:
        config, copies = self.settings.config, ModelCopies(self.settings.folder, self.settings.model)
        self.inference = InferenceThread(self.metrics, config.max_batch_tokens, self._on_scored)
        self.reloader = ModelReloader(copies, config.alias, self.metrics, self._on_model)
        log = config.prediction_log
        self.log = PredictionLog(self.settings.root / log.folder, log, self.metrics) if log else None
        self.shadow = ShadowScorer(copies, config.shadow, self.metrics) if self.settings.shadow else None

    @contextlib.asynccontextmanager
    async def lifespan(self, app: Starlette) -> AsyncIterator[None]:
        """Start the threads and follow the pointer; the last good copy is loaded before the first request."""
        self.inference.start()
        if self.log is not None:
            self.log.start()
        await self.reloader.reload_if_changed()
        self.tasks = [asyncio.create_task(self.reloader.run())]
        if self.shadow is not None:
            self.shadow.start()
            self.tasks.append(asyncio.create_task(self.shadow.reloader.run()))
        yield
        for task in self.tasks:
            task.cancel()
        self.inference.stop()
        if self.shadow is not None:
            self.shadow.stop()
        if self.log is not None:
            self.log.stop()

    def is_healthy(self) -> bool:
        """Return whether every thread and task that must run is running; none of them ends on its own."""
        return self.inference.is_alive() and not any(task.done() for task in self.tasks)

    def state(self) -> tuple[bool, dict[str, Any]]:
        """Return whether the worker can predict, and the body of /ready."""
        model, rejected = self.inference.model, self.reloader.rejected
        registry = read_status(self.settings.folder)
        ready = model is not None and not self.draining
        return ready, {
            "status": "ready" if ready else "draining" if self.draining else "no model",
            "model": {"name": self.settings.model, "version": model.version, "sha256": model.sha256} if model else None,
            "registry": registry,
            "rejected": public_message(rejected.reason) if rejected else None,
        }

    def _on_model(self, model: LoadedModel | None) -> None:
        # If the pointer is gone, the loaded model is the last good one: it stays in use.
        if model is not None:
            self.inference.model = model
            self.metrics.version.set(model.version)
            self.metrics.ready.set(1)

    def _on_scored(self, model: LoadedModel, scored: Sequence[ScoredText]) -> None:
        """Pass predictions on; this runs in the inference thread."""
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
    """Return the routes about the service itself."""
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
    """Respond to an unknown path or method."""
    assert isinstance(error, HTTPException)
    codes = {404: "not_found", 405: "method_not_allowed"}
    code, message = codes.get(error.status_code, "http_error"), f"{error.detail}. See GET /openapi.json."
    return _error(request, error.status_code, code, message, error.headers or {})


async def _server_error(request: Request, error: Exception) -> Response:
    """Respond to an unexpected error without its details; they are in the log."""
    return _error(request, 500, "internal_error", "The service failed on this request. Its log has the error.", {})


def _error(request: Request, status: int, code: str, message: str, headers: Mapping[str, str]) -> Response:
    id_ = request_id(dict(request.scope["headers"]))
    all_headers = {**NO_STORE_HEADERS, "x-request-id": id_, **headers}
    return Response(error_body(code, message, id_), status, media_type="application/json", headers=all_headers)
