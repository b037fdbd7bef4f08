"""The challenger scores the same texts off the response path, and how often it agrees is counted."""

import contextlib
import logging
import os
import threading
from collections.abc import Sequence
from queue import Empty, SimpleQueue

from atnet.config import ShadowConfig
from atnet.serving.inference_thread import ScoredText
from atnet.serving.loaded_model import LoadedModel
from atnet.serving.metrics import WorkerMetrics
from atnet.serving.model_folder import CHALLENGER, ModelFolder
from atnet.serving.model_follower import ModelFollower

logger = logging.getLogger(__name__)

NICENESS = 10
"""Of the shadow's thread: it takes what the answers leave of a core."""
BATCH_TEXTS = 32


class Shadow:
    """Scores what the champion has answered with the challenger, in a thread of its own and of low priority."""

    def __init__(self, models: ModelFolder, config: ShadowConfig, metrics: WorkerMetrics) -> None:
        self.follower = ModelFollower(models, CHALLENGER, metrics, self._swap)
        self._config, self._metrics = config, metrics
        self._model: LoadedModel | None = None
        self._queue: SimpleQueue[ScoredText | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="shadow", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread after the batch at hand."""
        with contextlib.suppress(Empty):
            while True:
                self._queue.get_nowait()
        self._queue.put(None)
        self._thread.join()

    def add(self, champion: LoadedModel, scored: Sequence[ScoredText]) -> None:
        """Queue answered texts for the challenger, unless there is none or too many wait."""
        model = self._model
        if model is None or model.sha256 == champion.sha256:
            return
        room = max(0, self._config.queued_texts - self._queue.qsize())
        for item in scored[:room]:
            self._queue.put(item)
        if len(scored) > room:
            self._metrics.shadow["skipped"].inc(len(scored) - room)

    def _swap(self, model: LoadedModel | None) -> None:
        self._model = model

    def _run(self) -> None:
        with contextlib.suppress(OSError):
            # On Linux the priority of a thread is its own.
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
        # The challenger is on trial: whatever it raises is counted and nobody waits for it.
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
