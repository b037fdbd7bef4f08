"""The body of POST /v1/predict: read it within limits, check it, return its texts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from starlette.types import Receive

from atnet.config import ServeLimitsConfig
from atnet.serving.responses import invalid_request

KEYS = frozenset({"text", "texts", "explain"})
READ_LIMITS = 4
"""A body up to this many times too large is read to its end and dropped: a client that is still sending would see a
broken connection in place of the error response."""


@dataclass(frozen=True, slots=True)
class PredictionRequest:
    """A valid request body."""

    texts: Sequence[str]
    explain: bool


class ClientDisconnected(Exception):
    """The client closed the connection before the response."""


async def read_body(headers: Mapping[bytes, bytes], receive: Receive, max_bytes: int) -> bytes:
    """Read a JSON request body.

    Raises:
        RequestError: 415 for another content type, 413 for a larger body.
        ClientDisconnected: if the connection ends before the body does.
    """
    media_type = headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
    if media_type != b"application/json":
        raise invalid_request(
            415, "unsupported_media_type", "Send JSON with the header Content-Type: application/json."
        )
    if int(headers.get(b"content-length", b"0")) > max_bytes * READ_LIMITS:
        raise _too_large(max_bytes)
    message = await receive()
    if message["type"] == "http.request" and not message.get("more_body"):
        body: bytes = message["body"]
        if len(body) > max_bytes:
            raise _too_large(max_bytes)
        return body
    parts, size = [], 0
    while message["type"] == "http.request":
        size += len(message["body"])
        if size <= max_bytes:
            parts.append(message["body"])
        if size > max_bytes * READ_LIMITS or (size > max_bytes and not message.get("more_body")):
            raise _too_large(max_bytes)
        if not message.get("more_body"):
            return b"".join(parts)
        message = await receive()
    raise ClientDisconnected


def parse_request(body: bytes, limits: ServeLimitsConfig) -> PredictionRequest:
    """Check a request body.

    Raises:
        RequestError: 400 if it is not JSON, 422 if it is not a prediction request within the limits.
    """
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise invalid_request(400, "invalid_json", f"The body is not valid JSON: {error}.") from None
    if not isinstance(value, dict):
        raise _unprocessable('The body must be an object such as {"text": "…"} or {"texts": ["…", "…"]}.')
    unknown = sorted(value.keys() - KEYS)
    if unknown:
        raise _unprocessable(f"Unknown key {unknown[0][:100]!r}. Known keys: text, texts, explain.")
    explain = value.get("explain", False)
    if not isinstance(explain, bool):
        raise _unprocessable("explain must be true or false.")
    texts = _texts(value)
    _check_limits(texts, explain, limits)
    return PredictionRequest(texts, explain)


def _texts(value: dict[str, Any]) -> list[str]:
    if ("text" in value) == ("texts" in value):
        raise _unprocessable("Send either text (one text) or texts (a list of texts).")
    if "text" in value:
        if not isinstance(value["text"], str):
            raise _unprocessable(f"text must be a string, not {_json_type(value['text'])}.")
        return [value["text"]]
    texts = value["texts"]
    if not isinstance(texts, list) or not texts:
        raise _unprocessable("texts must be a list of at least one text.")
    for row, text in enumerate(texts):
        if not isinstance(text, str):
            raise _unprocessable(f"texts[{row}] must be a string, not {_json_type(text)}.")
    return texts


def _check_limits(texts: Sequence[str], explain: bool, limits: ServeLimitsConfig) -> None:
    max_texts = limits.max_explained_texts if explain else limits.max_texts
    if len(texts) > max_texts:
        what = "texts with explain" if explain else "texts"
        raise _unprocessable(
            f"{len(texts)} {what} in one request; at most {max_texts} are allowed. Send several requests."
        )
    longest = max(range(len(texts)), key=lambda row: len(texts[row]))
    size, max_size, max_explained = len(texts[longest]), limits.max_characters, limits.max_explained_characters
    if size > max_size:
        raise _unprocessable(f"Text {longest} has {size} characters; at most {max_size} are allowed. Shorten it.")
    if explain and size > max_explained:
        raise _unprocessable(
            f"Text {longest} has {size} characters; at most {max_explained} are allowed with explain. Send it without."
        )


def _json_type(value: Any) -> str:
    if value is None:
        return "null"
    names = {bool: "a boolean", int: "a number", float: "a number", list: "a list", dict: "an object", str: "a string"}
    return names[type(value)]


def _unprocessable(message: str) -> Exception:
    return invalid_request(422, "invalid_request", message)


def _too_large(max_bytes: int) -> Exception:
    return invalid_request(
        413, "body_too_large", f"The body is larger than {max_bytes} bytes. Send several requests.", close=True
    )
