"""The page at `/`: type a text, see the prediction. It loads nothing but its own files."""

from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from atnet.serving.responses import SECURITY_HEADERS

STATIC = Path(__file__).with_name("static")
FILES = {
    "/": ("page.html", "text/html; charset=utf-8"),
    "/page.css": ("page.css", "text/css; charset=utf-8"),
    "/page.js": ("page.js", "text/javascript; charset=utf-8"),
    "/strings.js": ("strings.js", "text/javascript; charset=utf-8"),
}


def page_routes() -> list[Route]:
    """Return the routes of the page and its files, read once."""
    return [_route(path, name, media_type) for path, (name, media_type) in FILES.items()]


def _route(path: str, name: str, media_type: str) -> Route:
    content = (STATIC / name).read_bytes()
    headers = {key.decode(): value.decode() for key, value in SECURITY_HEADERS} | {"cache-control": "no-cache"}

    async def file(request: Request) -> Response:
        return Response(content, media_type=media_type, headers=headers)

    return Route(path, file)
