"""uvicorn's HTTP protocol with limits that it does not have: on request headers, and on clients that do not read."""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

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

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _close(self) -> None:
        if not self.transport.is_closing():
            self.transport.close()


def timed_protocol(headers_seconds: float) -> type[TimedProtocol]:
    """Return the protocol class with this time limit."""
    return type("TimedProtocol", (TimedProtocol,), {"headers_seconds": headers_seconds})
