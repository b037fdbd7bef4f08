"""Score a file, a folder of partitions or a SQL table: find what is pending, fetch the model, score, write."""

import contextlib
import logging
import shutil
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from atnet.batch_engine import open_engine, shared_root
from atnet.errors import DataContractError, DataError
from atnet.files import STATE
from atnet.schema import TEXT
from atnet.scoring.endpoints import Endpoints, open_endpoints
from atnet.scoring.fetch_model import fetch_model
from atnet.scoring.manifest import Manifest, ScoringModel, code_version, pending_reason
from atnet.scoring.options import ScoringJob, is_table
from atnet.scoring.outcome import FailedPartition, PendingPartition, ScoringOutcome, ScoringPlan
from atnet.scoring.partition_scorer import ChunkScorer, PartitionScorer
from atnet.scoring.partitions import Partition, select_days
from atnet.scoring.score_worker import WorkerJob
from atnet.scoring.scoring_pool import scoring_pool
from atnet.scoring.spark_pool import SparkPool
from atnet.spill import spill_folder
from atnet.storage import exclusive_lock

logger = logging.getLogger(__name__)


def score(job: ScoringJob, *, now: datetime) -> ScoringOutcome:
    """Score whatever is pending.

    Raises:
        DataError: if the input cannot be listed; a partition that cannot be scored is in the outcome instead.
        ReleaseError: if there is no version to score with.
        ModelError: if its files are damaged.
        StoreError: if the registry or a database does not answer.
        ProcessInterrupted: if a process was killed.
    """
    with tempfile.TemporaryDirectory(prefix="atnet-score-") as folder:
        model = _fetch(job, Path(folder)) if job.options.stale else None
        plan = find_pending(job, model_sha256=model.sha256 if model else None)
        if not plan.pending:
            return ScoringOutcome(plan)
        return score_pending(job, plan, model or _fetch(job, Path(folder)), now=now)


def find_pending(job: ScoringJob, *, model_sha256: str | None) -> ScoringPlan:
    """Compare the partitions with the manifests of their outputs; nothing is written.

    Args:
        job: what to score.
        model_sha256: only scores of this model count as up to date; None: those of any model.

    Raises:
        DataError: if the input cannot be listed, or a table has other texts under the name of a partition.
        ConfigurationError: if an output cannot be written.
        StoreError: if a database does not answer.
    """
    endpoints = open_endpoints(job)
    partitions = endpoints.source.partitions()
    selection = select_days(partitions, job.options.first, job.options.last)
    pending: list[PendingPartition] = []
    up_to_date: list[Manifest] = []
    for partition in selection.partitions:
        manifest = endpoints.destination.manifest(partition)
        if job.options.force or manifest is None:
            pending.append(PendingPartition(partition, "--force" if manifest else "not scored yet"))
            continue
        reason = _pending_reason(job, endpoints, partition, manifest, model_sha256)
        if reason is None:
            up_to_date.append(manifest)
        else:
            pending.append(PendingPartition(partition, reason))
    # Before the model is downloaded.
    endpoints.destination.require_writable([entry.partition for entry in pending])
    return ScoringPlan(pending, up_to_date, selection.notes(), has_input=is_table(job.source) or bool(partitions))


def _pending_reason(
    job: ScoringJob, endpoints: Endpoints, partition: Partition, manifest: Manifest, model_sha256: str | None
) -> str | None:
    try:
        digest = endpoints.source.digest(partition)
    except DataError:
        # Scoring it fails with the message, and the other partitions are scored.
        return "cannot be read"
    if endpoints.target_is_table and manifest.source != endpoints.source_name and manifest.input_sha256 != digest:
        raise DataContractError(
            f"{endpoints.target_name} has a partition {partition.name!r} with the texts of {manifest.source}. Score "
            f"{endpoints.source_name} to another table, or replace that partition with --force."
        )
    return pending_reason(manifest, digest, job.settings(), model_sha256)


def score_pending(job: ScoringJob, plan: ScoringPlan, model: ScoringModel, *, now: datetime) -> ScoringOutcome:
    """Score the pending partitions; if one cannot be scored, the others still are."""
    started = time.monotonic()
    endpoints = open_endpoints(job)
    scored: list[Manifest] = []
    failed: list[FailedPartition] = []
    # Braces would be placeholders.
    target = endpoints.target_name.replace("{", "{{").replace("}", "}}")
    message = f"Another `atnet score` is writing to {target}. Wait until it has ended. (Lock: {{path}})"
    with (
        exclusive_lock(job.root / STATE / endpoints.lock_name, message),
        _chunk_scorer(job, model, now) as pool,
    ):
        scorer = PartitionScorer(job, endpoints, model, pool, code_version(job.root), now, started)
        for pending in plan.pending:
            try:
                manifest = scorer.score(pending.partition)
            except DataError as error:
                failed.append(FailedPartition(pending.partition, str(error)))
                # Of a single partition, the summary at the end is all there is to say.
                if len(plan.pending) > 1:
                    logger.error("%s: %s", pending.partition.name, error)
            else:
                scored.append(manifest)
                logger.info(_describe(manifest, pending.reason))
    return ScoringOutcome(plan, scored, failed, time.monotonic() - started, model.sha256)


@contextlib.contextmanager
def _chunk_scorer(job: ScoringJob, model: ScoringModel, now: datetime) -> Iterator[ChunkScorer]:
    if job.engine.kind == "local":
        with scoring_pool(job.score.workers, worker_job(job, model, now)) as pool:
            yield pool
        return
    with spill_folder(shared_root(job.engine, job.root), "model") as folder:
        # Every worker loads the model from here.
        shipped = replace(model, folder=Path(shutil.copytree(model.folder, folder / "files")).resolve())
        with open_engine(job.engine, job.root) as mapper:
            yield SparkPool(worker_job(job, shipped, now), mapper)


def worker_job(job: ScoringJob, model: ScoringModel, now: datetime) -> WorkerJob:
    """Return the settings of the workers."""
    return WorkerJob(
        folder=str(model.folder),
        version=model.version,
        model_sha256=model.sha256,
        time=now.isoformat(),
        explain=job.options.explain,
        with_text=job.options.with_text,
        checks=[
            {
                "name": check.name,
                "measure": None if check.column == TEXT else check.column,
                "min_value": check.min_value,
                "max_value": check.max_value,
            }
            for check in job.checks
        ],
    )


def _fetch(job: ScoringJob, folder: Path) -> ScoringModel:
    return fetch_model(job.tracking, job.root, job.options.alias, folder)


def _describe(manifest: Manifest, reason: str) -> str:
    rejected = f", {manifest.rows_rejected:,} rejected" if manifest.rows_rejected else ""
    return f"{manifest.partition}: {manifest.rows_in:,} rows{rejected} ({reason})"
