"""The prediction log of a worker: predictions wait in memory, up to a limit, and a thread writes them to files.

No request waits for it. If the disk cannot be written to, rows are lost and requests are still served.
"""

import logging
import os
import threading
import time
from collections import deque
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from atnet.config import PredictionLogConfig
from atnet.file_hashes import text_sha256
from atnet.serving.loaded_model import LoadedModel
from atnet.serving.prediction_files import SCHEMA, write_predictions
from atnet.serving.prediction_jobs import ScoredText
from atnet.serving.service_metrics import WorkerMetrics

logger = logging.getLogger(__name__)

CHUNK_ROWS = 256
"""Rows converted to Arrow at once: few, because the event loop waits for Python's lock meanwhile."""
MAX_BUFFERED_BYTES = 16_000_000
"""Converted rows are written early if they take more memory, and the oldest are dropped if they cannot be written."""
CHECK_SECONDS = 0.25


class PredictionLog:
    """Collects the predictions of a worker and writes them to files."""

    def __init__(self, folder: Path, config: PredictionLogConfig, metrics: WorkerMetrics) -> None:
        self._folder, self._config, self._metrics = folder, config, metrics
        self._rows: deque[dict[str, Any]] = deque()
        self._batches: deque[pa.RecordBatch] = deque()
        self._buffered_rows = 0
        """Rows in `_batches`."""
        self._failing = False
        self._flushed = time.monotonic()
        self._stopping = threading.Event()
        self._name = f"{datetime.now(UTC):%H%M%S}-{os.getpid()}"
        self._files = 0
        self._thread = threading.Thread(target=self._run, name="prediction-log", daemon=True)

    def start(self) -> None:
        """Start the thread that writes."""
        self._thread.start()

    def stop(self) -> None:
        """Write the remaining rows and end the thread."""
        self._stopping.set()
        self._thread.join()

    def add(self, model: LoadedModel, scored: Sequence[ScoredText]) -> None:
        """Add predictions; if too many rows wait, the oldest are dropped."""
        now, clock = time.time_ns() // 1000, time.perf_counter()
        for item in scored:
            self._rows.append(
                {
                    "time": now,
                    "request_id": item.job.request_id,
                    "row": item.row,
                    "text_sha256": text_sha256(item.text),
                    "text": item.text if self._config.include_texts else None,
                    "label": item.label,
                    "score": item.score,
                    "probabilities": list(zip(model.labels, item.probabilities, strict=True)),
                    "version": model.version,
                    "model_sha256": model.sha256,
                    "latency_ms": 1000 * (clock - item.job.received),
                    "tokens": item.tokens,
                    "unknown_word_share": item.unknown_share,
                }
            )
        dropped = 0
        while len(self._rows) + self._buffered_rows > self._config.max_buffered_rows and self._rows:
            self._rows.popleft()
            dropped += 1
        if dropped:
            self._metrics.log_rows["dropped"].inc(dropped)

    def _run(self) -> None:
        while not self._stopping.wait(CHECK_SECONDS):
            self._convert()
            due = time.monotonic() - self._flushed >= self._config.flush_seconds
            if self._batches and (due or self._buffered_bytes() > MAX_BUFFERED_BYTES):
                self._flush()
        self._convert()
        self._flush()

    def _convert(self) -> None:
        while self._rows:
            rows = [self._rows.popleft() for _ in range(min(CHUNK_ROWS, len(self._rows)))]
            batch = pa.RecordBatch.from_pylist(rows, SCHEMA)
            self._batches.append(batch)
            self._buffered_rows += batch.num_rows

    def _flush(self) -> None:
        self._flushed = time.monotonic()
        if not self._batches:
            return
        table = pa.Table.from_batches(self._batches, SCHEMA)
        self._files += 1
        try:
            for day in pc.unique(table["time"].cast(pa.date32())).to_pylist():
                rows = table.filter(pc.equal(table["time"].cast(pa.date32()), day))
                write_predictions(self._folder, day, rows, f"{self._name}-{self._files:06d}")
        except OSError as error:
            self._on_failure(error)
            return
        if self._failing:
            logger.info("The prediction log can be written again.")
        self._failing = False
        self._metrics.log_rows["written"].inc(table.num_rows)
        self._batches.clear()
        self._buffered_rows = 0

    def _on_failure(self, error: OSError) -> None:
        """Keep as many rows as the limits allow for the next attempt; log the first of several failures."""
        self._metrics.log_errors.inc()
        if not self._failing:
            logger.error(
                "The prediction log in %s cannot be written (%s). Requests are still served; rows wait in memory, then "
                "the oldest are dropped. Free some space or set serve.prediction_log to null.",
                self._folder,
                os.strerror(error.errno) if error.errno else error,
            )
        self._failing = True
        while self._batches and (
            self._buffered_rows > self._config.max_buffered_rows // 2 or self._buffered_bytes() > MAX_BUFFERED_BYTES
        ):
            dropped = self._batches.popleft().num_rows
            self._buffered_rows -= dropped
            self._metrics.log_rows["dropped"].inc(dropped)

    def _buffered_bytes(self) -> int:
        return sum(batch.nbytes for batch in self._batches)
