"""More than the service can do: the bounded queue, the time limit, and clients that do not wait."""

import asyncio
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, cast

import numpy as np
import orjson
import pytest

from atnet.config import Params, ServeConfig
from atnet.serving.inference_thread import InferenceThread
from atnet.serving.loaded_model import LoadedModel
from atnet.serving.predict_endpoint import PredictEndpoint
from atnet.serving.service_metrics import WorkerMetrics


class _Blocked:
    """A model that predicts only when it may."""

    labels, version, sha256, min_confidence = ("no", "yes"), 1, "sha", None

    def __init__(self) -> None:
        self.go = threading.Event()
        self.seen: list[str] = []

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        self.go.wait(20)
        self.seen += texts
        return [[2]] * len(texts)

    def probabilities(self, ids: Sequence[Sequence[int]]) -> np.ndarray:
        return np.array([[0.25, 0.75]] * len(ids))


class _Client:
    """Sends one request and keeps what comes back."""

    def __init__(self, endpoint: PredictEndpoint, texts: list[str]) -> None:
        self.messages: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.sent: list[dict[str, Any]] = []
        body = orjson.dumps({"texts": texts})
        self.messages.put_nowait({"type": "http.request", "body": body, "more_body": False})
        scope = {"type": "http", "headers": [(b"content-type", b"application/json")]}
        self.task = asyncio.create_task(endpoint(scope, cast(Any, self.messages.get), self._send))

    async def _send(self, message: Any) -> None:
        self.sent.append(message)

    def leave(self) -> None:
        self.messages.put_nowait({"type": "http.disconnect"})

    @property
    def status(self) -> int | None:
        return self.sent[0]["status"] if self.sent else None

    @property
    def headers(self) -> dict[bytes, bytes]:
        return dict(self.sent[0]["headers"])


def _config(params: Params, queued: int, seconds: float = 10.0) -> ServeConfig:
    limits = params.serve.limits.model_copy(update={"max_queued_texts": queued})
    timeouts = params.serve.timeouts.model_copy(update={"request_seconds": seconds})
    return params.serve.model_copy(update={"limits": limits, "timeouts": timeouts})


@asynccontextmanager
async def _endpoint(config: ServeConfig, model: _Blocked | None) -> AsyncIterator[PredictEndpoint]:
    metrics = WorkerMetrics()
    thread = InferenceThread(metrics, 4096, lambda *_: None)
    thread.model = cast(LoadedModel, model)
    thread.start()
    try:
        yield PredictEndpoint(config, "atnet", thread, metrics, [], None)
    finally:
        if model is not None:
            model.go.set()
        await asyncio.get_running_loop().run_in_executor(None, thread.stop)


def _count(endpoint: PredictEndpoint, result: Any) -> float:
    return float(cast(Any, endpoint.metrics.requests[result])._value.get())


async def _until(reached: Any) -> None:
    for _ in range(1000):
        if reached():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("not reached")


@pytest.mark.parametrize("lists", [[["a"]] * 10, [["a"] * 10], [["a"] * 4, ["a"] * 6]])
def test_the_queue_is_bounded_in_texts_whether_they_come_alone_or_in_lists(
    params: Params, lists: list[list[str]]
) -> None:
    async def run() -> None:
        async with _endpoint(_config(params, queued=10), model := _Blocked()) as endpoint:
            accepted = [_Client(endpoint, texts) for texts in lists]
            await _until(lambda: endpoint.inference.queued_texts == 10)
            refused = [_Client(endpoint, ["a"]), _Client(endpoint, ["a"] * 3)]
            await asyncio.gather(*(client.task for client in refused))
            assert [client.status for client in refused] == [429, 429]
            assert 1 <= int(refused[0].headers[b"retry-after"]) <= 60
            assert orjson.loads(refused[0].sent[1]["body"])["error"]["code"] == "overloaded"
            model.go.set()
            await asyncio.gather(*(client.task for client in accepted))
            assert {client.status for client in accepted} == {200}
            assert endpoint.inference.queued_texts == 0
            assert (_count(endpoint, "overloaded"), _count(endpoint, "ok")) == (2, len(lists))

    asyncio.run(run())


def test_a_list_longer_than_the_queue_is_taken_when_nothing_waits(params: Params) -> None:
    async def run() -> None:
        async with _endpoint(_config(params, queued=10), model := _Blocked()) as endpoint:
            model.go.set()
            client = _Client(endpoint, ["a"] * 50)
            await client.task
            assert client.status == 200

    asyncio.run(run())


def test_a_request_that_is_not_answered_in_time_gets_503_and_is_not_computed_later(params: Params) -> None:
    async def run() -> None:
        async with _endpoint(_config(params, queued=10, seconds=0.3), model := _Blocked()) as endpoint:
            computed = _Client(endpoint, ["first"])
            await _until(lambda: endpoint.inference.busy_since is not None)
            waiting = _Client(endpoint, ["second"])
            await asyncio.gather(computed.task, waiting.task)
            assert (computed.status, waiting.status) == (503, 503)
            assert b"retry-after" in waiting.headers
            assert _count(endpoint, "timeout") == 2
            model.go.set()
        assert model.seen == ["first"]
        assert endpoint.inference.queued_texts == 0

    asyncio.run(run())


def test_a_client_that_leaves_is_dropped_before_inference(params: Params) -> None:
    async def run() -> None:
        async with _endpoint(_config(params, queued=10), model := _Blocked()) as endpoint:
            computed = _Client(endpoint, ["computed"])
            await _until(lambda: endpoint.inference.busy_since is not None)
            leaving, staying = _Client(endpoint, ["left"]), _Client(endpoint, ["stayed"])
            leaving.leave()
            await leaving.task
            model.go.set()
            await asyncio.gather(computed.task, staying.task)
            assert (computed.status, leaving.status, staying.status) == (200, None, 200)
            assert model.seen == ["computed", "stayed"]
            assert _count(endpoint, "dropped") == 1

    asyncio.run(run())


def test_without_a_model_a_request_gets_503_with_retry_after(params: Params) -> None:
    async def run() -> None:
        async with _endpoint(_config(params, queued=10), None) as endpoint:
            client = _Client(endpoint, ["a"])
            await client.task
            assert (client.status, client.headers[b"retry-after"]) == (503, b"5")
            assert _count(endpoint, "unavailable") == 1

    asyncio.run(run())
