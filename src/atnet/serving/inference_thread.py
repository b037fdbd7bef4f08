"""The thread that computes: it tokenizes and predicts what is queued, one batch after the other."""

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from queue import SimpleQueue

import numpy as np

from atnet.inference import UNKNOWN_ID
from atnet.serving.batching import TextBatch, padded_groups, take_batch
from atnet.serving.loaded_model import LoadedModel
from atnet.serving.prediction_jobs import InferenceError, PredictionJob, ScoredText, abstention, explanation_json
from atnet.serving.service_metrics import WorkerMetrics

logger = logging.getLogger(__name__)


class InferenceThread:
    """Predicts jobs in a separate thread. All methods are for the event loop's thread."""

    def __init__(
        self,
        metrics: WorkerMetrics,
        max_batch_tokens: int,
        on_scored: Callable[[LoadedModel, Sequence[ScoredText]], None],
    ) -> None:
        self.queued_texts = 0
        """Texts that wait or are being computed."""
        self.busy_since: float | None = None
        """When the current batch began, by time.monotonic(); None while the thread is idle."""
        self.texts_per_second = 0.0
        """Moving average over the last batches."""
        self.model: LoadedModel | None = None
        """The version that predicts the next jobs."""
        self._metrics = metrics
        self._max_batch_tokens = max_batch_tokens
        self._on_scored = on_scored
        self._queue: SimpleQueue[PredictionJob | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="inference", daemon=True)

    def start(self) -> None:
        """Start the thread; call it in the event loop."""
        self._loop = asyncio.get_running_loop()
        self._thread.start()

    def is_alive(self) -> bool:
        """Return whether the thread runs."""
        return self._thread.is_alive()

    def stop(self) -> None:
        """Finish the queued jobs and end the thread."""
        self._queue.put(None)
        self._thread.join()

    def submit(self, job: PredictionJob) -> None:
        """Queue a job; its `done` is set when it is predicted."""
        self.queued_texts += len(job.texts)
        job.model = self.model
        job.predictions = [None] * len(job.texts)
        job.queued = time.perf_counter()
        self._queue.put(job)

    def release(self, job: PredictionJob) -> None:
        """Subtract a job from the number of queued texts; its texts that are not computed yet are dropped."""
        job.abandoned = True
        self.queued_texts -= len(job.texts)

    def _run(self) -> None:
        waiting: deque[PredictionJob] = deque()
        running = True
        while running or waiting:
            running = self._receive(waiting) and running
            batch = take_batch(waiting, self._max_batch_tokens)
            if batch is not None:
                self.busy_since = time.monotonic()
                self._compute(batch)
                seconds = time.monotonic() - self.busy_since
                self.busy_since = None
                self.texts_per_second += 0.1 * (len(batch.items) / max(seconds, 1e-6) - self.texts_per_second)

    def _receive(self, waiting: deque[PredictionJob]) -> bool:
        """Move queued jobs to the waiting ones, and wait for a job if there is none; False at the end."""
        while not waiting or not self._queue.empty():
            job = self._queue.get()
            if job is None:
                return False
            waiting.append(job)
        return True

    def _compute(self, batch: TextBatch) -> None:
        start = time.perf_counter()
        for job, row in batch.items:
            if row == 0:
                self._metrics.queue_seconds.observe(start - job.queued)
        try:
            if batch.explain:
                self._explain(batch)
            else:
                self._predict(batch, start)
        # Whatever the version's code raises belongs to these requests; the next batch must be computed all the same.
        except Exception as error:
            logger.error("The model raised %s on a batch of %d texts.", type(error).__name__, len(batch.items))
            failed = {job for job, _ in batch.items}
            self._loop.call_soon_threadsafe(_fail, failed)

    def _predict(self, batch: TextBatch, start: float) -> None:
        ids = batch.model.encode(batch.texts)
        self._metrics.tokenization_seconds.observe(time.perf_counter() - start)
        lengths = [len(tokens) for tokens in ids]
        for rows in padded_groups(lengths, self._max_batch_tokens):
            group_start = time.perf_counter()
            probabilities = batch.model.probabilities([ids[row] for row in rows])
            self._metrics.inference_seconds.observe(time.perf_counter() - group_start)
            self._metrics.batch_texts.observe(len(rows))
            self._metrics.batch_tokens.observe(len(rows) * lengths[rows[-1]])
            self._finish(batch, rows, probabilities, ids)

    def _finish(
        self, batch: TextBatch, rows: Sequence[int], probabilities: np.ndarray, ids: Sequence[Sequence[int]]
    ) -> None:
        labels = batch.model.labels
        scored = []
        for row, best, values in zip(rows, probabilities.argmax(axis=1).tolist(), probabilities.tolist(), strict=True):
            job, position = batch.items[row]
            job.predictions[position] = {
                "label": labels[best],
                "score": values[best],
                "probabilities": dict(zip(labels, values, strict=True)),
                **abstention(values[best], batch.model.min_confidence),
            }
            tokens = ids[row]
            scored.append(
                ScoredText(job, position, labels[best], values[best], values, len(tokens), _unknown_share(tokens))
            )
        self._deliver(batch.model, scored)

    def _explain(self, batch: TextBatch) -> None:
        ((job, row),) = batch.items
        start = time.perf_counter()
        explanation = batch.model.explain(job.texts[row])
        self._metrics.explanation_seconds.observe(time.perf_counter() - start)
        answer = abstention(explanation.score, batch.model.min_confidence)
        job.predictions[row] = {**explanation_json(explanation), **answer}
        tokens = batch.model.encode([job.texts[row]])[0]
        values = [explanation.probabilities[label] for label in batch.model.labels]
        scored = ScoredText(job, row, explanation.label, explanation.score, values, len(tokens), _unknown_share(tokens))
        self._deliver(batch.model, [scored])

    def _deliver(self, model: LoadedModel, scored: Sequence[ScoredText]) -> None:
        self._on_scored(model, scored)
        self._loop.call_soon_threadsafe(self._complete, scored)

    def _complete(self, scored: Sequence[ScoredText]) -> None:
        self._metrics.texts.inc(len(scored))
        for item in scored:
            job = item.job
            job.predicted += 1
            if job.predicted == len(job.texts) and not job.done.done():
                job.done.set_result(None)


def _fail(jobs: set[PredictionJob]) -> None:
    for job in jobs:
        job.abandoned = True
        if not job.done.done():
            job.done.set_exception(InferenceError())


def _unknown_share(tokens: Sequence[int]) -> float:
    return tokens.count(UNKNOWN_ID) / len(tokens)
