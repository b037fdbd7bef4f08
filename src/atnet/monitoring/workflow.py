"""`atnet monitor`: collect inputs, compare, decide, save."""

import logging
from dataclasses import asdict, dataclass
from datetime import date, datetime, timedelta
from pathlib import Path

from atnet.config import MonitorConfig, Params
from atnet.monitoring.champion import Champion, load_champion
from atnet.monitoring.comparison import Comparison, ReferenceFeatures, compare_window, reference_features
from atnet.monitoring.decision import Decision, History, WindowResult, decide, make_notification
from atnet.monitoring.impact import WindowImpact, window_impact
from atnet.monitoring.labeled_rows import count_new_labeled_rows
from atnet.monitoring.preparation import PreparedWindow, prepare_window
from atnet.monitoring.records import (
    Notification,
    Result,
    WindowRecord,
    append_notification,
    append_window,
    monitoring_lock,
    of_model,
    read_notifications,
    read_windows,
)
from atnet.monitoring.windows import Window, file_window, log_window

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Request:
    """Which texts to monitor: a file, or days of the prediction log."""

    path: Path | None = None
    first: date | None = None
    last: date | None = None


@dataclass(frozen=True, slots=True)
class MonitorInputs:
    """What a window is compared with, and the window."""

    champion: Champion
    reference: ReferenceFeatures
    window: Window
    prepared: PreparedWindow
    history: History


@dataclass(frozen=True, slots=True)
class Measured:
    """What was found."""

    comparison: Comparison | None
    """None where there are too few distinct texts."""
    impact: WindowImpact | None
    """None for a window without rows."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How monitoring a window ended."""

    record: WindowRecord
    decision: Decision
    notification: Notification | None
    inputs: MonitorInputs
    measured: Measured


def monitor(params: Params, root: Path, request: Request, *, now: datetime) -> Outcome:
    """Monitor one window. Safe to repeat, and to run again after a kill.

    Raises:
        MonitoringError: if another process is monitoring here.
        AtnetError: if the champion, its data or the window cannot be read.
    """
    folder, config = root / params.monitor.folder, params.monitor
    with monitoring_lock(folder):
        inputs = collect_inputs(params, root, request, now)
        measured = measure(inputs, config, folder)
        new_rows = count_new_labeled_rows(params, root, inputs.champion.known_hashes)
        return save_result(inputs, measured, new_rows, params, root, now)


def collect_inputs(params: Params, root: Path, request: Request, now: datetime) -> MonitorInputs:
    """Load the champion and read the window and the records."""
    config, folder = params.monitor, root / params.monitor.folder
    champion = load_champion(params, root)
    window = read_window(params, root, request, now)
    return MonitorInputs(
        champion=champion,
        reference=reference_features(champion, config),
        window=window,
        prepared=prepare_window(window, champion, config),
        history=History(
            of_model(read_windows(folder), champion.sha256),
            [one for one in read_notifications(folder) if one.model_sha256 == champion.sha256],
        ),
    )


def read_window(params: Params, root: Path, request: Request, now: datetime) -> Window:
    """Read the window that is asked for; without a file or days, the newest whole days of the prediction log."""
    if request.path is not None:
        return file_window(request.path, params.data, params.validate_)
    last = request.last or (request.first if request.first else now.date() - timedelta(days=1))
    first = request.first or last - timedelta(days=params.monitor.window_days - 1)
    return log_window(root / params.monitor.predictions, first, last)


def measure(inputs: MonitorInputs, config: MonitorConfig, folder: Path) -> Measured:
    """Compare the window with the reference and see whether it hurts."""
    champion, reference = inputs.champion, inputs.reference
    return Measured(
        comparison=compare_window(inputs.prepared, champion, reference, config, folder),
        impact=window_impact(
            inputs.prepared, champion.reference.table, reference.features, champion.predictor.labels, config
        ),
    )


def save_result(
    inputs: MonitorInputs, measured: Measured, new_labeled_rows: int, params: Params, root: Path, now: datetime
) -> Outcome:
    """Decide, then write the record, the notification and the report."""
    folder, config = root / params.monitor.folder, params.monitor
    result = WindowResult(inputs.window.key, inputs.window.name, window_result(measured.comparison))
    decision = decide(result, inputs.history, new_labeled_rows, config)
    record = make_record(inputs, measured, decision, result, new_labeled_rows, now)
    append_window(folder, record)
    notification = make_notification(decision, record, now) if decision.notify else None
    if notification is not None:
        append_notification(folder, notification)
    return Outcome(record, decision, notification, inputs, measured)


def window_result(comparison: Comparison | None) -> Result:
    """Name the result of a comparison."""
    if comparison is None:
        return "too_few"
    return "drift" if comparison.drifted else "no_drift"


def make_record(
    inputs: MonitorInputs,
    measured: Measured,
    decision: Decision,
    result: WindowResult,
    new_labeled_rows: int,
    now: datetime,
) -> WindowRecord:
    """Put together what is remembered of a window."""
    comparison = measured.comparison
    found = comparison.findings if comparison else []
    return WindowRecord(
        key=result.key,
        name=result.name,
        source=inputs.window.source,
        recorded_at=now.isoformat(),
        model_version=inputs.champion.version,
        model_sha256=inputs.champion.sha256,
        result=result.result,
        state=decision.state,
        action=decision.action,
        rows=inputs.prepared.counts.rows,
        compared=comparison.rows if comparison else 0,
        level=comparison.level if comparison else None,
        p_value=comparison.p_value if comparison else None,
        effects={one.statistic: one.effect for one in found},
        limits={one.statistic: one.limit for one in found},
        adjusted_p_values={one.statistic: one.adjusted for one in found},
        estimates={} if measured.impact is None else asdict(measured.impact.whole),
        rows_by_day=inputs.window.rows_by_day,
        new_labeled_rows=new_labeled_rows,
    )
