"""One act at a time: a lock held while aliases are moved, for a second or so.

Judging takes minutes and holds no lock of the registry, so that a rollback never waits for it.
"""

import contextlib
import getpass
import json
import os
import secrets
import socket
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import filelock

from atnet.errors import ReleaseError
from atnet.redaction import redact
from atnet.registry.versions import Registry, is_registered, model_tags, set_model_tag
from atnet.tracking.store import SQLITE

LOCK_TAG = "release.lock"
WAIT_SECONDS = 20.0
STALE = timedelta(seconds=60)
"""A lock older than this was left by a process that was killed: nobody holds one for so long."""
SETTLE_SECONDS = 0.5
"""Longer than the moment between looking at the tag and writing it, in any process that saw it free."""


@contextlib.contextmanager
def registry_lock(registry: Registry, *, wait_seconds: float = WAIT_SECONDS) -> Iterator[None]:
    """Hold the registered model for a move.

    Raises:
        ReleaseError: if another process holds it for too long, or nothing is registered yet.
    """
    if not is_registered(registry):
        raise ReleaseError(f"Nothing has been released yet of {registry.model}. Run `atnet release` first.")
    if registry.store.uri.startswith(SQLITE):
        with _file_lock(registry, wait_seconds):
            yield
        return
    mine = _take(registry, wait_seconds)
    try:
        yield
    finally:
        if model_tags(registry).get(LOCK_TAG) == mine:
            set_model_tag(registry, LOCK_TAG, None)


@contextlib.contextmanager
def _file_lock(registry: Registry, wait_seconds: float) -> Iterator[None]:
    # Beside the database: every project folder that uses it meets here, and a kill frees it.
    path = Path(f"{registry.store.uri.removeprefix(SQLITE)}.{registry.model}.lock")
    try:
        with filelock.FileLock(path, timeout=wait_seconds):
            yield
    except filelock.Timeout:
        raise ReleaseError(
            f"Another command is moving aliases of {registry.model} in {redact(registry.store.uri)}: it has held "
            f"{path.name} for over {wait_seconds:.0f} s. Run this one again when it has ended."
        ) from None


def _take(registry: Registry, wait_seconds: float) -> str:
    """Take the lock that is a tag: MLflow cannot compare and set, so write, wait, and see whose word stands."""
    end = time.monotonic() + wait_seconds
    while True:
        held = model_tags(registry).get(LOCK_TAG)
        if held is None or _is_stale(held):
            mine = _owner()
            set_model_tag(registry, LOCK_TAG, mine)
            time.sleep(SETTLE_SECONDS)
            held = model_tags(registry).get(LOCK_TAG)
            if held == mine:
                return mine
        if time.monotonic() > end:
            who = json.loads(held)["who"] if held else "somebody"
            raise ReleaseError(
                f"{who} is moving aliases of {registry.model}. Run this command again in a minute: "
                f"a lock left by a killed process ends by itself after {STALE.seconds} s."
            )
        time.sleep(0.5)


def this_user() -> str:
    """Name who acts, as user@machine."""
    # A container's user may have no name.
    try:
        name = getpass.getuser()
    except (OSError, KeyError):
        name = f"user {os.getuid()}"
    return f"{name}@{socket.gethostname()}"


def _owner() -> str:
    return json.dumps({"who": this_user(), "since": datetime.now(UTC).isoformat(), "id": secrets.token_hex(8)})


def _is_stale(held: str) -> bool:
    try:
        since = datetime.fromisoformat(json.loads(held)["since"])
    except (ValueError, KeyError, TypeError):
        return True
    return datetime.now(UTC) - since > STALE
