"""POST /v1/predict."""

import asyncio
import json
import logging
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from starlette.types import Receive, Scope, Send

from atnet.config import ServeConfig
from atnet.serving.api_keys import ApiKey, RateLimiter, authenticate
from atnet.serving.inference_thread import InferenceThread
from atnet.serving.prediction_jobs import InferenceError, PredictionJob
from atnet.serving.prediction_request import ClientDisconnected, PredictionRequest, parse_request, read_body
from atnet.serving.request_ids import request_id
from atnet.serving.responses import JSON, NO_STORE, RequestError, send_error, send_response, to_json
from atnet.serving.service_metrics import WorkerMetrics

logger = logging.getLogger("atnet.serving.requests")

CLIENT_CLOSED_REQUEST = 499
"""Status in the log of a request whose client left; nginx uses this one, no client gets it."""
WATCH_SECONDS = 0.05
"""Only a request that waits longer is watched for a client that leaves and for its time limit: most never are."""


@dataclass(frozen=True, slots=True)
class PredictEndpoint:
    """Serves prediction requests; an ASGI application."""

    config: ServeConfig
    model_name: str
    inference: InferenceThread
    metrics: WorkerMetrics
    keys: Sequence[ApiKey]
    rate_limiter: RateLimiter | None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        received = time.perf_counter()
        headers = dict(scope["headers"])
        id_ = request_id(headers)
        try:
            job = await self._predict(headers, receive, id_, received)
        except RequestError as error:
            self.metrics.requests[error.result].inc()
            self._log(error.status, id_, received, code=error.code)
            await send_error(send, error, id_)
        except ClientDisconnected:
            self.metrics.requests["dropped"].inc()
            self._log(CLIENT_CLOSED_REQUEST, id_, received, code="client_left")
        else:
            await self._send(send, job, id_)
            self.metrics.requests["ok"].inc()
            self.metrics.request_seconds.observe(time.perf_counter() - received)
            self._log(200, id_, received, job=job)

    async def _predict(
        self, headers: Mapping[bytes, bytes], receive: Receive, request_id: str, received: float
    ) -> PredictionJob:
        key = authenticate(self.keys, headers)
        request = await self._read(headers, receive)
        if self.rate_limiter is not None and key is not None:
            self.rate_limiter.take(key, len(request.texts), time.monotonic())
        self._admit(request)
        loop = asyncio.get_running_loop()
        job = PredictionJob(request.texts, request.explain, loop.create_future(), request_id, received)
        self.inference.submit(job)
        watch = loop.call_later(WATCH_SECONDS, self._watch, job, receive)
        try:
            await job.done
        except TimeoutError:
            raise _timed_out(503, "The service is too busy to predict in time. Try again later.", retry=True) from None
        except InferenceError:
            raise RequestError(
                500, "model_error", "The model failed on these texts. The service's log has the error.", result="error"
            ) from None
        finally:
            watch.cancel()
            self.inference.release(job)
        return job

    async def _read(self, headers: Mapping[bytes, bytes], receive: Receive) -> PredictionRequest:
        try:
            async with asyncio.timeout(self.config.timeouts.request_seconds):
                body = await read_body(headers, receive, self.config.limits.max_body_bytes)
        except TimeoutError:
            raise _timed_out(408, "The body of the request did not arrive in time.") from None
        return parse_request(body, self.config.limits)

    def _admit(self, request: PredictionRequest) -> None:
        """Reject a request if no model is loaded or the queue is full."""
        if self.inference.model is None:
            raise RequestError(
                503,
                "not_ready",
                "No model is loaded yet; GET /ready gives the reason. Try again later.",
                result="unavailable",
                headers={"Retry-After": "5"},
            )
        queued, max_queued = self.inference.queued_texts, self.config.limits.max_queued_texts
        # A request larger than the whole queue is accepted when nothing else waits.
        if queued and queued + len(request.texts) > max_queued:
            seconds = math.ceil(queued / max(self.inference.texts_per_second, 1.0))
            raise RequestError(
                429,
                "overloaded",
                f"{queued} texts are waiting; at most {max_queued} may wait. Try again later.",
                result="overloaded",
                headers={"Retry-After": str(min(max(seconds, 1), 60))},
            )

    async def _send(self, send: Send, job: PredictionJob, request_id: str) -> None:
        assert job.model is not None
        version = job.model.version
        model = {"name": self.model_name, "version": version, "sha256": job.model.sha256}
        body = to_json({"predictions": job.predictions, "model": model, "request_id": request_id})
        headers = [
            *NO_STORE,
            (b"x-request-id", request_id.encode()),
            (b"x-model-version", str(version).encode()),
        ]
        await send_response(send, 200, body, JSON, headers)

    def _watch(self, job: PredictionJob, receive: Receive) -> None:
        seconds = self.config.timeouts.request_seconds - (time.perf_counter() - job.received)
        task = asyncio.get_running_loop().create_task(_watch_client(job, receive, seconds))
        # The callback keeps a reference: asyncio itself would let the task be garbage-collected.
        job.done.add_done_callback(lambda _: task.cancel())

    def _log(
        self, status: int, request_id: str, received: float, *, code: str = "", job: PredictionJob | None = None
    ) -> None:
        config = self.config.logging
        if config.requests == "none" or (config.requests == "failed" and status < 400):
            return
        fields = {"status": status, "request_id": request_id, "seconds": round(time.perf_counter() - received, 6)}
        if code:
            fields["code"] = code
        if job is not None and job.model is not None:
            fields |= {"texts": len(job.texts), "version": job.model.version}
            if config.include_texts:
                fields["text"] = json.dumps(list(job.texts), ensure_ascii=False)
        logger.info("POST /v1/predict %d", status, extra={"fields": fields})


def _timed_out(status: int, message: str, *, retry: bool = False) -> RequestError:
    headers = {"Retry-After": "5"} if retry else {"Connection": "close"}
    return RequestError(status, "timeout", message, result="timeout", headers=headers)


async def _watch_client(job: PredictionJob, receive: Receive, seconds: float) -> None:
    """Abandon a job when its client closes the connection or its time is up."""
    error: Exception = ClientDisconnected()
    try:
        async with asyncio.timeout(seconds):
            while (await receive())["type"] != "http.disconnect":
                pass
    except TimeoutError as timeout:
        error = timeout
    job.abandoned = True
    if not job.done.done():
        job.done.set_exception(error)
