"""Score chunks on Spark with the same scorer as the scoring processes: one session in each Python worker."""

from collections.abc import Generator, Iterable, Iterator
from functools import cache, partial

import pyarrow as pa

from atnet.batch_engine import BatchMapper
from atnet.scoring.score_worker import Scorer, WorkerJob

TASK_CHUNKS = 25
"""Chunks that a task scores: a task costs Spark some hundredths of a second."""


class SparkPool:
    """Scores chunks through the mapper of an engine."""

    def __init__(self, job: WorkerJob, mapper: BatchMapper) -> None:
        self._job, self._mapper = job, mapper

    def score(self, chunks: Iterable[pa.RecordBatch]) -> Generator[pa.RecordBatch]:
        """Score chunks and yield the results in the order of the chunks.

        Raises:
            ProcessInterrupted: if a worker fails.
        """
        for results in self._mapper(partial(score_chunks, job=self._job), _grouped(chunks)):
            yield from results


def score_chunks(chunks: list[pa.RecordBatch], *, job: WorkerJob) -> list[pa.RecordBatch]:
    """Score chunks, one by one as a scoring process does: the same chunk gives the same scores."""
    return [_scorer(job.to_json()).score(chunk) for chunk in chunks]


@cache
def _scorer(job: str) -> Scorer:
    """Load the model once in each worker."""
    return Scorer(WorkerJob.from_json(job))


def _grouped(chunks: Iterable[pa.RecordBatch]) -> Iterator[list[pa.RecordBatch]]:
    group: list[pa.RecordBatch] = []
    for chunk in chunks:
        group.append(chunk)
        if len(group) == TASK_CHUNKS:
            yield group
            group = []
    if group:
        yield group
