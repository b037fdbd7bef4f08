"""What sources observe and what is sent: alerts, persistent conditions, and counters that should not grow."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from atnet.redaction import redact

Level = Literal["info", "success", "warning", "failure"]
"""The types of a notification in Apprise."""
MAX_CHARACTERS = 1500
"""Length of a text; chat services cut or reject longer ones."""


@dataclass(frozen=True, slots=True)
class Alert:
    """One message to people."""

    id: str
    """Identical for the same event, so that it is never sent twice."""
    level: Level
    title: str
    text: str

    def redacted(self) -> "Alert":
        """Return it without secrets, and not longer than chat services take."""
        return Alert(self.id, self.level, redact(self.title), redact(self.text)[:MAX_CHARACTERS])

    def to_json(self) -> dict[str, str]:
        """Return it as a JSON object."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Alert":
        """Build it from a JSON object."""
        return cls(**values)


@dataclass(frozen=True, slots=True)
class Condition:
    """A persistent state; its start and its end are notified once each."""

    key: str
    active: bool
    title: str
    text: str
    """What is wrong and what to do."""
    ended: str
    """Title of the notification of its end."""
    grace_seconds: float = 0.0
    """How long it must persist before it is notified."""


@dataclass(frozen=True, slots=True)
class GrowingCounter:
    """A counter of losses; the condition lasts while it grows."""

    value: float
    condition: Condition


@dataclass(frozen=True, slots=True)
class Observations:
    """What a source reports in one poll: all recent events, all conditions it knows."""

    events: tuple[Alert, ...] = ()
    conditions: tuple[Condition, ...] = ()
    counters: tuple[GrowingCounter, ...] = ()
