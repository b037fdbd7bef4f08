"""Remove passwords, tokens and keys from text before it is printed, logged or stored.

Two ways together: addresses and `name=value` pairs are recognized by their form, and the secrets of this process (the
credentials in addresses it uses, environment variables such as MLFLOW_TRACKING_PASSWORD) by their value, because an
error message may quote a part of an address only.
"""

import html
import json
import logging
import os
import re
import sys
import threading
import traceback
from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import Any
from urllib.parse import quote, quote_plus, unquote, unquote_plus

HIDDEN = "***"
ADDRESS = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.\-]*:(?://|\\/\\/))(?P<rest>\S*)")
USERINFO = re.compile(r"^[^/?#@:\s]*[:@]\S*@|^[^/?#@\s]*@")
"""A user, or a user and a password, up to the last @: a password may contain any character, @ and / included."""
QUERY_VALUE = re.compile(r"(?P<name>[?&;#][^=&;#?\s]*=)(?P<value>[^&;#\s]+)")
PUBLIC_PARAMETERS = frozenset(
    {
        *("workflowtype", "viewstatesharekey", "orderbykey", "orderbyasc", "starttime", "searchfilter"),
        *("sslmode", "driver", "charset", "timeout", "connect_timeout", "mode", "cache", "uri"),
    }
)
"""Query parameters whose values may be shown."""
PAIR = re.compile(
    r"(?i)(?P<name>[\w.\-]*(?:password|passwd|pwd|passphrase|secret|api[_\-]?key|access[_\-]?key|private[_\-]?key"
    r"|account[_\-]?key|auth[_\-]?token|access[_\-]?token|session[_\-]?token|refresh[_\-]?token|credentials?)[\w.\-]*)"
    r"(?P<relation>[\"']?\s*[=:]\s*[\"']?)(?P<value>[^\s\"',;&}]+)"
)
HEADER = re.compile(r"(?i)\b(?P<kind>bearer|basic)\s+(?P<value>[A-Za-z0-9._~+/\-]{8,}=*)")
SECRET_VARIABLE = re.compile(
    r"(?i)(password|passwd|passphrase|secret|token|api_?key|access_?key|credential|_key$|_pwd$)"
)
ADDRESSES_VARIABLE = "ATNET_NOTIFY"
"""Addresses of chat services, in which any part may be the token: `slack://token/token/token`."""
PUBLIC_PART = re.compile(r"localhost|[\d.:]+|.{1,7}")
"""A part of such an address that may be shown: this machine, numbers and short words."""
MIN_LENGTH = 4
"""A shorter secret is recognized by the form of the text only: replaced everywhere, it would destroy ordinary words."""

_remembered: set[str] = set()


def redact(text: str) -> str:
    """Replace every secret in a text with ***."""
    for secret in sorted({*_remembered, *_environment_secrets(os.environ)}, key=len, reverse=True):
        if secret in text:
            text = re.sub(rf"(?<![A-Za-z0-9]){re.escape(secret)}(?![A-Za-z0-9])", HIDDEN, text)
    text = ADDRESS.sub(_redact_address, text)
    text = HEADER.sub(lambda match: f"{match['kind']} {HIDDEN}", text)
    return PAIR.sub(lambda match: f"{match['name']}{match['relation']}{HIDDEN}", text)


def remember_secrets(address: str) -> None:
    """Recognize the credentials of an address from now on, even if only a part of them is quoted."""
    _remembered.update(address_secrets(address))


def without_credentials(address: str) -> str:
    """Return an address without user, password, query and fragment, for links."""
    match = ADDRESS.match(address)
    if match is None:
        return address
    rest = USERINFO.sub("", match["rest"], count=1)
    return f"{match['scheme']}{re.split('[?#]', rest, maxsplit=1)[0]}"


def has_credentials(address: str) -> bool:
    """Return whether an address contains a password or a token."""
    return next(_credentials(address), None) is not None


def address_secrets(address: str) -> set[str]:
    """Return the credentials of an address in every form in which a message may quote them."""
    return {form for secret in _credentials(address) for form in _forms(secret) if len(form) >= MIN_LENGTH}


def install_redaction() -> None:
    """Redact log records and uncaught exceptions of this process; repeated calls change nothing."""
    if not isinstance(logging.getLogRecordFactory(), _RedactingFactory):
        logging.setLogRecordFactory(_RedactingFactory(logging.getLogRecordFactory()))
    sys.excepthook = _redacting_excepthook
    threading.excepthook = _redacting_thread_excepthook


class _RedactingFactory:
    """Creates log records whose message, arguments and traceback are redacted, whatever handler prints them."""

    def __init__(self, factory: Any) -> None:
        self._factory = factory

    def __call__(self, *args: Any, **kwargs: Any) -> logging.LogRecord:
        record: logging.LogRecord = self._factory(*args, **kwargs)
        try:
            message = record.getMessage()
        except (TypeError, ValueError):
            # The logging module reports a format that does not fit its arguments.
            return record
        redacted = redact(message)
        if redacted != message:
            record.msg, record.args = redacted, ()
        if record.exc_info and record.exc_info[0] is not None:
            trace = "".join(traceback.format_exception(*record.exc_info)).rstrip("\n")
            record.exc_text = redact(trace)
        return record


def _redacting_excepthook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    sys.stderr.write(redact("".join(traceback.format_exception(kind, error, trace))))


def _redacting_thread_excepthook(hook: threading.ExceptHookArgs) -> None:
    if hook.exc_type is not SystemExit and hook.exc_value is not None:
        _redacting_excepthook(hook.exc_type, hook.exc_value, hook.exc_traceback)


def _redact_address(match: re.Match[str]) -> str:
    userinfo = USERINFO.match(match["rest"])
    if userinfo is None:
        return match["scheme"] + QUERY_VALUE.sub(_redact_parameter, match["rest"])
    if re.search("[?#]", userinfo[0]):
        # Either a password with these characters or a query with an @: nothing of it can be shown.
        return match["scheme"] + HIDDEN
    rest = match["rest"][userinfo.end() :]
    return f"{match['scheme']}{HIDDEN}@{QUERY_VALUE.sub(_redact_parameter, rest)}"


def _redact_parameter(match: re.Match[str]) -> str:
    name = match["name"][1:-1].lower()
    return match[0] if name in PUBLIC_PARAMETERS else f"{match['name']}{HIDDEN}"


def _credentials(address: str) -> Iterator[str]:
    """Yield the secret parts of an address as they are written in it."""
    match = re.match(r"[A-Za-z][A-Za-z0-9+.\-]*://(?P<rest>.*)$", address, re.DOTALL)
    if match is None:
        return
    # Not \S: the whole text is the address, and a password may contain a space.
    userinfo, separator, _ = match["rest"].rpartition("@")
    if separator and re.match(r"[^/?#@:]*[:@]|[^/?#@]*$", userinfo + separator):
        user, colon, password = userinfo.partition(":")
        yield from _parts(password) if colon and password else ()
        # Without a password, or in a form like `TOKEN:x-oauth-basic@`, the user part is the token.
        if not password or len(user) >= 16:
            yield from _parts(user)
    for parameter in QUERY_VALUE.finditer(match["rest"]):
        if parameter["name"][1:-1].lower() not in PUBLIC_PARAMETERS:
            yield parameter["value"]


def _parts(secret: str) -> Iterator[str]:
    yield secret
    for position, char in enumerate(secret):
        # Parsers that stop at one of these take the rest for the host, a port or a path.
        if char in "@/:?#":
            yield f"{secret[position + 1 :]}@"
            yield secret[position + 1 :]
            yield secret[:position]


def _forms(secret: str) -> Iterator[str]:
    for plain in {secret, unquote(secret), unquote_plus(secret)}:
        yield plain
        yield quote(plain, safe="")
        yield quote(plain)
        yield quote_plus(plain)
        yield json.dumps(plain)[1:-1]
        yield json.dumps(plain, ensure_ascii=False)[1:-1]
        yield html.escape(plain)


def _environment_secrets(environment: Mapping[str, str]) -> Iterator[str]:
    for name, value in environment.items():
        if name == ADDRESSES_VARIABLE:
            parts = re.split(r"[\s,/:@?&=]+", value)
            yield from (part for part in parts if part and not PUBLIC_PART.fullmatch(part))
        if "://" in value:
            yield from address_secrets(value)
        elif SECRET_VARIABLE.search(name) and len(value) >= MIN_LENGTH and not os.path.isabs(value):
            yield value
