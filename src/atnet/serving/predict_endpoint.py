"""POST /v1/predict."""

import asyncio
import itertools
import json
import logging
import math
import os
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass

from starlette.types import Receive, Scope, Send

from atnet.config import ServeConfig
from atnet.serving.api_keys import ApiKey, RateLimiter, authenticate
from atnet.serving.batching import Job
from atnet.serving.inference_thread import InferenceError, InferenceThread
from atnet.serving.metrics import WorkerMetrics
from atnet.serving.prediction_request import ClientLeft, PredictionRequest, parse_request, read_body
from atnet.serving.responses import JSON, NO_STORE, RequestError, send_error, send_response, to_json

logger = logging.getLogger("atnet.serving.requests")

REQUEST_ID = re.compile(rb"[A-Za-z0-9_.:-]{1,64}")
# An id of its own per request, without asking the system for random bytes each time.
ID_PREFIX, ID_NUMBERS = os.urandom(6).hex(), itertools.count(1)
WATCH_SECONDS = 0.05
"""A request that waits longer is watched for a client that leaves and for its time limit; most are answered before."""


@dataclass(frozen=True, slots=True)
class PredictEndpoint:
    """Answers prediction requests; an ASGI application."""

    config: ServeConfig
    model_name: str
    inference: InferenceThread
    metrics: WorkerMetrics
    keys: list[ApiKey]
    rate_limiter: RateLimiter | None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, whatever becomes of it."""
        received = time.perf_counter()
        headers = dict(scope["headers"])
        request_id = _request_id(headers)
        try:
            job = await self._answer(headers, receive, request_id, received)
        except RequestError as error:
            self.metrics.requests[error.result].inc()
            self._log(error.status, request_id, received, code=error.code)
            await send_error(send, error, request_id)
        except ClientLeft:
            self.metrics.requests["dropped"].inc()
            self._log(499, request_id, received, code="client_left")
        else:
            await self._send(send, job, request_id)
            self.metrics.requests["ok"].inc()
            self.metrics.request_seconds.observe(time.perf_counter() - received)
            self._log(200, request_id, received, job=job)

    async def _answer(self, headers: Mapping[bytes, bytes], receive: Receive, request_id: str, received: float) -> Job:
        key = authenticate(self.keys, headers)
        request = await self._read(headers, receive)
        if self.rate_limiter is not None and key is not None:
            self.rate_limiter.take(key, len(request.texts), time.monotonic())
        self._admit(request)
        loop = asyncio.get_running_loop()
        job = Job(request.texts, request.explain, loop.create_future(), request_id, received)
        self.inference.submit(job)
        watch = loop.call_later(WATCH_SECONDS, self._watch, job, receive)
        try:
            await job.done
        except TimeoutError:
            raise _timed_out(503, "The service is too busy to answer in time. Try again later.", retry=True) from None
        except InferenceError:
            raise RequestError(
                500, "model_error", "The model could not answer these texts; the log has the error.", result="error"
            ) from None
        finally:
            watch.cancel()
            self.inference.release(job)
        return job

    async def _read(self, headers: Mapping[bytes, bytes], receive: Receive) -> PredictionRequest:
        try:
            async with asyncio.timeout(self.config.timeouts.request_seconds):
                body = await read_body(headers, receive, self.config.limits.body_bytes)
        except TimeoutError:
            raise _timed_out(408, "The body of the request did not arrive in time.") from None
        return parse_request(body, self.config.limits)

    def _admit(self, request: PredictionRequest) -> None:
        """Refuse a request for which there is no model or no place in the queue."""
        if self.inference.model is None:
            raise RequestError(
                503,
                "not_ready",
                "No model is loaded yet; GET /ready tells why. Try again later.",
                result="unavailable",
                headers={"Retry-After": "5"},
            )
        queued, allowed = self.inference.queued_texts, self.config.limits.queued_texts
        # A request larger than the whole queue is taken when nothing else waits.
        if queued and queued + len(request.texts) > allowed:
            seconds = math.ceil(queued / max(self.inference.texts_per_second, 1.0))
            raise RequestError(
                429,
                "overloaded",
                f"{queued} texts are waiting; at most {allowed} may. Try again later.",
                result="overloaded",
                headers={"Retry-After": str(min(max(seconds, 1), 60))},
            )

    async def _send(self, send: Send, job: Job, request_id: str) -> None:
        assert job.model is not None
        version = job.model.version
        model = {"name": self.model_name, "version": version, "sha256": job.model.sha256}
        body = to_json({"predictions": job.answers, "model": model, "request_id": request_id})
        headers = [
            *NO_STORE,
            (b"x-request-id", request_id.encode()),
            (b"x-model-version", str(version).encode()),
        ]
        await send_response(send, 200, body, JSON, headers)

    def _watch(self, job: Job, receive: Receive) -> None:
        left = self.config.timeouts.request_seconds - (time.perf_counter() - job.received)
        task = asyncio.get_running_loop().create_task(_watch_client(job, receive, left))
        # Held by the callback: asyncio itself would let a task without an owner be collected.
        job.done.add_done_callback(lambda _: task.cancel())

    def _log(self, status: int, request_id: str, received: float, *, code: str = "", job: Job | None = None) -> None:
        config = self.config.logging
        if config.requests == "none" or (config.requests == "failed" and status < 400):
            return
        fields = {"status": status, "request_id": request_id, "seconds": round(time.perf_counter() - received, 6)}
        if code:
            fields["code"] = code
        if job is not None and job.model is not None:
            fields |= {"texts": len(job.texts), "version": job.model.version}
            if config.texts:
                fields["text"] = json.dumps(list(job.texts), ensure_ascii=False)
        logger.info("POST /v1/predict %d", status, extra={"fields": fields})


def _request_id(headers: Mapping[bytes, bytes]) -> str:
    """Return the id that the client sent, if it is harmless in a log, or a new one."""
    sent = headers.get(b"x-request-id")
    if sent is not None and REQUEST_ID.fullmatch(sent):
        return sent.decode("ascii")
    return f"{ID_PREFIX}-{next(ID_NUMBERS):x}"


def _timed_out(status: int, message: str, *, retry: bool = False) -> RequestError:
    headers = {"Retry-After": "5"} if retry else {"Connection": "close"}
    return RequestError(status, "timeout", message, result="timeout", headers=headers)


async def _watch_client(job: Job, receive: Receive, seconds: float) -> None:
    """Abandon a job whose client closes the connection, or whose time is up."""
    error: Exception = ClientLeft()
    try:
        async with asyncio.timeout(seconds):
            while (await receive())["type"] != "http.disconnect":
                pass
    except TimeoutError as timeout:
        error = timeout
    job.abandoned = True
    if not job.done.done():
        job.done.set_exception(error)
