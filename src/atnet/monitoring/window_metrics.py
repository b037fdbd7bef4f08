"""The metrics of monitored windows that go to MLflow."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from atnet.config import Params
from atnet.monitoring.window_records import WindowRecord
from atnet.tracking.monitoring_run import MonitoredModel, WindowMetrics, log_windows


def track_windows(
    params: Params, root: Path, windows: Sequence[WindowRecord], record: WindowRecord, report: Path
) -> str:
    """Log the windows that the model's run lacks, and the report of this one; return where the run is shown.

    Raises:
        StoreError: if the store does not answer. Records and report are on the disk by then, and the next call logs
            what is missing.
    """
    config = params.tracking.model_copy(update={"experiment": params.monitor.experiment})
    keys = [window.key for window in windows]
    return log_windows(
        config,
        root,
        MonitoredModel(params.tracking.model_name, record.model_version, record.model_sha256),
        [window_metrics(step, window) for step, window in enumerate(windows, start=1)],
        changed=[keys.index(record.key) + 1],
        artifacts={f"windows/{report.parent.name}": report},
    )


def window_metrics(step: int, record: WindowRecord) -> WindowMetrics:
    """Return a window's metrics under names that MLflow's page groups."""
    metrics: dict[str, float] = {
        "rows/window": record.rows,
        "rows/compared": record.compared,
        "state/alarm": record.state == "alarm",
        "state/drift": record.drifted,
        **{f"effect/{name}": value for name, value in record.effects.items()},
        **{f"p_value/{name}": value for name, value in record.p_values.items()},
    }
    if record.p_value is not None and record.level is not None:
        metrics |= {"drift/p_value": record.p_value, "drift/level": record.level}
    for name in ("estimated", "measured", "reference"):
        if record.estimates.get(name):
            metrics[f"accuracy/{name}"] = record.estimates[name]["value"]
    time_ms = int(datetime.fromisoformat(record.recorded_at).timestamp() * 1000)
    return WindowMetrics(step, time_ms, {name: float(value) for name, value in metrics.items()})
