"""Moves: what changes in the registry together, so that a kill in the middle is finished by the next command.

A move is written down on the registered model first, then carried out step by step, then crossed out. Each step may be
repeated. The champion moves in one step of the store, so there is the old one or the new one at any moment.
"""

import json
import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime

from atnet.registry.ledger import WHY_CHARACTERS, Event
from atnet.registry.ledger_store import append
from atnet.registry.lock import this_user
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


@dataclass(frozen=True, slots=True)
class AliasTransaction:
    """What happens to the registry in one act."""

    event: Event
    aliases: Mapping[str, int | None] = field(default_factory=dict)
    """Alias -> version, in this order; None takes the alias away."""
    tags: Mapping[int, Mapping[str, str]] = field(default_factory=dict)
    """Version -> tags; an empty value takes the tag away."""
    removed: tuple[int, ...] = ()
    """Versions that are taken out of the registry, unless an alias points at them."""


def event(
    act: str, version: int | None, *, before: int | None, after: int | None, why: str, who: str | None, gate: str = ""
) -> Event:
    """Say what is about to happen, here and now."""
    return Event(
        id=uuid.uuid4().hex,
        time=datetime.now(UTC).isoformat(timespec="milliseconds"),
        who=who or this_user(),
        act=act,
        version=version,
        champion_before=before,
        champion_after=after,
        why=why[:WHY_CHARACTERS],
        gate=gate,
    )


def commit(registry: Registry, move: AliasTransaction) -> None:
    """Write the move down, carry it out and cross it out; call it with the registry locked."""
    set_model_tag(registry, PENDING_TAG, _written(move))
    _apply(registry, move)


def recover_pending(registry: Registry) -> Event | None:
    """Finish the move that a killed command left; call it with the registry locked.

    Returns:
        What was finished; None when nothing was left.
    """
    text = model_tags(registry).get(PENDING_TAG)
    if text is None:
        return None
    move = _read(text)
    champion = aliases(registry).get(CHAMPION)
    if champion not in (move.event.champion_before, move.event.champion_after):
        # Moved by hand since, in MLflow's pages: that is the newer word.
        why = f"given up, as the champion was moved by hand to {champion}: {move.event.why}"
        told = replace(move.event, act=f"{move.event.act} (given up)", champion_after=champion, why=why)
        move = AliasTransaction(replace(told, champion_before=champion))
    _apply(registry, move)
    return move.event


def _apply(registry: Registry, move: AliasTransaction) -> None:
    present = {version.number for version in versions(registry)}
    for alias, number in move.aliases.items():
        if number is None or number in present:
            set_alias(registry, alias, number)
    append(registry, move.event)
    for number, tags in move.tags.items():
        if number in present:
            set_tags(registry, number, tags)
    held = set(aliases(registry).values())
    for number in move.removed:
        if number in present - held:
            delete(registry, number)
    set_model_tag(registry, PENDING_TAG, None)


def _written(move: AliasTransaction) -> str:
    return json.dumps(
        {
            "event": asdict(move.event),
            "aliases": list(move.aliases.items()),
            "tags": [[number, dict(tags)] for number, tags in move.tags.items()],
            "removed": move.removed,
        }
    )


def _read(text: str) -> AliasTransaction:
    values = json.loads(text)
    return AliasTransaction(
        event=Event(**values["event"]),
        aliases=dict(values["aliases"]),
        tags={int(number): tags for number, tags in values["tags"]},
        removed=tuple(values["removed"]),
    )
