"""A project with a champion in a real MLflow store, as far as scoring reads it."""

import contextlib
import shutil
from collections.abc import Generator, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from atnet.config import Params
from atnet.inference import MODEL_FILES, Predictor, model_hash
from atnet.published_model import INFERENCE_FILE, MODEL_FOLDER
from atnet.registry import versions
from atnet.registry.versions import CHAMPION, Registry, Version, open_registry
from atnet.scoring import score as scoring
from atnet.scoring.manifest import ScoringModel
from atnet.scoring.options import ScoringJob, ScoringOptions, scoring_job
from atnet.scoring.outcome import ScoringOutcome
from atnet.scoring.score import find_pending, score_pending
from atnet.scoring.score_worker import Scorer, WorkerJob
from atnet.tracking.logged_model import INFERENCE, ModelContents, ensure_logged_model
from atnet.tracking.tags import MODEL_TAG
from tests.tinymodel import write_tiny_model

ROOT = Path(__file__).resolve().parents[1]
NOW = datetime(2026, 11, 25, 5, 0, tzinfo=UTC)
TEXTS = ("a good film", "bad and awful", "fine", "Not my kind of thing, but good", "awful, awful", "neither")


def write_project(root: Path) -> Path:
    """Write the parameters; the model is `local_model`, or a champion in the store."""
    root.mkdir(parents=True, exist_ok=True)
    shutil.copy(ROOT / "params.yaml", root / "params.yaml")
    return root


def local_model(folder: Path, *, scale: float = 1.0, version: int = 1) -> ScoringModel:
    """Write the files of a version as the registry hands them out, without a registry."""
    model = write_tiny_model(folder / MODEL_FOLDER, scale=scale)
    shutil.copy(INFERENCE, folder / INFERENCE_FILE)
    return ScoringModel("atnet", version, model_hash(model), folder)


def job(root: Path, source: str, target: str, **options: Any) -> ScoringJob:
    """Return a job of a project."""
    return scoring_job(source, target, ScoringOptions(**options), root)


def write_csv(path: Path, rows: int, *, first: int = 0) -> list[str]:
    """Write rows with the columns id and text; return the ids."""
    path.parent.mkdir(parents=True, exist_ok=True)
    ids = [f"{path.stem}-{row}" for row in range(first, first + rows)]
    lines = [f'{name},"{TEXTS[row % len(TEXTS)]}, number {row}"' for row, name in enumerate(ids)]
    path.write_text("\n".join(["id,text", *lines]) + "\n", encoding="utf-8")
    return ids


def publish_champion(registry: Registry, model: Path) -> Version:
    """Log a model folder to the store as `publish` does, register it and make it the champion."""
    client, sha256 = registry.store.client, model_hash(model)
    run_id = client.create_run(registry.store.experiment_id, tags={MODEL_TAG: sha256}).info.run_id
    files = [model / name for name in (*MODEL_FILES, "train_hashes.txt")]
    contents = ModelContents("atnet", sha256, files, {}, ["A good film."])
    ensure_logged_model(registry.store, run_id, contents)
    client.set_terminated(run_id, "FINISHED")
    version = versions.register(registry, sha256)
    versions.set_alias(registry, CHAMPION, version.number)
    return version


def open_store(root: Path, params: Params, empty_store: Path | None = None) -> Registry:
    """Open a store in a project, a copy of an empty one where there is one."""
    if empty_store is not None:
        shutil.copy(empty_store, root / "mlflow.db")
    registry = open_registry(params.tracking, root)
    versions.ensure_registered_model(registry)
    return registry


def load_predictor(model: ScoringModel) -> Predictor:
    """Load the model in this process, to compare with."""
    return Predictor.load(model.folder / MODEL_FOLDER)


class InProcessPool:
    """Scores in this process with the real scorer: a child process takes over a second to start."""

    def __init__(self, size: int, job: WorkerJob) -> None:
        self._scorer = Scorer(job)

    def score(self, chunks: Iterable[pa.RecordBatch]) -> Generator[pa.RecordBatch]:
        """Score chunks in their order."""
        yield from map(self._scorer.score, chunks)


def score_in_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Replace the child processes of `score_pending`."""
    monkeypatch.setattr(scoring, "scoring_pool", lambda size, job: contextlib.nullcontext(InProcessPool(size, job)))


def run(job: ScoringJob, model: ScoringModel, *, now: datetime = NOW) -> ScoringOutcome:
    """Do what `score` does, with a model that is at hand."""
    plan = find_pending(job, model_sha256=model.sha256 if job.options.stale else None)
    return score_pending(job, plan, model, now=now) if plan.pending else ScoringOutcome(plan)
