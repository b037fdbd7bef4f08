"""Optional API keys: who may send prediction requests, and how many texts per second."""

import fcntl
import hmac
import math
import mmap
import os
import re
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from atnet.config import RateLimitConfig
from atnet.errors import ConfigurationError
from atnet.serving.responses import RequestError, invalid_request

KEYS_VARIABLE = "ATNET_API_KEYS"
MIN_CHARACTERS = 16
NAME = re.compile(r"[A-Za-z0-9_.-]{1,40}")
BUCKET = struct.Struct("<dd")
"""Texts left in the bucket, and the time of that count."""


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key, and the name of its owner for logs."""

    name: str
    secret: bytes


def read_keys(environment: Mapping[str, str]) -> list[ApiKey]:
    """Read the keys from ATNET_API_KEYS: `name=key`, separated by commas; empty if it is not set.

    Raises:
        ConfigurationError: for an entry of another form, a name used twice or a short key; no key is shown.
    """
    keys: list[ApiKey] = []
    entries = [entry.strip() for entry in environment.get(KEYS_VARIABLE, "").split(",") if entry.strip()]
    for number, entry in enumerate(entries, start=1):
        name, _, secret = entry.partition("=")
        if not NAME.fullmatch(name) or not secret:
            raise ConfigurationError(f"Entry {number} of {KEYS_VARIABLE} does not have the form name=key.")
        if name in {key.name for key in keys}:
            raise ConfigurationError(f"The name {name} is used twice in {KEYS_VARIABLE}.")
        if len(secret) < MIN_CHARACTERS:
            raise ConfigurationError(
                f"The key of {name} in {KEYS_VARIABLE} has {len(secret)} characters; use at least {MIN_CHARACTERS}, "
                "such as those that `python -c 'import secrets; print(secrets.token_urlsafe(32))'` prints."
            )
        keys.append(ApiKey(name, secret.encode()))
    return keys


def authenticate(keys: Sequence[ApiKey], headers: Mapping[bytes, bytes]) -> int | None:
    """Return the position of the key that a request carries; None if the service has no keys.

    Raises:
        RequestError: 401 if the request carries none of them.
    """
    if not keys:
        return None
    scheme, _, token = headers.get(b"authorization", b"").partition(b" ")
    sent = token.strip() if scheme.lower() == b"bearer" else headers.get(b"x-api-key", b"")
    # Every key is compared, each in constant time: the duration reveals nothing about them.
    matches = [hmac.compare_digest(sent, key.secret) for key in keys]
    if not any(matches):
        raise RequestError(
            401,
            "unauthorized",
            "This service needs an API key: send the header Authorization: Bearer KEY.",
            result="unauthorized",
            headers={"WWW-Authenticate": "Bearer"},
        )
    return matches.index(True)


class RateLimiter:
    """A token bucket per key, shared by all workers through a memory-mapped file."""

    def __init__(self, path: Path, keys: int, config: RateLimitConfig) -> None:
        self._rate, self._burst = config.texts_per_second, config.burst
        self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        os.ftruncate(self._file, keys * BUCKET.size)
        self._buckets = mmap.mmap(self._file, keys * BUCKET.size)

    def take(self, key: int, texts: int, now: float) -> None:
        """Take texts out of a key's bucket.

        Args:
            key: the key's position.
            texts: how many to take.
            now: seconds of a clock that all workers share.

        Raises:
            RequestError: 429 if the bucket has too few, with the time until it has enough; 422 if it is too small.
        """
        if texts > self._burst:
            raise invalid_request(
                422,
                "invalid_request",
                f"{texts} texts at once; this key may send {self._burst}. Send smaller requests.",
            )
        offset = key * BUCKET.size
        # If a worker is killed while it has the lock, the system releases it.
        fcntl.lockf(self._file, fcntl.LOCK_EX, BUCKET.size, offset)
        try:
            left, then = BUCKET.unpack_from(self._buckets, offset)
            left = min(self._burst, left + (now - then) * self._rate) if then else self._burst
            if left >= texts:
                BUCKET.pack_into(self._buckets, offset, left - texts, now)
                return
        finally:
            fcntl.lockf(self._file, fcntl.LOCK_UN, BUCKET.size, offset)
        seconds = math.ceil((texts - left) / self._rate)
        raise RequestError(
            429,
            "rate_limited",
            f"This key may send {self._rate:g} texts per second. Try again in {seconds} s.",
            result="overloaded",
            headers={"Retry-After": str(max(1, seconds))},
        )
