"""Status of data, training, monitoring and backups, from the project's own records."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from atnet.config import Params
from atnet.errors import DataFileError
from atnet.files import LAST_BACKUP, METRICS, VALIDATION_REPORT
from atnet.formatting import percent
from atnet.monitoring.window_records import read_windows
from atnet.status.item import StatusItem, age
from atnet.storage import read_json


def project_status(params: Params, root: Path, now: datetime) -> Iterator[StatusItem]:
    """Yield the status of the last pipeline run, the last monitored window and the last backup."""
    yield _data(root, now)
    yield _model(root, now)
    yield _monitoring(root / params.monitor.output_folder, now)
    yield _backup(root, now)


def _data(root: Path, now: datetime) -> StatusItem:
    path = root / VALIDATION_REPORT
    try:
        report = read_json(path)
    except DataFileError:
        return StatusItem("data", "note", "not validated yet. Run `make pipeline`.")
    rows = report.get("rows", {})
    counts = f"{rows['valid']:,} of {rows['read']:,} rows valid" if {"valid", "read"} <= rows.keys() else "validated"
    return StatusItem("data", "ok", f"{counts}, {age(_modified(path), now)}")


def _model(root: Path, now: datetime) -> StatusItem:
    path = root / METRICS
    try:
        metrics = read_json(path)
    except DataFileError:
        return StatusItem("training", "note", "no model has been evaluated yet. Run `make pipeline`.")
    scores = f"accuracy {percent(metrics['accuracy']['value'])}, macro-F1 {percent(metrics['macro_f1']['value'])}"
    return StatusItem("training", "ok", f"{scores} on the test split, {age(_modified(path), now)}")


def _monitoring(folder: Path, now: datetime) -> StatusItem:
    windows = read_windows(folder) if folder.is_dir() else []
    if not windows:
        return StatusItem("monitoring", "note", "no window has been compared yet. Run `atnet monitor`.")
    last = windows[-1]
    when = age(datetime.fromisoformat(last.recorded_at), now)
    message = f"{last.name}: {last.result.replace('_', ' ')}, {last.rows:,} rows, version {last.model_version}, {when}"
    if last.state == "alarm":
        step = "`make train`" if last.action == "retrain" else "`atnet review`"
        return StatusItem("monitoring", "fault", f"alarm: {message}. Next: {step}.")
    return StatusItem("monitoring", "ok", message)


def _backup(root: Path, now: datetime) -> StatusItem:
    path = root / LAST_BACKUP
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        return StatusItem("backup", "ok", f"{values['path']}, {age(datetime.fromisoformat(values['created']), now)}")
    except (OSError, ValueError, KeyError):
        return StatusItem("backup", "note", "no backup has been written yet. Run `atnet backup`.")


def _modified(path: Path) -> datetime:
    return datetime.fromtimestamp(path.stat().st_mtime, UTC)
