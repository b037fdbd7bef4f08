"""What has been notified and what is still to be sent, in one file that is replaced atomically."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from atnet.files import STATE
from atnet.notifications.alert import Alert
from atnet.storage import write_json

WATCH_STATE = STATE / "watch.json"


@dataclass(slots=True)
class ActiveCondition:
    """A condition that is active."""

    since: datetime
    title: str
    ended: str
    notified: bool = False
    clear_since: datetime | None = None
    """When it was first seen to have ended."""


@dataclass(slots=True)
class CounterState:
    """The last value of a counter, and when it last grew."""

    value: float = 0.0
    grew: datetime | None = None


@dataclass(slots=True)
class Outgoing:
    """An alert that has to be sent."""

    alert: Alert
    waiting: list[str]
    """Keys of the addresses that have not received it."""
    sending: str | None = None
    """Key of the address that it was being sent to: after a kill it is unknown whether it has arrived."""


@dataclass(slots=True)
class WatchState:
    """The state of `atnet watch` between two polls, and between two starts."""

    seen: dict[str, list[str]] = field(default_factory=dict)
    """Source -> ids of the events that it reported in the last poll. A source that is missing was never asked."""
    conditions: dict[str, dict[str, ActiveCondition]] = field(default_factory=dict)
    """Source -> key -> condition."""
    counters: dict[str, CounterState] = field(default_factory=dict)
    outbox: list[Outgoing] = field(default_factory=list)
    unavailable: set[str] = field(default_factory=set)
    """Sources that did not answer in the last poll; not written."""


def read_watch_state(root: Path) -> WatchState:
    """Read the state; without a file, or with a damaged one, nothing has been seen."""
    try:
        values = json.loads((root / WATCH_STATE).read_text(encoding="utf-8"))
        return _from_json(values)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return WatchState()


def write_watch_state(root: Path, state: WatchState) -> None:
    """Replace the file by the new state."""
    write_json(root / WATCH_STATE, _to_json(state))


def _to_json(state: WatchState) -> dict[str, Any]:
    return {
        "seen": state.seen,
        "conditions": {
            source: {key: _times_to_text(asdict(condition)) for key, condition in conditions.items()}
            for source, conditions in state.conditions.items()
        },
        "counters": {key: _times_to_text(asdict(counter)) for key, counter in state.counters.items()},
        "outbox": [
            {"alert": entry.alert.to_json(), "waiting": entry.waiting, "sending": entry.sending}
            for entry in state.outbox
        ],
    }


def _from_json(values: Mapping[str, Any]) -> WatchState:
    return WatchState(
        seen={source: list(ids) for source, ids in values["seen"].items()},
        conditions={
            source: {key: ActiveCondition(**_text_to_times(each)) for key, each in conditions.items()}
            for source, conditions in values["conditions"].items()
        },
        counters={key: CounterState(**_text_to_times(each)) for key, each in values["counters"].items()},
        outbox=[
            Outgoing(Alert.from_json(entry["alert"]), list(entry["waiting"]), entry["sending"])
            for entry in values["outbox"]
        ],
    )


TIMES = ("since", "clear_since", "grew")


def _times_to_text(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value.isoformat() if isinstance(value, datetime) else value for name, value in values.items()}


def _text_to_times(values: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: datetime.fromisoformat(value) if name in TIMES and value is not None else value
        for name, value in values.items()
    }
