"""Transactions on the registry: changes that belong together, finished by the next command if a kill interrupts them.

A transaction is written to the registered model first, then applied step by step, then deleted. Every step may be
repeated. The champion alias moves in a single write, so at any moment there is either the old champion or the new one.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace

from atnet.registry.ledger import LedgerEvent
from atnet.registry.ledger_store import append
from atnet.registry.versions import (
    CHAMPION,
    Registry,
    aliases,
    delete,
    model_tags,
    set_alias,
    set_model_tag,
    set_tags,
    versions,
)

PENDING_TAG = "release.pending"
ABANDONED = " (abandoned)"
"""Added to the action of a transaction that was not finished."""


@dataclass(frozen=True, slots=True)
class AliasTransaction:
    """The changes of one command."""

    event: LedgerEvent
    aliases: Mapping[str, int | None] = field(default_factory=dict)
    """Alias -> version, in this order; None removes the alias."""
    tags: Mapping[int, Mapping[str, str]] = field(default_factory=dict)
    """Version -> tags; an empty value removes the tag."""
    deleted: tuple[int, ...] = ()
    """Versions to delete, unless an alias points at them."""


def commit(registry: Registry, transaction: AliasTransaction) -> None:
    """Record the transaction, apply it and delete the record. The registry must be locked."""
    set_model_tag(registry, PENDING_TAG, _to_json(transaction))
    _apply(registry, transaction)


def recover_pending(registry: Registry) -> LedgerEvent | None:
    """Finish the transaction of a command that was killed. The registry must be locked.

    Returns:
        The event of the finished transaction; None if there was none.
    """
    text = model_tags(registry).get(PENDING_TAG)
    if text is None:
        return None
    transaction = _from_json(text)
    event, champion = transaction.event, aliases(registry).get(CHAMPION)
    if champion not in (event.champion_before, event.champion_after):
        # Somebody has moved the champion in MLflow since: the newer change wins.
        reason = f"abandoned, because the champion was moved outside of atnet to {champion}: {event.reason}"
        event = replace(
            event,
            action=f"{event.action}{ABANDONED}",
            champion_before=champion,
            champion_after=champion,
            reason=reason,
        )
        transaction = AliasTransaction(event)
    _apply(registry, transaction)
    return transaction.event


def is_abandoned(event: LedgerEvent) -> bool:
    """Return whether an event records that a transaction was not finished."""
    return event.action.endswith(ABANDONED)


def _apply(registry: Registry, transaction: AliasTransaction) -> None:
    existing = {version.number for version in versions(registry)}
    for alias, number in transaction.aliases.items():
        if number is None or number in existing:
            set_alias(registry, alias, number)
    append(registry, transaction.event)
    for number, tags in transaction.tags.items():
        if number in existing:
            set_tags(registry, number, tags)
    under_alias = set(aliases(registry).values())
    for number in transaction.deleted:
        if number in existing - under_alias:
            delete(registry, number)
    set_model_tag(registry, PENDING_TAG, None)


def _to_json(transaction: AliasTransaction) -> str:
    return json.dumps(
        {
            "event": asdict(transaction.event),
            "aliases": list(transaction.aliases.items()),
            "tags": [[number, dict(tags)] for number, tags in transaction.tags.items()],
            "deleted": transaction.deleted,
        }
    )


def _from_json(text: str) -> AliasTransaction:
    values = json.loads(text)
    return AliasTransaction(
        event=LedgerEvent(**values["event"]),
        aliases=dict(values["aliases"]),
        tags={int(number): tags for number, tags in values["tags"]},
        deleted=tuple(values["deleted"]),
    )
