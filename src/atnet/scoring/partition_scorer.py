"""Score one partition: check the input, score its chunks, write the scored and the rejected rows, then the manifest."""

import contextlib
import sys
import time
from collections import Counter
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

import pyarrow as pa
import pyarrow.compute as pc
from tqdm import tqdm

from atnet.errors import DataFileError
from atnet.scoring.destinations import PartitionWriter
from atnet.scoring.endpoints import Endpoints
from atnet.scoring.manifest import CodeVersion, Manifest, ScoringModel
from atnet.scoring.options import ScoringJob
from atnet.scoring.partitions import Partition, PartitionInput
from atnet.scoring.repeated_ids import InputFacts, check_input
from atnet.scoring.scored_rows import REJECTED
from atnet.scoring.text_batches import chunked, stream_texts


@dataclass(slots=True)
class RowCounts:
    """Rows of a partition, counted while they are written."""

    out: int = 0
    rejected: int = 0
    by_reason: Counter[str] = field(default_factory=Counter)


class ChunkScorer(Protocol):
    """Scores chunks: the scoring processes, or Spark."""

    def score(self, chunks: Iterable[pa.RecordBatch]) -> Generator[pa.RecordBatch]:
        """Score chunks and yield the results in the order of the chunks."""


@dataclass(frozen=True, slots=True)
class PartitionScorer:
    """Scores the partitions of a run, one after the other."""

    job: ScoringJob
    endpoints: Endpoints
    model: ScoringModel
    pool: ChunkScorer
    code: CodeVersion
    now: datetime
    started: float
    """When the run started, by time.monotonic()."""

    def score(self, partition: Partition) -> Manifest:
        """Score one partition and write its manifest."""
        begun = self._time()
        with self.endpoints.destination.open(partition, self.model.sha256) as writer:
            # Leaving this block checks that the input has not changed; nothing is replaced before that.
            with self.endpoints.source.open(partition) as texts:
                numbering = self.job.options.number_duplicates
                facts = check_input(texts.path, texts.data, number_duplicates=numbering)
                counts = self._write(texts, facts, writer, partition.name)
            if counts.out + (0 if self.job.options.keep_rejected else counts.rejected) != facts.rows:
                raise DataFileError(f"{texts.path} changed while it was being scored. Run the command again.")
            manifest = Manifest(
                source=self.endpoints.source_name,
                partition=partition.name,
                input_sha256=texts.sha256,
                rows_in=facts.rows,
                rows_out=counts.out,
                rows_rejected=counts.rejected,
                rejected_by_reason=dict(counts.by_reason),
                model=self.model.name,
                version=self.model.version,
                model_sha256=self.model.sha256,
                settings=self.job.settings(),
                code=self.code,
                started=begun.isoformat(),
                finished=self._time().isoformat(),
            )
            writer.commit(manifest)
        return manifest

    def _write(self, texts: PartitionInput, facts: InputFacts, writer: PartitionWriter, name: str) -> RowCounts:
        batches: Iterator[pa.RecordBatch] = stream_texts(texts.path, texts.data)
        if facts.repeated:
            batches = facts.number_ids(batches)
        counts = RowCounts()
        bar = tqdm(total=facts.rows, desc=name, unit=" rows", leave=False, disable=not sys.stderr.isatty())
        results = self.pool.score(chunked(batches, self.job.score.chunk_rows))
        # Closed at once also after an error, so that no result is left for the next partition.
        with bar, contextlib.closing(results):
            for result in results:
                write_result(result, writer, counts, keep_rejected=self.job.options.keep_rejected)
                bar.update(result.num_rows)
        return counts

    def _time(self) -> datetime:
        return self.now + timedelta(seconds=round(time.monotonic() - self.started, 3))


def write_result(result: pa.RecordBatch, writer: PartitionWriter, counts: RowCounts, *, keep_rejected: bool) -> None:
    """Write the rows a worker sent: scored rows to the output, rejected rows to a file next to it."""
    scored, reasons = result.drop_columns("reasons"), result["reasons"]
    if reasons.null_count < result.num_rows:
        rejected = result.filter(reasons.is_valid())
        writer.reject(rejected.select(REJECTED.names))
        counts.rejected += rejected.num_rows
        for value in rejected["reasons"].to_pylist():
            counts.by_reason.update(value.split("; "))
        if not keep_rejected:
            scored = scored.filter(pc.is_null(reasons))
    writer.write(scored)
    counts.out += scored.num_rows
