"""`atnet monitor`: collect inputs, measure, decide, save, each step on the values of the one before."""

import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import date, datetime, timedelta
from pathlib import Path

from atnet.config import Params
from atnet.monitoring.champion import Champion, load_champion
from atnet.monitoring.comparison import Comparison, compare_window, reference_features
from atnet.monitoring.decision import Decision, WindowResult, decide, make_notification
from atnet.monitoring.impact import window_impact
from atnet.monitoring.inputs import Measured, MonitorInputs, collect_inputs, read_history
from atnet.monitoring.labeled_rows import count_new_labeled_rows
from atnet.monitoring.records import (
    Notification,
    Result,
    WindowRecord,
    append_notification,
    append_window,
    monitoring_lock,
    of_model,
    read_windows,
)
from atnet.monitoring.report import render_report
from atnet.monitoring.schedule import Days, due_windows
from atnet.monitoring.tracking import track_windows
from atnet.monitoring.window_checks import CheckedWindow, check_window
from atnet.storage import write_folder, write_text

WINDOWS_FOLDER, REPORT, RESULT = "windows", "report.html", "result.json"
KEPT_REPORTS = 60
"""Newest windows whose reports stay on the disk; they hold texts."""


@dataclass(frozen=True, slots=True)
class Request:
    """Which texts to monitor: a file, days of the prediction log, or what is due of it."""

    path: Path | None = None
    first: date | None = None
    last: date | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """How monitoring a window ended."""

    record: WindowRecord
    decision: Decision
    notification: Notification | None
    inputs: MonitorInputs
    measured: Measured
    report: Path
    link: str
    """Where the MLflow run is shown."""


def monitor(params: Params, root: Path, request: Request, *, now: datetime) -> Iterator[Outcome]:
    """Monitor the windows that are asked for, oldest first. Safe to repeat, and to run again after a kill.

    Raises:
        MonitoringError: if another process is monitoring here.
        AtnetError: if the champion, its data or a window cannot be read.
    """
    with monitoring_lock(root / params.monitor.folder):
        champion = load_champion(params, root)
        reference = reference_features(champion, params.monitor)
        for source in _sources(params, root, champion, request, now.date()):
            inputs = collect_inputs(params, root, champion, reference, source, now)
            measured = measure(params, root, inputs)
            new_rows = count_new_labeled_rows(params, root, champion.known_hashes)
            yield save_result(params, root, inputs, measured, new_rows, now)


def measure(params: Params, root: Path, inputs: MonitorInputs) -> Measured:
    """Compare the window with the reference and see whether it hurts."""
    champion, reference, config = inputs.champion, inputs.reference, params.monitor
    return Measured(
        comparison=compare_window(inputs.prepared, champion, reference, config, root / config.folder),
        impact=window_impact(
            inputs.prepared, champion.reference.table, reference.features, champion.predictor.labels, config
        ),
    )


def save_result(
    params: Params, root: Path, inputs: MonitorInputs, measured: Measured, new_labeled_rows: int, now: datetime
) -> Outcome:
    """Decide, then write record, notification, report and metrics, in this order: a kill loses none for good."""
    folder, config = root / params.monitor.folder, params.monitor
    result = WindowResult(inputs.window.key, inputs.window.name, window_result(measured.comparison))
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
    return Outcome(record, decision, notification, inputs, measured, report, link)


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


def _sources(params: Params, root: Path, champion: Champion, request: Request, today: date) -> list[Path | Days]:
    if request.path is not None:
        return [request.path]
    if request.first is None and request.last is None:
        history = read_history(root / params.monitor.folder, champion)
        return list(due_windows(history.windows, today, params.monitor.window_days))
    last = request.last or request.first
    assert last is not None
    first = request.first or last - timedelta(days=params.monitor.window_days - 1)
    return [Days(first, last)]


def _write_report(folder: Path, record: WindowRecord, page: str, checked: CheckedWindow) -> Path:
    """Write the window's folder, and the newest report beside all of them; old reports are deleted."""
    target = folder / WINDOWS_FOLDER / re.sub(r"[^\w-]+", "-", record.key)
    result = json.dumps(asdict(record), indent=2, sort_keys=True, ensure_ascii=False)
    files = {REPORT: page.encode("utf-8"), RESULT: f"{result}\n".encode()}
    files |= {f"docs/{name}": content for name, content in checked.pages.items()}
    write_folder(target, files)
    write_text(folder / REPORT, page.replace('href="docs/', f'href="{WINDOWS_FOLDER}/{target.name}/docs/'))
    reports = sorted(target.parent.iterdir(), key=lambda path: path.stat().st_mtime)
    for old in reports[:-KEPT_REPORTS]:
        shutil.rmtree(old, ignore_errors=True)
    return target / REPORT
