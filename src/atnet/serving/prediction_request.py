"""The body of POST /v1/predict: read within limits, checked, and turned into texts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from starlette.types import Receive

from atnet.config import ServeLimitsConfig
from atnet.serving.responses import invalid

KEYS = frozenset({"text", "texts", "explain"})
DRAINED = 4
"""A body up to this many times too large is read to its end and dropped: a client that still sends would see a broken
connection in place of the answer."""


@dataclass(frozen=True, slots=True)
class PredictionRequest:
    """What a client asks for."""

    texts: Sequence[str]
    explain: bool


class ClientLeft(Exception):
    """The client closed the connection before the answer."""


async def read_body(headers: Mapping[bytes, bytes], receive: Receive, limit: int) -> bytes:
    """Read a JSON request body of at most `limit` bytes.

    Raises:
        RequestError: 415 for another content type, 413 for a larger body.
        ClientLeft: if the connection ends before the body does.
    """
    media_type = headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
    if media_type != b"application/json":
        raise invalid(415, "unsupported_media_type", "Send JSON with the header Content-Type: application/json.")
    if int(headers.get(b"content-length", b"0")) > limit * DRAINED:
        raise _too_large(limit)
    message = await receive()
    if message["type"] == "http.request" and not message.get("more_body"):
        body: bytes = message["body"]
        if len(body) > limit:
            raise _too_large(limit)
        return body
    parts, size = [], 0
    while message["type"] == "http.request":
        size += len(message["body"])
        if size <= limit:
            parts.append(message["body"])
        if size > limit * DRAINED or (size > limit and not message.get("more_body")):
            raise _too_large(limit)
        if not message.get("more_body"):
            return b"".join(parts)
        message = await receive()
    raise ClientLeft


def parse_request(body: bytes, limits: ServeLimitsConfig) -> PredictionRequest:
    """Check a request body.

    Raises:
        RequestError: 400 for what is not JSON, 422 for what is not a prediction request within the limits.
    """
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise invalid(400, "invalid_json", f"The body is not valid JSON: {error}.") from None
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
    allowed = limits.explained_texts if explain else limits.texts
    if len(texts) > allowed:
        what = "texts with explain" if explain else "texts"
        raise _unprocessable(
            f"{len(texts)} {what} in one request; at most {allowed} are allowed. Send several requests."
        )
    longest = max(range(len(texts)), key=lambda row: len(texts[row]))
    characters = min(limits.characters, limits.explained_characters) if explain else limits.characters
    if len(texts[longest]) > characters:
        how = "with explain " if explain and len(texts[longest]) <= limits.characters else ""
        raise _unprocessable(
            f"Text {longest} has {len(texts[longest])} characters; at most {characters} are allowed {how}"
            f"({'ask without it' if how else 'shorten it'})."
        )


def _json_type(value: Any) -> str:
    if value is None:
        return "null"
    names = {bool: "a boolean", int: "a number", float: "a number", list: "a list", dict: "an object", str: "a string"}
    return names[type(value)]


def _unprocessable(message: str) -> Exception:
    return invalid(422, "invalid_request", message)


def _too_large(limit: int) -> Exception:
    return invalid(413, "body_too_large", f"The body is larger than {limit} bytes. Send several requests.", close=True)
