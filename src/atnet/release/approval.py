"""`atnet approve` and `atnet reject`: a user decides on the version that is waiting for approval."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from atnet.config import Params
from atnet.errors import ReleaseError
from atnet.registry.ledger import LedgerEvent
from atnet.registry.lock import registry_lock
from atnet.registry.transactions import commit
from atnet.registry.versions import CHAMPION, Registry, Version, aliases, open_registry, version, versions
from atnet.release.command import Command, command_run
from atnet.release.transitions import (
    COMPARED_WITH_TAG,
    GATE_TAG,
    PENDING_APPROVAL,
    REJECTED_BY_USER,
    promote,
    recover,
    reject,
)


@dataclass(frozen=True, slots=True)
class UserDecision:
    """What a user decided, for the ledger."""

    version: int | None = None
    """None: the version that is waiting for approval."""
    reason: str = ""
    user: str | None = None
    """None: the user of this process."""


@dataclass(frozen=True, slots=True)
class _Pending:
    registry: Registry
    command: Command
    version: Version


def approve_version(params: Params, root: Path, decision: UserDecision, *, now: datetime) -> str:
    """Promote the version that is waiting for approval and return a message.

    Raises:
        ReleaseError: if none waits, or the champion is not the one it was compared with.
    """
    with _pending_version(params, root, "approve", decision, now) as pending:
        if isinstance(pending, LedgerEvent):
            return _promoted(pending.version, pending.champion_before)
        chosen, registry = pending.version, pending.registry
        champion = aliases(registry).get(CHAMPION)
        compared_with = chosen.tags.get(COMPARED_WITH_TAG, "")
        if compared_with != str(champion or ""):
            raise ReleaseError(
                f"Version {chosen.number} was compared with champion {compared_with or 'none'}, which has changed to "
                f"{champion} since. Reject it, then run `atnet release --again` to run the gate again."
            )
        reason = _with_reason("approved by a user", decision.reason)
        gate_sha256 = chosen.tags.get(GATE_TAG, "")
        commit(
            registry,
            promote(registry, chosen.number, pending.command, reason=reason, gate_sha256=gate_sha256, tags={}),
        )
    return _promoted(chosen.number, champion)


def reject_version(params: Params, root: Path, decision: UserDecision, *, now: datetime) -> str:
    """Reject the version that is waiting for approval and return a message.

    Raises:
        ReleaseError: if none waits.
    """
    with _pending_version(params, root, "reject", decision, now) as pending:
        if isinstance(pending, LedgerEvent):
            return f"version {pending.version} is rejected."
        reason = _with_reason("rejected by a user", decision.reason)
        commit(
            pending.registry,
            reject(pending.registry, pending.version, pending.command, state=REJECTED_BY_USER, reason=reason, tags={}),
        )
    return f"version {pending.version.number} is rejected."


@contextlib.contextmanager
def _pending_version(
    params: Params, root: Path, name: str, decision: UserDecision, now: datetime
) -> Iterator["_Pending | LedgerEvent"]:
    """Lock the registry and find the version to decide on, or the event that an interrupted run has recorded."""
    registry = open_registry(params.tracking, root)
    arguments = {"version": decision.version, "reason": decision.reason}
    with (
        command_run(registry, name, arguments, user=decision.user, now=now) as command,
        registry_lock(registry),
    ):
        recover(registry, now)
        completed = command.completed_event(registry)
        yield completed or _Pending(registry, command, _find_pending(registry, decision.version))


def _find_pending(registry: Registry, number: int | None) -> Version:
    if number is not None:
        chosen = version(registry, number)
        if chosen.state == PENDING_APPROVAL:
            return chosen
        raise ReleaseError(f"Version {number} is not waiting for approval; it is {chosen.state}.")
    pending = [candidate for candidate in versions(registry) if candidate.state == PENDING_APPROVAL]
    if not pending:
        raise ReleaseError("No version is waiting for approval. `atnet history` shows what happened last.")
    if len(pending) > 1:
        numbers = ", ".join(str(candidate.number) for candidate in pending)
        raise ReleaseError(f"Several versions are waiting for approval: {numbers}. Specify one.")
    return pending[0]


def _promoted(number: int | None, champion: int | None) -> str:
    replaced = f", replacing version {champion}" if champion else ""
    return f"version {number} is champion{replaced}."


def _with_reason(text: str, reason: str) -> str:
    return f"{text}: {reason}" if reason else text
