"""Observations from the ledger: versions that were promoted, rejected, rolled back or are waiting for approval."""

from collections.abc import Iterable, Iterator

from atnet.notifications.alert import Alert, Level, Observations
from atnet.registry.ledger import LedgerEntry, entries
from atnet.registry.ledger_store import read_ledger
from atnet.registry.versions import Registry, is_registered

TITLES: dict[str, tuple[Level, str]] = {
    "promoted": ("success", "Version {version} of {model} was promoted"),
    "rejected": ("warning", "Version {version} of {model} was rejected"),
    "pending_approval": ("warning", "Version {version} of {model} is waiting for approval"),
    "rolled_back": ("warning", "{model} was rolled back to version {champion}"),
}
"""Action -> level and title. Other actions are not notified."""


def observe_releases(registry: Registry) -> Observations:
    """Observe the lines of the ledger.

    Raises:
        StoreError: if the registry does not answer.
    """
    lines = entries(read_ledger(registry)) if is_registered(registry) else []
    return Observations(events=tuple(release_alerts(lines, registry.model)))


def release_alerts(lines: Iterable[LedgerEntry], model: str) -> Iterator[Alert]:
    """Yield an alert for each line that people want to know about."""
    for line in lines:
        event = line.event
        if event.action not in TITLES:
            continue
        level, title = TITLES[event.action]
        text = f"By {event.user}: {' '.join(event.reason.split())}" if event.reason else f"By {event.user}."
        if event.action == "pending_approval":
            text += f" Decide with `atnet approve {event.version}` or `atnet reject`."
        named = title.format(version=event.version, model=model, champion=event.champion_after)
        yield Alert(f"ledger {line.number} {line.hash[:16]}", level, named, text)
