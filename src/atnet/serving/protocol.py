"""uvicorn's HTTP protocol with a limit on the time for request headers, which it does not have."""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol


class TimedProtocol(HttpToolsProtocol):
    """Closes a connection on which no complete request headers arrive in time; subclasses set the time."""

    headers_seconds: float
    _incomplete = True
    """Whether the headers of the next request have not arrived yet; a new connection owes them at once."""
    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """Begin to wait for the first request."""
        super().connection_made(transport)
        self._timer = self.loop.call_later(self.headers_seconds, self._close)

    def data_received(self, data: bytes) -> None:
        """Read what has arrived; headers that are cut short have until the timer ends."""
        super().data_received(data)
        if not self._incomplete:
            self._stop_timer()
        elif self._timer is None:
            self._timer = self.loop.call_later(self.headers_seconds, self._close)

    def on_message_begin(self) -> None:
        """Begin a request: its headers are not complete."""
        super().on_message_begin()
        self._incomplete = True

    def on_headers_complete(self) -> None:
        """End the headers: from here on the request's own time-out counts."""
        self._incomplete = False
        super().on_headers_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the timer of a connection that has ended."""
        self._stop_timer()
        super().connection_lost(exc)

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
