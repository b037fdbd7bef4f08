"""A local receiver of notifications, for Apprise's json:// addresses, and small HTTP servers with given answers."""

import http.server
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

Answer = Callable[[str, Any], tuple[int, Any]]
"""Path and JSON body of a request -> status and body of the response."""


class Receiver:
    """Collects what is posted to it; rejects everything while `rejecting`."""

    def __init__(self) -> None:
        self.received: list[dict[str, Any]] = []
        self.rejecting = False
        self.address = ""

    @property
    def titles(self) -> list[str]:
        """Return the titles of what it has accepted, in order."""
        return [message["title"] for message in self.received]

    def answer(self, path: str, body: Any) -> tuple[int, Any]:
        """Accept or reject a message."""
        if self.rejecting:
            return 500, {}
        self.received.append(body)
        return 200, {}


@contextmanager
def receiver() -> Iterator[Receiver]:
    """Run a receiver while the block runs."""
    collected = Receiver()
    with http_server(collected.answer) as port:
        collected.address = f"json://127.0.0.1:{port}/notify"
        yield collected


@contextmanager
def http_server(answer: Answer) -> Iterator[int]:
    """Answer every request; yields the port. A body that is text is sent as it is."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def _respond(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            request = json.loads(self.rfile.read(length) or b"null")
            code, body = answer(self.path, request)
            content = (body if isinstance(body, str) else json.dumps(body)).encode()
            self.send_response(code)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_PATCH = _respond

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
