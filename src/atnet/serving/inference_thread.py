"""The thread that computes: tokenizes and scores what is queued, one batch after the other."""

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any

import numpy as np

from atnet.inference import UNKNOWN_ID
from atnet.serving.batching import Batch, Job, padded_groups, take_batch
from atnet.serving.loaded_model import LoadedModel
from atnet.serving.metrics import WorkerMetrics

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ScoredText:
    """One answered text, for the prediction log and the shadow."""

    job: Job
    row: int
    """Place of the text in the job."""
    label: str
    score: float
    probabilities: list[float]
    tokens: int
    unknown_share: float

    @property
    def text(self) -> str:
        """The text itself."""
        return self.job.texts[self.row]


class InferenceError(RuntimeError):
    """The model raised an error on a batch."""


class InferenceThread:
    """Answers jobs in a thread of its own. All methods are for the event loop's thread."""

    def __init__(
        self, metrics: WorkerMetrics, batch_tokens: int, on_scored: Callable[[LoadedModel, Sequence[ScoredText]], None]
    ) -> None:
        self.queued_texts = 0
        """Texts that wait or are being computed."""
        self.busy_since: float | None = None
        """When the batch began that is being computed, by time.monotonic()."""
        self.texts_per_second = 0.0
        """Of the last batches, decaying."""
        self.model: LoadedModel | None = None
        """The version that answers the next jobs."""
        self._metrics = metrics
        self._batch_tokens = batch_tokens
        self._on_scored = on_scored
        self._queue: SimpleQueue[Job | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="inference", daemon=True)

    def start(self) -> None:
        """Start the thread; call it in the event loop."""
        self._loop = asyncio.get_running_loop()
        self._thread.start()

    def is_alive(self) -> bool:
        """Tell whether the thread runs."""
        return self._thread.is_alive()

    def stop(self) -> None:
        """Let the thread end after what is queued."""
        self._queue.put(None)
        self._thread.join()

    def submit(self, job: Job) -> None:
        """Queue a job; its `done` tells when it is answered."""
        self.queued_texts += len(job.texts)
        job.model = self.model
        job.answers = [None] * len(job.texts)
        job.queued = time.perf_counter()
        self._queue.put(job)

    def release(self, job: Job) -> None:
        """Take a job out of the count of queued texts; what is not computed yet of it is dropped."""
        job.abandoned = True
        self.queued_texts -= len(job.texts)

    def _run(self) -> None:
        waiting: deque[Job] = deque()
        running = True
        while running or waiting:
            running = self._receive(waiting) and running
            batch = take_batch(waiting, self._batch_tokens)
            if batch is not None:
                self.busy_since = time.monotonic()
                self._answer(batch)
                seconds = time.monotonic() - self.busy_since
                self.busy_since = None
                self.texts_per_second += 0.1 * (len(batch.items) / max(seconds, 1e-6) - self.texts_per_second)

    def _receive(self, waiting: deque[Job]) -> bool:
        """Move what is queued to the waiting jobs, and wait for something if there is none; False at the end."""
        running = True
        while not waiting or not self._queue.empty():
            job = self._queue.get()
            if job is None:
                running = False
                break
            waiting.append(job)
        return running

    def _answer(self, batch: Batch) -> None:
        start = time.perf_counter()
        for job, row in batch.items:
            if row == 0:
                self._metrics.queue_seconds.observe(start - job.queued)
        try:
            if batch.explain:
                self._explain(batch)
            else:
                self._predict(batch, start)
        # Whatever the version's code raises belongs to these requests; the next batch must be answered all the same.
        except Exception as error:
            logger.error("The model raised %s on a batch of %d texts.", type(error).__name__, len(batch.items))
            failed = {job for job, _ in batch.items}
            self._loop.call_soon_threadsafe(self._fail, failed)

    def _predict(self, batch: Batch, start: float) -> None:
        ids = batch.model.encode(batch.texts)
        self._metrics.tokenization_seconds.observe(time.perf_counter() - start)
        lengths = [len(tokens) for tokens in ids]
        for rows in padded_groups(lengths, self._batch_tokens):
            begun = time.perf_counter()
            probabilities = batch.model.probabilities([ids[row] for row in rows])
            self._metrics.inference_seconds.observe(time.perf_counter() - begun)
            self._metrics.batch_texts.observe(len(rows))
            self._metrics.batch_tokens.observe(len(rows) * lengths[rows[-1]])
            self._finish(batch, rows, probabilities, [ids[row] for row in rows])

    def _finish(
        self, batch: Batch, rows: Sequence[int], probabilities: np.ndarray, ids: Sequence[Sequence[int]]
    ) -> None:
        labels = batch.model.labels
        scored = []
        for row, best, values, tokens in zip(
            rows, probabilities.argmax(axis=1).tolist(), probabilities.tolist(), ids, strict=True
        ):
            job, place = batch.items[row]
            answer = {
                "label": labels[best],
                "score": values[best],
                "probabilities": dict(zip(labels, values, strict=True)),
            }
            job.answers[place] = answer
            share = tokens.count(UNKNOWN_ID) / len(tokens)
            scored.append(ScoredText(job, place, labels[best], values[best], values, len(tokens), share))
        self._deliver(batch.model, scored)

    def _explain(self, batch: Batch) -> None:
        ((job, row),) = batch.items
        start = time.perf_counter()
        explanation = batch.model.explain(job.texts[row])
        self._metrics.explanation_seconds.observe(time.perf_counter() - start)
        job.answers[row] = explained(explanation)
        tokens = batch.model.encode([job.texts[row]])[0]
        values = [explanation.probabilities[label] for label in batch.model.labels]
        share = tokens.count(UNKNOWN_ID) / len(tokens)
        scored = ScoredText(job, row, explanation.label, explanation.score, values, len(tokens), share)
        self._deliver(batch.model, [scored])

    def _deliver(self, model: LoadedModel, scored: Sequence[ScoredText]) -> None:
        self._on_scored(model, scored)
        self._loop.call_soon_threadsafe(self._complete, scored)

    def _complete(self, scored: Sequence[ScoredText]) -> None:
        self._metrics.texts.inc(len(scored))
        for item in scored:
            job = item.job
            job.answered += 1
            if job.answered == len(job.texts) and not job.done.done():
                job.done.set_result(None)

    def _fail(self, jobs: set[Job]) -> None:
        for job in jobs:
            job.abandoned = True
            if not job.done.done():
                job.done.set_exception(InferenceError())


def explained(explanation: Any) -> dict[str, Any]:
    """Return an explanation as it is sent: the prediction, and each word with its place and its contribution."""
    words = zip(explanation.tokens, explanation.spans, explanation.contributions, strict=True)
    return {
        "label": explanation.label,
        "score": explanation.score,
        "probabilities": explanation.probabilities,
        "words": [
            {"word": word, "start": start, "end": end, "contribution": contribution}
            for word, (start, end), contribution in words
        ],
        "base": explanation.base,
    }
