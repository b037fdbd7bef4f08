"""Errors of the HTTP protocol have the same body as the service's own."""

import asyncio
import json
import re
from collections.abc import Sequence

import pytest
import uvicorn
from starlette.applications import Starlette

from atnet.serving.http_protocol import timed_protocol
from atnet.serving.request_ids import request_id

ID = re.compile(r"[0-9a-f]{12}-[0-9a-f]+")


async def _exchange(sent: bytes, *, max_connections: int) -> tuple[Sequence[str], bytes]:
    """Send bytes to a server without routes; return the lines of the head and the body that it answers with."""
    config = uvicorn.Config(
        Starlette(),
        port=0,
        http=timed_protocol(5.0),
        lifespan="off",
        log_config=None,
        limit_concurrency=max_connections,
    )
    server = uvicorn.Server(config)
    # Not serve(): it would install signal handlers.
    config.load()
    server.lifespan = config.lifespan_class(config)
    await server.startup()
    try:
        port = server.servers[0].sockets[0].getsockname()[1]
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(sent)
        answer = await asyncio.wait_for(reader.read(), timeout=10)
        writer.close()
    finally:
        server.force_exit = True
        await server.shutdown()
    head, _, body = answer.partition(b"\r\n\r\n")
    return head.decode().splitlines(), body


@pytest.mark.parametrize(
    ("sent", "max_connections", "status", "code", "message"),
    [
        (b"\x16\x03\x01\x02\x00\r\n\r\n", 10, "400 Bad Request", "bad_request", "Invalid HTTP request"),
        (b"GET / HTTP/1.1\r\n" + b"X-A: b\r\n" * 10_000, 10, "400 Bad Request", "bad_request", "headers are too large"),
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", 1, "503 Service Unavailable", "too_many_connections", "Try again later"),
    ],
)
def test_an_error_of_the_protocol_has_a_code_a_message_and_a_request_id(
    sent: bytes, max_connections: int, status: str, code: str, message: str
) -> None:
    lines, body = asyncio.run(_exchange(sent, max_connections=max_connections))
    error = json.loads(body)
    assert (lines[0], set(error)) == (f"HTTP/1.1 {status}", {"error", "request_id"})
    assert (error["error"]["code"], message in error["error"]["message"]) == (code, True)
    assert ID.fullmatch(error["request_id"])
    headers = dict(line.lower().split(": ", 1) for line in lines[1:])
    assert headers["x-request-id"] == error["request_id"]
    assert (headers["connection"], headers["content-type"]) == ("close", "application/json")


def test_an_id_of_the_client_is_kept_unless_it_is_harmful_in_a_log() -> None:
    assert request_id({b"x-request-id": b"order-7"}) == "order-7"
    for harmful in (b'a"}\t{"level', b"", b"a" * 65):
        assert ID.fullmatch(request_id({b"x-request-id": harmful}))
    assert request_id({}) != request_id({})
