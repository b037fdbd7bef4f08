"""Notifications about changes of state: each is written once and sent once."""

from dataclasses import asdict, dataclass
from pathlib import Path

from atnet.monitoring.json_lines import append_line, read_lines
from atnet.monitoring.window_records import Action, State

NOTIFICATIONS_FILE, SENT_FILE = "notifications.jsonl", "sent.jsonl"


@dataclass(frozen=True, slots=True)
class Notification:
    """A change of state that is reported once."""

    id: str
    """Identical for the same change, so that it is never sent twice."""
    window: str
    time: str
    model_version: int
    model_sha256: str
    state: State
    action: Action
    message: str


def read_notifications(folder: Path) -> list[Notification]:
    """Read the notifications, oldest first."""
    return [Notification(**values) for values in read_lines(folder / NOTIFICATIONS_FILE)]


def append_notification(folder: Path, notification: Notification) -> None:
    """Append a notification unless it has been written before."""
    if all(known.id != notification.id for known in read_notifications(folder)):
        append_line(folder / NOTIFICATIONS_FILE, asdict(notification))


def unsent_notifications(folder: Path) -> list[Notification]:
    """Return the notifications that have not been marked as sent, oldest first."""
    sent = {values["id"] for values in read_lines(folder / SENT_FILE)}
    return [notification for notification in read_notifications(folder) if notification.id not in sent]


def mark_sent(folder: Path, notification: Notification) -> None:
    """Record that a notification has been sent."""
    append_line(folder / SENT_FILE, {"id": notification.id})
