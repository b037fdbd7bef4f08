"""The registry lock: held for about a second while aliases move.

Running the gate takes minutes and does not hold this lock, so a rollback never waits for it.
"""

import contextlib
import getpass
import json
import logging
import os
import secrets
import socket
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import filelock

from atnet.errors import ReleaseError
from atnet.registry.versions import Registry, is_registered, model_tags, set_model_tag
from atnet.tracking.store_errors import SQLITE, readable

LOCK_TAG = "release.lock"
FILE_WAIT_SECONDS = 20.0
HOLD_SECONDS = 60.0
"""No command holds the lock for this long."""
STALE = timedelta(seconds=3 * HOLD_SECONDS)
"""An older lock was left by a process that was killed."""
SERVER_WAIT_SECONDS = STALE.total_seconds() + HOLD_SECONDS
"""A lock that a killed process has left on a server is taken over before a command gives up."""
WRITE_SECONDS, SETTLE_SECONDS = 0.4, 0.5
"""A process that reads and writes the tag within WRITE_SECONDS is noticed by one that waits SETTLE_SECONDS."""
logger = logging.getLogger(__name__)


@contextlib.contextmanager
def registry_lock(registry: Registry, *, wait_seconds: float | None = None) -> Iterator[None]:
    """Lock the registered model for a transaction.

    Args:
        registry: of the model.
        wait_seconds: for another process that holds the lock; None: longer than a killed process can hold it.

    Raises:
        ReleaseError: if another process holds the lock for too long, or nothing is registered yet.
    """
    if not is_registered(registry):
        raise ReleaseError(f"{registry.model} has no released version yet. Run `atnet release` first.")
    if registry.store.uri.startswith(SQLITE):
        with _file_lock(registry, FILE_WAIT_SECONDS if wait_seconds is None else wait_seconds):
            yield
        return
    token = _acquire(registry, SERVER_WAIT_SECONDS if wait_seconds is None else wait_seconds)
    try:
        yield
    finally:
        if model_tags(registry).get(LOCK_TAG) == token:
            set_model_tag(registry, LOCK_TAG, None)


@contextlib.contextmanager
def _file_lock(registry: Registry, wait_seconds: float) -> Iterator[None]:
    # Beside the database: every project folder that uses it finds the same lock, and a kill releases it.
    path = Path(f"{registry.store.uri.removeprefix(SQLITE)}.{registry.model}.lock")
    try:
        with filelock.FileLock(path, timeout=wait_seconds):
            yield
    except filelock.Timeout:
        raise ReleaseError(
            f"Another command is moving aliases of {registry.model} in {readable(registry.store.uri)}: it has held "
            f"{path.name} for over {wait_seconds:.0f} s. Run this command again when it has finished."
        ) from None


def _acquire(registry: Registry, wait_seconds: float) -> str:
    """Acquire the lock that is a tag: MLflow has no compare-and-set, so write, wait, and read who won."""
    end = time.monotonic() + wait_seconds
    waiting_for = None
    while True:
        began = time.monotonic()
        holder = model_tags(registry).get(LOCK_TAG)
        if holder is None or _is_stale(holder):
            token = _new_token()
            set_model_tag(registry, LOCK_TAG, token)
            # A slow write may have replaced the token of a process that had made sure of its lock: let it finish.
            time.sleep(SETTLE_SECONDS if time.monotonic() - began < WRITE_SECONDS else HOLD_SECONDS)
            holder = model_tags(registry).get(LOCK_TAG)
            if holder == token:
                return token
        user = json.loads(holder)["user"] if holder else "another process"
        if user != waiting_for:
            waiting_for = user
            logger.info("Waiting for %s, who is moving aliases of %s.", user, registry.model)
        if time.monotonic() > end:
            raise ReleaseError(
                f"{user} is moving aliases of {registry.model}. Run this command again in a minute: "
                f"a lock left by a killed process expires after {STALE.seconds} s."
            )
        time.sleep(0.5)


def this_user() -> str:
    """Return who runs this process, as user@machine; the user of MLflow's server, if it asks for one."""
    account = os.environ.get("MLFLOW_TRACKING_USERNAME")
    if account:
        return f"{account}@{socket.gethostname()}"
    # The user of a container may have no name.
    try:
        name = getpass.getuser()
    except (OSError, KeyError):
        name = f"user {os.getuid()}"
    return f"{name}@{socket.gethostname()}"


def _new_token() -> str:
    return json.dumps({"user": this_user(), "since": datetime.now(UTC).isoformat(), "id": secrets.token_hex(8)})


def _is_stale(holder: str) -> bool:
    try:
        since = datetime.fromisoformat(json.loads(holder)["since"])
    except (ValueError, KeyError, TypeError):
        return True
    return datetime.now(UTC) - since > STALE
