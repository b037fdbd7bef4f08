"""The parent's side of the scoring processes: chunks go to whichever is free, results come back in order."""

import contextlib
import queue
import sys
import threading
from collections import deque
from collections.abc import Generator, Iterable, Iterator

import pyarrow as pa

from atnet.environment import reduced_environment
from atnet.errors import ModelError
from atnet.scoring.score_worker import PREFETCHED, WorkerJob
from atnet.scoring.text_batches import TEXTS
from atnet.subprocesses import ChildProcess

WORKER = "atnet.scoring.score_worker"
ONE_THREAD = {"TOKENIZERS_PARALLELISM": "false", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


class ScoreWorker(ChildProcess):
    """One scoring process."""

    def __init__(self, job: WorkerJob) -> None:
        environment = reduced_environment(ONE_THREAD, training=True)
        super().__init__(
            [sys.executable, "-m", WORKER, job.to_json()], environment=environment, name="A scoring process"
        )
        self._writer: pa.RecordBatchStreamWriter | None = None
        self._results: queue.SimpleQueue[pa.RecordBatch | None] = queue.SimpleQueue()
        self._sent = self._arrived = 0
        threading.Thread(target=self._read, daemon=True).start()

    @property
    def unfinished(self) -> int:
        """Return the number of chunks that were sent and are not scored yet."""
        return self._sent - self._arrived

    @property
    def has_result(self) -> bool:
        """Return whether `receive` returns at once."""
        return not self._results.empty()

    def send(self, chunk: pa.RecordBatch) -> None:
        """Send a chunk; a process that has ended is noticed when its result is received."""
        self._sent += 1
        with contextlib.suppress(OSError, ValueError):
            if self._writer is None:
                self._writer = pa.ipc.new_stream(self.input, TEXTS)
            self._writer.write_batch(chunk)
            self.input.flush()

    def receive(self) -> pa.RecordBatch:
        """Wait for the result of the oldest chunk whose result has not been received.

        Raises:
            ModelError: with the process's last message, if it exited.
            ProcessInterrupted: if it was killed or ran out of memory.
        """
        result = self._results.get()
        if result is None:
            self.raise_if_interrupted()
            raise ModelError(f"A scoring process ended: {self.end_reason()}")
        return result

    def _read(self) -> None:
        try:
            with pa.ipc.open_stream(self.output) as batches:
                for batch in batches:
                    self._arrived += 1
                    self._results.put(batch)
        # The process has ended, in the middle of a batch or before the first one.
        except (pa.ArrowException, OSError, ValueError):
            pass
        finally:
            self._results.put(None)


class ScoringPool:
    """Scoring processes, started when they are first needed."""

    def __init__(self, size: int, job: WorkerJob) -> None:
        self._size = size
        self._job = job
        self._workers: list[ScoreWorker] = []

    def score(self, chunks: Iterable[pa.RecordBatch]) -> Generator[pa.RecordBatch]:
        """Score chunks and yield the results in the order of the chunks; only a few are in memory at once.

        Raises:
            ModelError: if a process cannot load the model or fails on a text.
            ProcessInterrupted: if a process was killed or ran out of memory.
        """
        sent: deque[ScoreWorker] = deque()
        finished = False
        try:
            for chunk in chunks:
                worker = self._free_worker()
                worker.send(chunk)
                sent.append(worker)
                while sent and (sent[0].has_result or len(sent) > self._size * (1 + PREFETCHED)):
                    yield sent.popleft().receive()
            while sent:
                yield sent.popleft().receive()
            finished = True
        finally:
            if not finished:
                # The next partition gets neither abandoned results nor a process that has ended.
                self.kill()

    def kill(self) -> None:
        """End all processes at once; the next chunk starts new ones."""
        for worker in self._workers:
            worker.kill()
        self.close()

    def close(self) -> None:
        """End all processes."""
        for worker in self._workers:
            worker.close()
        self._workers = []

    def process_ids(self) -> list[int]:
        """Return the ids of the running processes."""
        return [worker.process_id for worker in self._workers]

    def _free_worker(self) -> ScoreWorker:
        if len(self._workers) < self._size and all(worker.unfinished for worker in self._workers):
            self._workers.append(ScoreWorker(self._job))
            return self._workers[-1]
        return min(self._workers, key=lambda worker: worker.unfinished)


@contextlib.contextmanager
def scoring_pool(size: int, job: WorkerJob) -> Iterator[ScoringPool]:
    """Yield a pool whose processes end with the block."""
    pool = ScoringPool(size, job)
    try:
        yield pool
    finally:
        pool.close()
