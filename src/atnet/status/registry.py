"""Status of the registry: aliases, the last release and open approvals."""

from collections.abc import Iterator
from datetime import datetime

from atnet.registry.ledger import LedgerEvent, entries
from atnet.registry.ledger_store import read_ledger
from atnet.registry.versions import (
    CHALLENGER,
    CHAMPION,
    PREVIOUS,
    Registry,
    Version,
    aliases,
    is_registered,
    versions,
)
from atnet.release.transitions import DEADLINE_TAG, PENDING_APPROVAL
from atnet.status.item import StatusItem, age


def registry_status(registry: Registry, now: datetime) -> Iterator[StatusItem]:
    """Yield the aliases, versions that are waiting for approval, and the last line of the ledger."""
    if not is_registered(registry):
        yield StatusItem("champion", "note", "no version is registered yet. Run `atnet release`.")
        return
    by_number = {version.number: version for version in versions(registry)}
    current = aliases(registry)
    yield from _aliases(current, by_number, now)
    for version in by_number.values():
        if version.state == PENDING_APPROVAL:
            yield _waiting(version)
    events = entries(read_ledger(registry))
    if events:
        yield StatusItem("last release", "ok", _event(events[-1].event, now))


def _aliases(current: dict[str, int], by_number: dict[int, Version], now: datetime) -> Iterator[StatusItem]:
    if CHAMPION not in current:
        yield StatusItem(CHAMPION, "note", "no version is live yet. Run `atnet release`.")
    for alias in (CHAMPION, CHALLENGER, PREVIOUS):
        number = current.get(alias)
        if number is None:
            continue
        version = by_number.get(number)
        if version is None:
            message = f"version {number} has been deleted. Run `atnet rollback` or `atnet release`."
            yield StatusItem(alias, "fault", message)
        else:
            model = f"model {version.sha256[:8]}, registered {age(version.created, now)}"
            yield StatusItem(alias, "ok", f"version {number} ({version.state}), {model}")


def _waiting(version: Version) -> StatusItem:
    deadline = version.tags.get(DEADLINE_TAG, "")[:16].replace("T", " ")
    until = f" until {deadline} UTC" if deadline else ""
    message = f"version {version.number} waits{until}: `atnet approve {version.number}` or `atnet reject`."
    return StatusItem("approval", "note", message)


def _event(event: LedgerEvent, now: datetime) -> str:
    when = age(datetime.fromisoformat(event.time), now)
    reason = f": {' '.join(event.reason.split())}" if event.reason else ""
    number = f" version {event.version}" if event.version is not None else ""
    return f"{event.action}{number} by {event.user}, {when}{reason}"
