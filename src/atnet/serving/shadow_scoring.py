"""The challenger scores the same texts as the champion, off the response path, and its agreement is counted."""

import contextlib
import logging
import os
import threading
from collections.abc import Sequence
from queue import Empty, SimpleQueue

from atnet.config import ShadowConfig
from atnet.serving.loaded_model import LoadedModel
from atnet.serving.model_copies import CHALLENGER, ModelCopies
from atnet.serving.model_reloader import ModelReloader
from atnet.serving.prediction_jobs import ScoredText
from atnet.serving.service_metrics import WorkerMetrics

logger = logging.getLogger(__name__)

NICENESS = 10
"""Niceness of the shadow's thread: it uses only the time that the champion leaves of a core."""
BATCH_TEXTS = 32


class ShadowScorer:
    """Scores with the challenger what the champion has predicted, in a thread of low priority."""

    def __init__(self, copies: ModelCopies, config: ShadowConfig, metrics: WorkerMetrics) -> None:
        self.reloader = ModelReloader(copies, CHALLENGER, metrics, self._on_model)
        self._config, self._metrics = config, metrics
        self._model: LoadedModel | None = None
        self._queue: SimpleQueue[ScoredText | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="shadow", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread after the current batch."""
        with contextlib.suppress(Empty):
            while True:
                self._queue.get_nowait()
        self._queue.put(None)
        self._thread.join()

    def add(self, champion: LoadedModel, scored: Sequence[ScoredText]) -> None:
        """Queue predicted texts for the challenger, unless there is none or too many texts wait."""
        model = self._model
        if model is None or model.sha256 == champion.sha256:
            return
        free_slots = max(0, self._config.max_queued_texts - self._queue.qsize())
        for item in scored[:free_slots]:
            self._queue.put(item)
        if len(scored) > free_slots:
            self._metrics.shadow["skipped"].inc(len(scored) - free_slots)

    def _on_model(self, model: LoadedModel | None) -> None:
        self._model = model

    def _run(self) -> None:
        with contextlib.suppress(OSError):
            # On Linux, the priority of a thread is its own.
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
        batch: list[ScoredText] = []
        while (item := self._queue.get()) is not None:
            batch.append(item)
            if len(batch) == BATCH_TEXTS or self._queue.empty():
                # Read once: the pointer may be moved meanwhile.
                model = self._model
                if model is not None:
                    self._score(model, batch)
                batch = []

    def _score(self, model: LoadedModel, batch: Sequence[ScoredText]) -> None:
        try:
            rows = model.probabilities(model.encode([item.text for item in batch])).tolist()
        # The challenger is on trial: whatever it raises is counted, and no request depends on it.
        except Exception as error:
            logger.error("The challenger raised %s on %d texts.", type(error).__name__, len(batch))
            self._metrics.shadow["error"].inc(len(batch))
            return
        agreed, difference = 0, 0.0
        for item, row in zip(batch, rows, strict=True):
            probabilities = dict(zip(model.labels, row, strict=True))
            agreed += max(probabilities, key=probabilities.__getitem__) == item.label
            difference += abs(item.score - probabilities.get(item.label, 0.0))
        self._metrics.shadow["agree"].inc(agreed)
        self._metrics.shadow["disagree"].inc(len(batch) - agreed)
        self._metrics.shadow_difference.inc(difference)
