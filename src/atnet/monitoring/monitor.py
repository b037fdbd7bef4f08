"""`atnet monitor`: collect inputs, measure, decide, save; each step uses the result of the one before."""

import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import date, datetime, timedelta
from pathlib import Path

from atnet.config import Params
from atnet.file_system import require_writable_folder
from atnet.monitoring.champion import Champion, load_champion
from atnet.monitoring.decision import AlarmDecision, WindowResult, decide, make_notification
from atnet.monitoring.due_windows import LogDays, due_windows
from atnet.monitoring.impact import window_impact
from atnet.monitoring.labeled_rows import count_new_labeled_rows
from atnet.monitoring.monitor_inputs import (
    MonitorInputs,
    WindowMeasurements,
    collect_inputs,
    prediction_folder,
    read_history,
)
from atnet.monitoring.notifications import Notification, append_notification
from atnet.monitoring.window_checks import CheckedWindow, check_window
from atnet.monitoring.window_comparison import WindowComparison, compare_window, reference_features
from atnet.monitoring.window_metrics import track_windows
from atnet.monitoring.window_records import (
    DriftResult,
    WindowRecord,
    append_window,
    monitoring_lock,
    of_model,
    read_windows,
)
from atnet.monitoring.window_report import render_report
from atnet.storage import write_text

WINDOWS_FOLDER, REPORT, RESULT = "windows", "report.html", "result.json"
MAX_REPORTS = 60
"""Newest windows whose reports are kept; older ones are deleted because reports contain texts."""


@dataclass(frozen=True, slots=True)
class MonitorRequest:
    """What to monitor: a file, days of the prediction log, or the days that are due."""

    path: Path | None = None
    first: date | None = None
    last: date | None = None


@dataclass(frozen=True, slots=True)
class MonitorOutcome:
    """How monitoring a window ended."""

    record: WindowRecord
    decision: AlarmDecision
    notification: Notification | None
    inputs: MonitorInputs
    measured: WindowMeasurements
    report: Path
    link: str
    """Where the MLflow run is shown."""


def monitor(params: Params, root: Path, request: MonitorRequest, *, now: datetime) -> Iterator[MonitorOutcome]:
    """Monitor the requested windows, oldest first. Safe to repeat, and to run again after a kill.

    Raises:
        ConfigurationError: if monitor.output_folder cannot be written.
        MonitoringError: if another process is monitoring here, or there is no prediction log.
        AtnetError: if the champion, its data or a window cannot be read.
    """
    require_writable_folder(root / params.monitor.output_folder)
    with monitoring_lock(root / params.monitor.output_folder):
        champion = load_champion(params, root)
        reference = reference_features(champion, params.monitor)
        for source in _sources(params, root, champion, request, now.date()):
            inputs = collect_inputs(params, root, champion, reference, source, now)
            measured = measure(params, root, inputs)
            new_rows = count_new_labeled_rows(params, root, champion.known_hashes)
            yield save_result(params, root, inputs, measured, new_rows, now)


def measure(params: Params, root: Path, inputs: MonitorInputs) -> WindowMeasurements:
    """Compare the window with the reference, and measure or estimate the accuracy."""
    champion, reference, config = inputs.champion, inputs.reference, params.monitor
    return WindowMeasurements(
        comparison=compare_window(inputs.prepared, champion, reference, config, root / config.output_folder),
        impact=window_impact(
            inputs.prepared, champion.reference.table, reference.features, champion.predictor.labels, config
        ),
    )


def save_result(
    params: Params,
    root: Path,
    inputs: MonitorInputs,
    measured: WindowMeasurements,
    new_labeled_rows: int,
    now: datetime,
) -> MonitorOutcome:
    """Decide, then write record, notification, report and metrics, in this order; the next run makes up for a kill."""
    folder, config = root / params.monitor.output_folder, params.monitor
    result = WindowResult(inputs.window.key, inputs.window.name, drift_result(measured.comparison))
    decision = decide(result, inputs.history, new_labeled_rows, config)
    record = make_record(inputs, measured, decision, result, new_labeled_rows, now)
    append_window(folder, record)
    notification = make_notification(decision, record, now) if decision.notify else None
    if notification is not None:
        append_notification(folder, notification)
    windows = of_model(read_windows(folder), inputs.champion.sha256)
    checked = check_window(inputs.prepared, measured.comparison, params.validate_, config)
    page = render_report(record, windows, inputs, measured, checked, config)
    report = _write_report(folder, record, page, checked)
    link = track_windows(params, root, windows, record, report)
    return MonitorOutcome(record, decision, notification, inputs, measured, report, link)


def drift_result(comparison: WindowComparison | None) -> DriftResult:
    """Return the result of a comparison; without one there were too few texts."""
    if comparison is None:
        return "too_few"
    return "drift" if comparison.drifted else "no_drift"


def make_record(
    inputs: MonitorInputs,
    measured: WindowMeasurements,
    decision: AlarmDecision,
    result: WindowResult,
    new_labeled_rows: int,
    now: datetime,
) -> WindowRecord:
    """Build the record of a window."""
    comparison = measured.comparison
    results = comparison.results if comparison else []
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
        effects={result.statistic: result.effect for result in results},
        min_effects={result.statistic: result.min_effect for result in results},
        p_values={result.statistic: result.p_value for result in results},
        estimates={} if measured.impact is None else asdict(measured.impact.whole),
        rows_by_day=inputs.window.rows_by_day,
        new_labeled_rows=new_labeled_rows,
    )


def _sources(
    params: Params, root: Path, champion: Champion, request: MonitorRequest, today: date
) -> list[Path | LogDays]:
    if request.path is not None:
        return [request.path]
    prediction_folder(params, root)
    if request.first is None and request.last is None:
        history = read_history(root / params.monitor.output_folder, champion)
        return list(due_windows(history.windows, today, params.monitor.window_days))
    last = request.last or request.first
    assert last is not None
    first = request.first or last - timedelta(days=params.monitor.window_days - 1)
    return [LogDays(first, last)]


def _write_report(folder: Path, record: WindowRecord, page: str, checked: CheckedWindow) -> Path:
    """Write the window's folder and a copy of the newest report above all of them; delete old reports."""
    target = folder / WINDOWS_FOLDER / re.sub(r"[^\w-]+", "-", record.key)
    for name, content in checked.pages.items():
        write_text(target / "docs" / name, content)
    write_text(target / RESULT, json.dumps(asdict(record), indent=2, sort_keys=True, ensure_ascii=False) + "\n")
    write_text(target / REPORT, page)
    write_text(folder / REPORT, page.replace('href="docs/', f'href="{WINDOWS_FOLDER}/{target.name}/docs/'))
    reports = sorted(target.parent.iterdir(), key=lambda path: path.stat().st_mtime)
    for old in reports[:-MAX_REPORTS]:
        shutil.rmtree(old, ignore_errors=True)
    return target / REPORT
