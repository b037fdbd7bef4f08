"""The state changes of a version: which aliases and tags change together.

States: registered -> promoted | rejected | pending_approval; pending_approval -> promoted | rejected_by_user;
promoted -> rolled_back. A version that users rejected or rolled back is not released again without `--again`.
"""

import logging
from datetime import datetime
from hashlib import sha256

from atnet.registry.ledger import LedgerEvent
from atnet.registry.transactions import AliasTransaction, commit, recover_pending
from atnet.registry.versions import (
    CHALLENGER,
    CHAMPION,
    PREVIOUS,
    STATE_TAG,
    Registry,
    Version,
    aliases,
    versions,
)
from atnet.release.command import Command

logger = logging.getLogger(__name__)

DEADLINE_TAG = "release.deadline"
"""Until when a version is waiting for approval; ISO 8601, UTC."""
COMPARED_WITH_TAG = "release.compared_with"
"""The champion that a version waiting for approval was compared with."""
USER_TAG = "release.user"
GATE_TAG = "gate.sha256"
PROMOTED, REJECTED, PENDING_APPROVAL = "promoted", "rejected", "pending_approval"
ROLLED_BACK, REJECTED_BY_USER = "rolled_back", "rejected_by_user"
DECIDED_BY_USER = (ROLLED_BACK, REJECTED_BY_USER)


def promote(
    registry: Registry, number: int, command: Command, *, reason: str, gate_sha256: str, tags: dict[str, str]
) -> AliasTransaction:
    """Promote a version to champion, and mark the champion as the previous one."""
    current = aliases(registry)
    before = current.get(CHAMPION)
    moved: dict[str, int | None] = {CHAMPION: number}
    if before is not None:
        moved[PREVIOUS] = before
    if current.get(CHALLENGER) == number:
        moved[CHALLENGER] = None
    event = command.event(PROMOTED, number, champion=(before, number), reason=reason, gate_sha256=gate_sha256)
    state = {STATE_TAG: PROMOTED, DEADLINE_TAG: "", COMPARED_WITH_TAG: "", USER_TAG: event.user}
    return AliasTransaction(event, moved, {number: {**tags, **state}})


def reject(
    registry: Registry, rejected: Version, command: Command, *, state: str, reason: str, tags: dict[str, str]
) -> AliasTransaction:
    """Remove the challenger alias from a version.

    Args:
        registry: of the version.
        rejected: the version.
        command: who rejects it.
        state: rejected (by the gate) or rejected_by_user.
        reason: for the ledger.
        tags: of the gate, if it was run now.
    """
    current = aliases(registry)
    champion, number = current.get(CHAMPION), rejected.number
    gate_sha256 = tags.get(GATE_TAG) or rejected.tags.get(GATE_TAG, "")
    event = command.event(REJECTED, number, champion=(champion, champion), reason=reason, gate_sha256=gate_sha256)
    changed = {STATE_TAG: state, DEADLINE_TAG: "", COMPARED_WITH_TAG: "", USER_TAG: event.user}
    moved: dict[str, int | None] = {CHALLENGER: None} if current.get(CHALLENGER) == number else {}
    return AliasTransaction(event, moved, {number: {**tags, **changed}})


def await_approval(
    number: int, champion: int | None, command: Command, *, deadline: datetime, reason: str, tags: dict[str, str]
) -> AliasTransaction:
    """Keep a version that passed the gate as challenger until somebody approves or rejects it."""
    event = command.event(
        PENDING_APPROVAL, number, champion=(champion, champion), reason=reason, gate_sha256=tags[GATE_TAG]
    )
    state = {
        STATE_TAG: PENDING_APPROVAL,
        DEADLINE_TAG: deadline.isoformat(timespec="seconds"),
        COMPARED_WITH_TAG: str(champion or ""),
    }
    return AliasTransaction(event, {CHALLENGER: number}, {number: {**tags, **state}})


def roll_back(
    registry: Registry, number: int, command: Command, *, previous: int | None, reason: str
) -> AliasTransaction:
    """Restore an earlier version as champion and mark the one it replaces as rolled back."""
    before = aliases(registry).get(CHAMPION)
    event = command.event(ROLLED_BACK, before, champion=(before, number), reason=reason)
    tags = {number: {STATE_TAG: PROMOTED}}
    if before is not None:
        tags[before] = {STATE_TAG: ROLLED_BACK, USER_TAG: event.user}
    return AliasTransaction(event, {CHAMPION: number, PREVIOUS: previous}, tags)


def recover(registry: Registry, now: datetime) -> LedgerEvent | None:
    """Finish an interrupted transaction and reject versions whose approval deadline has passed.

    The registry must be locked. Every command that changes the registry calls this first.

    Returns:
        The event of the interrupted transaction; None if there was none.
    """
    finished = recover_pending(registry)
    if finished is not None:
        logger.info("Finished an interrupted command: version %s %s.", finished.version, finished.action)
    for waiting in versions(registry):
        deadline = waiting.tags.get(DEADLINE_TAG)
        if waiting.state == PENDING_APPROVAL and deadline and datetime.fromisoformat(deadline) < now:
            _expire(registry, waiting, deadline, now)
    return finished


def _expire(registry: Registry, waiting: Version, deadline: str, now: datetime) -> None:
    reason = f"not approved before {deadline[:16].replace('T', ' ')} UTC"
    # The same id in every process that finds the deadline passed: one line in the ledger.
    event_id = sha256(f"{registry.model}:{waiting.number}:{deadline}".encode()).hexdigest()[:32]
    command = Command(event_id, "approval timeout", now)
    transaction = reject(registry, waiting, command, state=REJECTED_BY_USER, reason=reason, tags={})
    commit(registry, transaction)
    logger.info("Version %s is rejected: %s.", waiting.number, reason)
