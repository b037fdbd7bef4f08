"""Send the alerts in the outbox; none is lost if the process is killed."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from atnet.notifications.alert import Alert
from atnet.notifications.watch_state import Outgoing, WatchState, write_watch_state

logger = logging.getLogger(__name__)

MAX_WAITING = 1000
"""Alerts that may wait for an address that does not answer; beyond it the oldest are dropped with a warning."""


class Sender(Protocol):
    """A channel that alerts are sent through."""

    @property
    def keys(self) -> list[str]:
        """Return the keys of all addresses."""

    def send(self, key: str, alert: Alert, *, repeated: bool) -> bool:
        """Send an alert to one address and return whether it has been accepted."""


def enqueue(state: WatchState, alerts: Sequence[Alert], keys: Sequence[str]) -> None:
    """Put alerts into the outbox."""
    state.outbox += [Outgoing(alert, list(keys)) for alert in alerts]
    if len(state.outbox) > MAX_WAITING:
        logger.warning("%d notifications could not be sent and are dropped.", len(state.outbox) - MAX_WAITING)
        del state.outbox[:-MAX_WAITING]


def deliver(root: Path, state: WatchState, sender: Sender) -> None:
    """Send every alert of the outbox to the addresses that have not received it; what fails waits for the next poll.

    The state is written before and after each attempt. After a kill in between, it is unknown whether the alert
    arrived: it is then sent again, marked as a possible repetition.
    """
    for entry in list(state.outbox):
        interrupted, entry.sending = entry.sending, None
        # An address that is no longer configured gets nothing.
        for key in [key for key in entry.waiting if key in sender.keys]:
            entry.sending = key
            write_watch_state(root, state)
            if sender.send(key, entry.alert, repeated=key == interrupted):
                entry.waiting.remove(key)
            entry.sending = None
            write_watch_state(root, state)
        if not set(entry.waiting) & set(sender.keys):
            state.outbox.remove(entry)
            write_watch_state(root, state)
