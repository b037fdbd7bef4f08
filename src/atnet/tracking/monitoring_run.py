"""Monitoring in MLflow: one run per model version in a separate experiment, one step per window."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mlflow.entities import Metric

from atnet.config import TrackingConfig
from atnet.tracking.store import TrackingStore, open_store, store_faults
from atnet.tracking.tags import MODEL_TAG

VERSION_TAG = "model.version"
MONITORING_TAG = "monitoring.of"
"""Hash of the monitored model. Not MODEL_TAG alone: it identifies the run of a training."""
STEP_METRIC = "rows/window"
"""A metric that every window has."""
METRICS_PER_REQUEST = 500


@dataclass(frozen=True, slots=True)
class WindowMetrics:
    """The metrics of one window."""

    step: int
    """Number of the window among those of the model, from 1."""
    time_ms: int
    metrics: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class MonitoredModel:
    """The version that a monitoring run belongs to."""

    name: str
    version: int
    sha256: str


def log_windows(
    config: TrackingConfig,
    root: Path,
    model: MonitoredModel,
    windows: Sequence[WindowMetrics],
    *,
    changed: Collection[int] = (),
    artifacts: Mapping[str, Path] | None = None,
) -> str:
    """Log the windows that the model's run does not have yet, and return where the run is shown.

    What an earlier call could not log, because the store did not answer or the process was killed, is logged now.

    Args:
        config: `experiment` is that of the monitoring runs.
        root: the project folder.
        model: the monitored version.
        windows: all windows of the model.
        changed: steps to log again.
        artifacts: path in the run -> file.

    Raises:
        StoreError: if the store does not answer.
    """
    store = open_store(config, root)
    with store_faults(store.uri):
        run_id = _find_run(store, model) or _create_run(store, model)
        logged = {metric.step for metric in store.client.get_metric_history(run_id, STEP_METRIC)}
        points = [
            Metric(name, value, window.time_ms, window.step)
            for window in windows
            if window.step not in logged or window.step in changed
            for name, value in window.metrics.items()
        ]
        for start in range(0, len(points), METRICS_PER_REQUEST):
            store.client.log_batch(run_id, metrics=points[start : start + METRICS_PER_REQUEST])
        for target, path in (artifacts or {}).items():
            store.client.log_artifact(run_id, str(path), target)
        store.client.set_terminated(run_id, "FINISHED")
    return store.run_link(run_id)


def _find_run(store: TrackingStore, model: MonitoredModel) -> str | None:
    runs = store.client.search_runs(
        [store.experiment_id],
        f"tags.`{MONITORING_TAG}` = '{model.sha256}'",
        max_results=1,
        order_by=["attributes.start_time ASC"],
    )
    return str(runs[0].info.run_id) if runs else None


def _create_run(store: TrackingStore, model: MonitoredModel) -> str:
    tags = {MONITORING_TAG: model.sha256, MODEL_TAG: model.sha256, VERSION_TAG: str(model.version)}
    name = f"monitoring of {model.name} version {model.version}"
    return str(store.client.create_run(store.experiment_id, tags=tags, run_name=name).info.run_id)
