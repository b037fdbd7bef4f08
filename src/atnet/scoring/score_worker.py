"""The child process that scores: Arrow record batches in through standard input, out through standard output.

`python -m atnet.scoring.score_worker JOB`, where JOB is a `WorkerJob` as JSON. The session is created here, in a
process that was started and not forked, on one thread and without a memory arena.
"""

import importlib.abc
import inspect
import json
import os
import queue
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from atnet.data.text_measures import measure_texts
from atnet.file_hashes import text_sha256
from atnet.published_model import MODEL_FOLDER, load_inference
from atnet.scoring.scored_rows import label_column, probability_column, scatter, strongest_words, worker_schema

PREFETCHED = 1
"""Chunks buffered in the worker, so that it does not have to wait for the next one."""


@dataclass(frozen=True, slots=True)
class WorkerJob:
    """The settings of a worker, passed to it as JSON."""

    folder: str
    """Files of the version."""
    version: int
    model_sha256: str
    time: str
    """Start of the run, ISO 8601, UTC."""
    explain: int
    with_text: bool
    checks: Sequence[Mapping[str, Any]]
    """Name, min_value and max_value of each check, and the measure it compares; null: that there is a text."""

    def to_json(self) -> str:
        """Return it as a command's argument."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "WorkerJob":
        """Read a command's argument."""
        return cls(**json.loads(text))


class Scorer:
    """Scores chunks of texts with one version."""

    def __init__(self, job: WorkerJob) -> None:
        inference = load_inference(Path(job.folder))
        options = {"threads": 1, "memory_arena": False}
        known = inspect.signature(inference.Predictor.load).parameters
        self.schema = worker_schema(explained=job.explain > 0)
        self._job = job
        self._softmax = inference.softmax
        self._unknown_id = inference.UNKNOWN_ID
        self._predictor = inference.Predictor.load(
            Path(job.folder, MODEL_FOLDER), **{name: value for name, value in options.items() if name in known}
        )

    def score(self, chunk: pa.RecordBatch) -> pa.RecordBatch:
        """Score the rows of a chunk; a row that fails a check has reasons, and nulls in place of a score."""
        texts = chunk["text"].to_pylist()
        reasons = failed_checks(texts, self._job.checks)
        is_scored = np.array([reason is None for reason in reasons], dtype=bool)
        scores = self._scores([text for text, reason in zip(texts, reasons, strict=True) if reason is None])
        # A rejected row always shows its text.
        shown = [text if self._job.with_text or reason else None for text, reason in zip(texts, reasons, strict=True)]
        rows = chunk.num_rows
        columns = {
            "id": chunk["id"],
            "row": chunk["row"],
            "version": pa.repeat(pa.scalar(self._job.version, pa.int64()), rows),
            "model_sha256": pa.repeat(self._job.model_sha256, rows),
            "time": pa.repeat(pa.scalar(datetime.fromisoformat(self._job.time), pa.timestamp("us", "UTC")), rows),
            "text_sha256": pa.array([None if text is None else text_sha256(text) for text in texts], pa.string()),
            "text": pa.array(shown, pa.string()),
            "reasons": pa.array(reasons, pa.string()),
            **{name: scatter(values, is_scored) for name, values in scores.items()},
        }
        return pa.record_batch([columns[name] for name in self.schema.names], schema=self.schema)

    def _scores(self, texts: Sequence[str]) -> dict[str, pa.Array]:
        predictor = self._predictor
        ids = predictor.encode(texts)
        probabilities = self._softmax(predictor.logits(ids) / predictor.temperature)
        unknown = [tokens.count(self._unknown_id) / len(tokens) for tokens in ids]
        columns = {
            "label": label_column(predictor.labels, probabilities),
            "score": pa.array(probabilities.max(axis=1)),
            "probabilities": probability_column(predictor.labels, probabilities),
            "tokens": pa.array([len(tokens) for tokens in ids], pa.int32()),
            "unknown_word_share": pa.array(unknown, pa.float64()),
        }
        if self._job.explain:
            explained = [strongest_words(words, self._job.explain) for words in predictor.explain(texts)]
            columns["explanation"] = pa.array(explained, self.schema.field("explanation").type)
        return columns


def failed_checks(texts: Sequence[str | None], checks: Sequence[Mapping[str, Any]]) -> list[str | None]:
    """Return the names of the checks that each text fails, separated by "; "; None if it passes."""
    measures = measure_texts(pa.array(texts, pa.large_string()))
    reasons: list[str | None] = [None] * len(texts)
    for check in checks:
        if check["measure"] is None:
            failed = np.array([text is None for text in texts], dtype=bool)
        else:
            values = measures[check["measure"]].cast(pa.float64()).to_numpy(zero_copy_only=False)
            # A missing text has no measures; comparing with NaN is false.
            failed = (values < _bound(check["min_value"], -np.inf)) | (values > _bound(check["max_value"], np.inf))
        for position in np.flatnonzero(failed).tolist():
            reasons[position] = "; ".join(filter(None, (reasons[position], check["name"])))
    return reasons


class BlockPandas(importlib.abc.MetaPathFinder):
    """Makes pandas impossible to import: pyarrow imports it, if it can, to see whether a list is one of its objects.

    That would take 45 MB in each worker.
    """

    def find_spec(self, fullname: str, path: object, target: object = None) -> None:
        """Refuse pandas and leave the rest to the other finders."""
        if fullname == "pandas":
            raise ModuleNotFoundError(fullname)


def main() -> None:
    """Score chunks until the parent closes the input."""
    sys.meta_path.insert(0, BlockPandas())
    job = WorkerJob.from_json(sys.argv[1])
    # Standard output is for batches only: what libraries print goes to standard error.
    output = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    try:
        scorer = Scorer(job)
    # The version's own code raises its own class of it.
    except ValueError as error:
        sys.exit(str(error))
    chunks: queue.Queue[pa.RecordBatch] = queue.Queue(maxsize=PREFETCHED)
    threading.Thread(target=_read, args=(chunks,), daemon=True).start()
    with pa.ipc.new_stream(output, scorer.schema) as writer:
        output.flush()
        while True:
            writer.write_batch(scorer.score(chunks.get()))
            output.flush()


def _read(chunks: "queue.Queue[pa.RecordBatch]") -> None:
    try:
        with pa.ipc.open_stream(sys.stdin.buffer) as batches:
            for batch in batches:
                chunks.put(batch)
    finally:
        # The parent closes the input when it has every result it waits for, or when it has died.
        os._exit(0)


def _bound(value: float | None, default: float) -> float:
    return default if value is None else value


if __name__ == "__main__":
    main()
