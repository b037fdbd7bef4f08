"""Decide what follows from a window: the state after it, what to do, and whether to notify."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from atnet.config import MonitorConfig
from atnet.monitoring.alarm import is_alarm, recommend_action
from atnet.monitoring.notifications import Notification
from atnet.monitoring.window_records import Action, DriftResult, State, WindowRecord

NEXT_STEPS: dict[Action, str] = {
    "none": "Nothing to do.",
    "label": "Label the rows on the review list: `atnet review`.",
    "retrain": "There are enough new labeled rows: retrain (deployment `training`, or `make train`).",
}


@dataclass(frozen=True, slots=True)
class ModelHistory:
    """What was recorded before about one model."""

    windows: Sequence[WindowRecord]
    notifications: Sequence[Notification]


@dataclass(frozen=True, slots=True)
class WindowResult:
    """A window's own result."""

    key: str
    name: str
    result: DriftResult


@dataclass(frozen=True, slots=True)
class AlarmDecision:
    """The state after a window."""

    state: State
    action: Action
    drifted: int
    """Drifted windows among the newest that count."""
    notify: bool


def decide(window: WindowResult, history: ModelHistory, new_labeled_rows: int, config: MonitorConfig) -> AlarmDecision:
    """Decide whether there is an alarm, what to do, and whether to notify.

    A window that was monitored before keeps its position. Windows with too few rows are skipped.
    """
    drifted = [result == "drift" for key, result in _results(window, history) if result != "too_few"]
    alarm = is_alarm(drifted, config.persistence)
    action = recommend_action(alarm, new_labeled_rows, config.min_new_rows)
    state: State = "alarm" if alarm else "ok"
    return AlarmDecision(
        state=state,
        action=action,
        drifted=sum(drifted[-config.persistence.of :]),
        notify=_is_change(state, action, window, history, config.cooldown_windows),
    )


def make_notification(decision: AlarmDecision, record: WindowRecord, now: datetime) -> Notification:
    """Write the notification about a change of state."""
    change = (
        f"Drift in {decision.drifted} of the last windows, most recently {record.name}: the texts differ from the ones "
        f"that version {record.model_version} was evaluated on."
        if decision.state == "alarm"
        else f"The alarm is over: with window {record.name}, too few of the last windows have drifted."
    )
    return Notification(
        id=f"{record.model_sha256[:12]} {record.key} {decision.state} {decision.action}",
        window=record.key,
        time=now.isoformat(),
        model_version=record.model_version,
        model_sha256=record.model_sha256,
        state=decision.state,
        action=decision.action,
        message=f"{change} {NEXT_STEPS[decision.action]}",
    )


def _results(window: WindowResult, history: ModelHistory) -> list[tuple[str, str]]:
    """List the results in the order of the windows, with this one at its position."""
    results = {record.key: record.result for record in history.windows}
    results[window.key] = window.result
    return list(results.items())


def _is_change(state: State, action: Action, window: WindowResult, history: ModelHistory, cooldown: int) -> bool:
    # A window that is monitored again may repeat its own notification, which is then not written twice.
    earlier = [notification for notification in history.notifications if notification.window != window.key]
    last = earlier[-1] if earlier else None
    if state == "ok":
        return last is not None and last.state == "alarm"
    if last is not None and last.state == "alarm":
        return action == "retrain" and last.action == "label"
    alarms = [notification for notification in earlier if notification.state == "alarm"]
    return not alarms or _windows_since(alarms[-1].window, window, history) > cooldown


def _windows_since(key: str, window: WindowResult, history: ModelHistory) -> int:
    """Count the windows after a given one, the new one included; by order, because a clock can be set back."""
    keys = [name for name, _ in _results(window, history)]
    return len(keys) - 1 - keys.index(key) if key in keys else len(keys)
