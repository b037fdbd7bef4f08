"""What follows from a window: its record, the state after it, and whether anybody is told."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from atnet.config import MonitorConfig
from atnet.monitoring.alarm import Action, advise, is_alarm
from atnet.monitoring.records import Notification, Result, State, WindowRecord

NEXT_STEPS: dict[Action, str] = {
    "none": "Nothing to do.",
    "label": "Label what stands on the review list: `atnet review`.",
    "retrain": "Enough new labeled rows are there: train again (the deployment `training`, or `make train`).",
}


@dataclass(frozen=True, slots=True)
class History:
    """What was recorded before, of one model."""

    windows: Sequence[WindowRecord]
    notifications: Sequence[Notification]


@dataclass(frozen=True, slots=True)
class WindowResult:
    """A window's own result and how to name it."""

    key: str
    name: str
    result: Result


@dataclass(frozen=True, slots=True)
class Decision:
    """The state after a window."""

    state: State
    action: Action
    drifted: int
    """Windows with drift among the newest that count."""
    notify: bool


def decide(window: WindowResult, history: History, new_labeled_rows: int, config: MonitorConfig) -> Decision:
    """Decide whether there is an alarm, what to do, and whether to notify.

    A window that was monitored before keeps its place. Windows with too few rows say nothing and are passed over.
    """
    drifted = [result == "drift" for key, result in _results(window, history) if result != "too_few"]
    alarm = is_alarm(drifted, config.persistence)
    action = advise(alarm, new_labeled_rows, config.retrain_rows)
    state: State = "alarm" if alarm else "ok"
    return Decision(
        state=state,
        action=action,
        drifted=sum(drifted[-config.persistence.of :]),
        notify=_is_news(state, action, window, history, config.cooldown_windows),
    )


def make_notification(decision: Decision, record: WindowRecord, now: datetime) -> Notification:
    """Write the notification of a change of state."""
    what = (
        f"Drift in {decision.drifted} of the last windows, the last one {record.name}: the texts differ from what "
        f"version {record.model_version} was evaluated on."
        if decision.state == "alarm"
        else f"The alarm is over: window {record.name} brought the drifted windows below the limit."
    )
    return Notification(
        id=f"{record.model_sha256[:12]} {record.key} {decision.state} {decision.action}",
        window=record.key,
        at=now.isoformat(),
        model_version=record.model_version,
        model_sha256=record.model_sha256,
        state=decision.state,
        action=decision.action,
        message=f"{what} {NEXT_STEPS[decision.action]}",
    )


def _results(window: WindowResult, history: History) -> list[tuple[str, str]]:
    """List the results in the order of the windows, with this one in its place."""
    results = {record.key: record.result for record in history.windows}
    results[window.key] = window.result
    return list(results.items())


def _is_news(state: State, action: Action, window: WindowResult, history: History, cooldown_windows: int) -> bool:
    # A window that is monitored again may repeat its own notification, which is then not written twice.
    told = [one for one in history.notifications if one.window != window.key]
    last = told[-1] if told else None
    if state == "ok":
        return last is not None and last.state == "alarm"
    if last is not None and last.state == "alarm":
        return action == "retrain" and last.action == "label"
    alarms = [one for one in told if one.state == "alarm"]
    return not alarms or _windows_since(alarms[-1].window, window, history) > cooldown_windows


def _windows_since(key: str, window: WindowResult, history: History) -> int:
    """Count the windows after one, this one included: by their order, since a clock can be set back."""
    keys = [name for name, _ in _results(window, history)]
    return len(keys) - 1 - keys.index(key) if key in keys else len(keys)
