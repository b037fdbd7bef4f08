"""The service's Prometheus metrics, summed over its processes.

If PROMETHEUS_MULTIPROC_DIR is set when `prometheus_client` is first imported, every process writes its values to files
in that folder, and a scrape of any worker adds them up.
"""

import os
import shutil
from pathlib import Path
from typing import Literal, get_args

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest, values
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from prometheus_client.values import MultiProcessValue

FOLDER_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
RequestResult = Literal["ok", "overloaded", "invalid", "unauthorized", "timeout", "dropped", "unavailable", "error"]
REQUEST_RESULTS: tuple[RequestResult, ...] = get_args(RequestResult)
POLL_RESULTS = ("ok", "missing", "unreachable", "rejected", "error")
SHADOW_RESULTS = ("agree", "disagree", "skipped", "error")
SECONDS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 15)
TEXTS = (1, 2, 4, 8, 16, 32, 64, 128, 256)
TOKENS = (16, 32, 64, 128, 256, 512, 1024, 2048, 4096)


class WorkerMetrics:
    """The metrics of a worker."""

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        requests = Counter("atnet_requests", "Requests to /v1/predict by result.", ["result"], registry=registry)
        self.requests = {result: requests.labels(result) for result in REQUEST_RESULTS}
        self.request_seconds = _histogram("atnet_request_seconds", "From request to response.", SECONDS, registry)
        self.queue_seconds = _histogram("atnet_queue_seconds", "A request's wait for its batch.", SECONDS, registry)
        self.tokenization_seconds = _histogram("atnet_tokenization_seconds", "Tokenizing a batch.", SECONDS, registry)
        self.inference_seconds = _histogram("atnet_inference_seconds", "The model on a batch.", SECONDS, registry)
        self.explanation_seconds = _histogram("atnet_explanation_seconds", "Explaining a text.", SECONDS, registry)
        self.batch_texts = _histogram("atnet_batch_texts", "Texts of a batch.", TEXTS, registry)
        self.batch_tokens = _histogram("atnet_batch_tokens", "Tokens of a batch, padding included.", TOKENS, registry)
        self.texts = Counter("atnet_texts", "Texts predicted.", registry=registry)
        self.queued_texts = _gauge("atnet_queued_texts", "Texts waiting or being computed.", "livesum", registry)
        self.ready = _gauge("atnet_ready_workers", "Workers with a self-checked model.", "livesum", registry)
        self.version = _gauge("atnet_model_version", "Version in use, per worker.", "liveall", registry)
        loads = Counter("atnet_model_loads", "Versions loaded by a worker, by result.", ["result"], registry=registry)
        self.loads = {result: loads.labels(result) for result in ("ok", "rejected")}
        rows = Counter("atnet_prediction_log_rows", "Rows of the prediction log.", ["result"], registry=registry)
        self.log_rows = {result: rows.labels(result) for result in ("written", "dropped")}
        self.log_errors = Counter("atnet_prediction_log_errors", "Files that could not be written.", registry=registry)
        shadow = Counter("atnet_shadow_texts", "Texts that the challenger also scored.", ["result"], registry=registry)
        self.shadow = {result: shadow.labels(result) for result in SHADOW_RESULTS}
        self.shadow_difference = Counter(
            "atnet_shadow_difference",
            "Sum of |champion's score - challenger's probability of that label|.",
            registry=registry,
        )

    def render(self) -> bytes:
        """Return the metrics in Prometheus' text format, summed over the processes."""
        if FOLDER_VARIABLE not in os.environ:
            return generate_latest(self._registry)
        return generate_latest(_summed(None))


class RegistryMetrics:
    """The metrics of the registry process."""

    def __init__(self) -> None:
        registry = CollectorRegistry()
        self.reachable = _gauge(
            "atnet_registry_reachable", "1 if the registry answered the last poll.", "livemax", registry
        )
        self.rejected_version = _gauge(
            "atnet_rejected_version", "Version rejected by hash or self-check, 0 for none.", "livemax", registry
        )
        polls = Counter("atnet_registry_polls", "Polls of the alias by result.", ["result"], registry=registry)
        self.polls = {result: polls.labels(result) for result in POLL_RESULTS}


class SupervisorMetrics:
    """The metrics of the supervisor."""

    def __init__(self) -> None:
        self.restarts = Counter(
            "atnet_process_restarts", "Processes replaced after they ended.", registry=CollectorRegistry()
        )


def summed_counter(folder: Path, name: str) -> dict[str, float]:
    """Sum a counter over the processes: value of its `result` label (or "") -> count."""
    samples = (
        sample
        for metric in _summed(str(folder)).collect()
        for sample in metric.samples
        if sample.name == f"{name}_total"
    )
    return {sample.labels.get("result", ""): sample.value for sample in samples}


def share_values() -> None:
    """Write this process's values under its own id, which is read once: the process never forks."""
    pid = os.getpid()
    if FOLDER_VARIABLE in os.environ:
        values.ValueClass = MultiProcessValue(process_identifier=lambda: pid)  # type: ignore[no-untyped-call]


def clear_folder(folder: Path) -> None:
    """Empty the folder of the shared values: those of an earlier service would be added."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)


def forget_process(pid: int, folder: Path) -> None:
    """Remove the gauges of a process that has ended; its counters stay in the sums."""
    mark_process_dead(pid, str(folder))  # type: ignore[no-untyped-call]


def _summed(folder: str | None) -> CollectorRegistry:
    summed = CollectorRegistry()
    MultiProcessCollector(summed, folder)  # type: ignore[no-untyped-call]
    return summed


def _histogram(name: str, description: str, buckets: tuple[float, ...], registry: CollectorRegistry) -> Histogram:
    return Histogram(name, description, buckets=buckets, registry=registry)


def _gauge(
    name: str, description: str, mode: Literal["livesum", "liveall", "livemax", "livemin"], registry: CollectorRegistry
) -> Gauge:
    return Gauge(name, description, multiprocess_mode=mode, registry=registry)
