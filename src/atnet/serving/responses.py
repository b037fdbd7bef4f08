"""HTTP responses of the service: JSON bodies, error bodies, headers."""

from collections.abc import Mapping
from typing import Any

import orjson
from starlette.types import Send

from atnet.serving.service_metrics import RequestResult

Headers = list[tuple[bytes, bytes]]

JSON = b"application/json"
SECURITY_HEADERS: Headers = [
    (
        b"content-security-policy",
        b"default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
        b"base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"permissions-policy", b"camera=(), geolocation=(), microphone=()"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
]
NO_STORE: Headers = [(b"cache-control", b"no-store"), (b"x-content-type-options", b"nosniff")]


class RequestError(Exception):
    """A request that gets an error response.

    Attributes:
        status: HTTP status.
        code: stable identifier of the error, for programs.
        message: what happened and what to do, for people.
        result: how metrics count the request.
        headers: further headers of the response, such as Retry-After.
    """

    def __init__(
        self, status: int, code: str, message: str, *, result: RequestResult, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.status, self.code, self.message, self.result = status, code, message, result
        self.headers = headers or {}


def invalid_request(status: int, code: str, message: str, *, close: bool = False) -> RequestError:
    """Build the error for a request that fails again when it is repeated; `close` if its body was not read."""
    headers = {"Connection": "close"} if close else {}
    return RequestError(status, code, message, result="invalid", headers=headers)


def error_body(code: str, message: str, request_id: str) -> bytes:
    """Return the JSON body of an error."""
    return orjson.dumps({"error": {"code": code, "message": message}, "request_id": request_id})


async def send_response(
    send: Send, status: int, body: bytes, content_type: bytes = JSON, headers: Headers | None = None
) -> None:
    """Send a whole response."""
    all_headers: Headers = [
        (b"content-type", content_type),
        (b"content-length", str(len(body)).encode()),
        *(NO_STORE if headers is None else headers),
    ]
    await send({"type": "http.response.start", "status": status, "headers": all_headers})
    await send({"type": "http.response.body", "body": body})


async def send_error(send: Send, error: RequestError, request_id: str) -> None:
    """Send an error response."""
    further = [(name.lower().encode(), value.encode()) for name, value in error.headers.items()]
    headers: Headers = [*NO_STORE, (b"x-request-id", request_id.encode()), *further]
    await send_response(send, error.status, error_body(error.code, error.message, request_id), headers=headers)


def to_json(value: Any) -> bytes:
    """Return a value as JSON."""
    return orjson.dumps(value)
