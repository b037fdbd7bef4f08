"""One line of the status."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

Level = Literal["ok", "note", "fault"]


@dataclass(frozen=True, slots=True)
class StatusItem:
    """What is known about one part of the project, with the next step if there is one."""

    subject: str
    level: Level
    message: str


def age(then: datetime, now: datetime) -> str:
    """Describe how long ago something happened, in the largest whole unit."""
    elapsed = now - then
    for unit, length in (("day", timedelta(days=1)), ("hour", timedelta(hours=1)), ("minute", timedelta(minutes=1))):
        count = int(elapsed / length)
        if count:
            return f"{count} {unit}{'' if count == 1 else 's'} ago"
    return "just now"
