"""Turn observations into notifications: one per event, and one at the start and one at the end of a condition."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta

from atnet.notifications.alert import Alert, Condition, GrowingCounter, Observations
from atnet.notifications.watch_state import ActiveCondition, CounterState, WatchState

CLEAR_TIME = timedelta(seconds=60)
"""How long a condition must be over before its end is notified: one that comes and goes is notified once."""
GROWTH_TIME = timedelta(minutes=10)
"""How long after its last growth a counter counts as growing."""


def update_state(state: WatchState, source: str, observed: Observations, now: datetime) -> list[Alert]:
    """Bring the state up to date with what a source has reported, and return what to notify.

    Args:
        state: changed in place.
        source: name of the source.
        observed: all of its recent events, and all conditions that it knows.
        now: the time.
    """
    alerts = list(_new_events(state, source, observed))
    conditions = [*observed.conditions, *(_condition(state, counter, now) for counter in observed.counters)]
    known = state.conditions.setdefault(source, {})
    for condition in conditions:
        alerts += _change(known, condition, now)
    reported = {condition.key for condition in conditions}
    for key in [key for key in known if key not in reported]:
        gone = Condition(key, False, known[key].title, "", known[key].ended)
        alerts += _change(known, gone, now)
    return [alert.redacted() for alert in alerts]


def _new_events(state: WatchState, source: str, observed: Observations) -> Iterator[Alert]:
    """Yield the events that were not in the last poll; events before the first poll are not notified."""
    seen = state.seen.get(source)
    if seen is not None:
        yield from (event for event in observed.events if event.id not in seen)
    state.seen[source] = [event.id for event in observed.events]


def _condition(state: WatchState, counter: GrowingCounter, now: datetime) -> Condition:
    last = state.counters.get(counter.condition.key, CounterState())
    # A smaller value is that of a service that was started again.
    grew = counter.value > (last.value if counter.value >= last.value else 0)
    current = CounterState(counter.value, now if grew else last.grew)
    state.counters[counter.condition.key] = current
    return replace(counter.condition, active=current.grew is not None and now - current.grew < GROWTH_TIME)


def _change(known: dict[str, ActiveCondition], condition: Condition, now: datetime) -> Iterator[Alert]:
    """Yield the notification of a condition's start or end, if it is time for one."""
    active = known.get(condition.key)
    if condition.active:
        if active is None:
            active = known[condition.key] = ActiveCondition(now, condition.title, condition.ended)
        active.clear_since = None
        if not active.notified and now - active.since >= timedelta(seconds=condition.grace_seconds):
            active.notified = True
            yield Alert(_id(condition, active, "started"), "failure", condition.title, condition.text)
        return
    if active is None:
        return
    if not active.notified:
        del known[condition.key]
        return
    active.clear_since = active.clear_since or now
    if now - active.clear_since >= CLEAR_TIME:
        del known[condition.key]
        lasted = f"Noticed {active.since:%Y-%m-%d %H:%M} UTC, over {active.clear_since:%Y-%m-%d %H:%M} UTC."
        yield Alert(_id(condition, active, "ended"), "success", active.ended, lasted)


def _id(condition: Condition, active: ActiveCondition, what: str) -> str:
    return f"{condition.key} {what} {active.since.isoformat()}"
