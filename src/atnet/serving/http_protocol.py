"""uvicorn's HTTP protocol with limits that it does not have: on request headers, and on clients that do not read.

Its own errors get the same body as the service's.
"""

import asyncio
from typing import Any

from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.flow_control import service_unavailable
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from atnet.serving.request_ids import new_request_id, request_id
from atnet.serving.responses import JSON, NO_STORE, RequestError, error_body, send_error

MAX_HEADER_BYTES = 65_536
"""Largest size of the request headers."""


class TimedProtocol(HttpToolsProtocol):
    """Closes a connection on which no complete request headers arrive in time; subclasses set the time."""

    headers_seconds: float
    _incomplete = True
    """Whether the headers of the next request are still to come; a new connection must send them at once."""
    _header_bytes = 0
    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """Start the timer for the first request."""
        super().connection_made(transport)
        self._timer = self.loop.call_later(self.headers_seconds, self._close)

    def data_received(self, data: bytes) -> None:
        """Parse what has arrived; incomplete headers must be completed before the timer ends."""
        super().data_received(data)
        if not self._incomplete:
            self._header_bytes = 0
            self._stop_timer()
            return
        self._header_bytes += len(data)
        if self._header_bytes > MAX_HEADER_BYTES and not self.transport.is_closing():
            self.send_400_response("Request headers are too large.")
        elif self._timer is None:
            self._timer = self.loop.call_later(self.headers_seconds, self._close)

    def on_message_begin(self) -> None:
        """Begin a request: its headers are not complete."""
        super().on_message_begin()
        self._incomplete = True

    def on_headers_complete(self) -> None:
        """End the headers: from here on the request's own time limit applies."""
        self._incomplete = False
        super().on_headers_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """Drop the timer of a connection that has ended."""
        self._stop_timer()
        super().connection_lost(exc)

    def timeout_keep_alive_handler(self) -> None:
        """End an idle connection; one whose client has not read its response yet would never close on its own."""
        if self.transport.get_write_buffer_size():
            self.transport.abort()
        else:
            super().timeout_keep_alive_handler()

    def send_400_response(self, msg: str) -> None:
        """Respond to what is not an HTTP request, or has too large headers, and close the connection."""
        id_ = new_request_id()
        body = error_body("bad_request", msg, id_)
        headers = [
            (b"content-type", JSON),
            (b"content-length", str(len(body)).encode()),
            (b"connection", b"close"),
            (b"x-request-id", id_.encode()),
            *NO_STORE,
        ]
        lines = [b"HTTP/1.1 400 Bad Request", *(name + b": " + value for name, value in headers), b"", body]
        self.transport.write(b"\r\n".join(lines))
        self.transport.close()

    def _start_asgi_task(self, cycle: Any, app: Any) -> None:
        chosen: Any = _too_many_connections if app is service_unavailable else app
        super()._start_asgi_task(cycle, chosen)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _close(self) -> None:
        if not self.transport.is_closing():
            self.transport.close()


async def _too_many_connections(scope: Scope, receive: Receive, send: Send) -> None:
    """Respond to a request beyond `limits.max_connections`."""
    message = "Too many connections are open (serve.limits.max_connections). Try again later."
    headers = {"Retry-After": "5", "Connection": "close"}
    error = RequestError(503, "too_many_connections", message, result="unavailable", headers=headers)
    await send_error(send, error, request_id(dict(scope["headers"])))


def timed_protocol(headers_seconds: float) -> type[TimedProtocol]:
    """Return the protocol class with this time limit."""
    return type("TimedProtocol", (TimedProtocol,), {"headers_seconds": headers_seconds})
