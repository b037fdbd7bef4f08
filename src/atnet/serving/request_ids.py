"""The id of a request: the one that the client sent, or a new one. Every error response has it."""

import itertools
import os
import re
from collections.abc import Mapping

REQUEST_ID = re.compile(rb"[A-Za-z0-9_.:-]{1,64}")
# A new id per request, without asking the system for random bytes each time.
ID_PREFIX, ID_NUMBERS = os.urandom(6).hex(), itertools.count(1)


def request_id(headers: Mapping[bytes, bytes]) -> str:
    """Return the id that the client sent, if it is harmless in a log, or a new one."""
    sent = headers.get(b"x-request-id")
    return sent.decode("ascii") if sent is not None and REQUEST_ID.fullmatch(sent) else new_request_id()


def new_request_id() -> str:
    """Return an id that no other request has."""
    return f"{ID_PREFIX}-{next(ID_NUMBERS):x}"
