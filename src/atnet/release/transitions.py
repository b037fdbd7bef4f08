"""The moves a release is made of: which aliases and tags change together."""

from datetime import datetime

from atnet.registry.transactions import AliasTransaction, event
from atnet.registry.versions import CHALLENGER, CHAMPION, PREVIOUS, STATE_TAG, Registry, aliases, version
from atnet.release.records import Record, gate_tags

DEADLINE_TAG = "release.deadline"
"""Until when a version waits; ISO 8601, UTC."""
AGAINST_TAG = "release.against"
"""The champion that a waiting version was judged against."""
BY_TAG = "release.by"
ROLLED_BACK, REFUSED = "rolled back", "refused"
PEOPLE_SAID_NO = (ROLLED_BACK, REFUSED)
"""States that a release leaves alone: without being asked, it never brings back what people have taken away."""


def promotion(
    registry: Registry, number: int, why: str, who: str | None, tags: dict[str, str], gate: str
) -> AliasTransaction:
    """Make a version champion and the champion the previous one."""
    held = aliases(registry)
    before = held.get(CHAMPION)
    moved: dict[str, int | None] = {CHAMPION: number}
    if before is not None:
        moved[PREVIOUS] = before
    if held.get(CHALLENGER) == number:
        moved[CHALLENGER] = None
    told = event("promoted", number, before=before, after=number, why=why, who=who, gate=gate)
    state = {STATE_TAG: "promoted", DEADLINE_TAG: "", AGAINST_TAG: "", BY_TAG: told.who}
    return AliasTransaction(told, moved, {number: {**tags, **state}})


def rejection(
    registry: Registry, number: int, state: str, why: str, who: str | None, kept: Record | None = None
) -> AliasTransaction:
    """Take the challenger's place from a version and leave its numbers.

    Args:
        state: rejected (by the gate) or refused (by people, who are not asked again).
    """
    held = aliases(registry)
    champion = held.get(CHAMPION)
    gate = kept.sha256 if kept else version(registry, number).tags.get("gate.sha256", "")
    told = event("rejected", number, before=champion, after=champion, why=why, who=who, gate=gate)
    tags = {STATE_TAG: state, DEADLINE_TAG: "", AGAINST_TAG: "", BY_TAG: told.who}
    moved: dict[str, int | None] = {CHALLENGER: None} if held.get(CHALLENGER) == number else {}
    return AliasTransaction(told, moved, {number: {**(gate_tags(kept) if kept else {}), **tags}})


def waiting(number: int, champion: int | None, deadline: datetime, kept: Record, who: str | None) -> AliasTransaction:
    """Keep a version that passed the gate for a person to decide on."""
    told = event("waiting", number, before=champion, after=champion, why=kept.told, who=who, gate=kept.sha256)
    tags = {
        STATE_TAG: "waiting",
        DEADLINE_TAG: deadline.isoformat(timespec="seconds"),
        AGAINST_TAG: str(champion or ""),
    }
    return AliasTransaction(told, {CHALLENGER: number}, {number: {**gate_tags(kept), **tags}})


def roll_back(registry: Registry, number: int, *, previous: int | None, why: str, who: str | None) -> AliasTransaction:
    """Make an earlier version champion again and mark the one that it takes the place of."""
    before = aliases(registry).get(CHAMPION)
    told = event("rolled back", before, before=before, after=number, why=why, who=who)
    tags = {number: {STATE_TAG: "promoted"}}
    if before is not None:
        tags[before] = {STATE_TAG: ROLLED_BACK, BY_TAG: told.who}
    return AliasTransaction(told, {CHAMPION: number, PREVIOUS: previous}, tags)
