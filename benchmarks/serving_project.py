"""A released model in a folder of its own, without the pipeline."""

import json
import shutil
from pathlib import Path

from atnet.inference import model_hash
from atnet.registry import versions
from atnet.registry.versions import CHAMPION, Version, open_registry
from atnet.storage import load_params
from atnet.tracking.model import ensure_logged_model
from atnet.tracking.runs import MODEL_TAG

LONGEST = ["word number " * 1600] * 16
"""Texts of the most characters that params.yaml allows."""


def release_model(project: Path, model: Path, *, max_length: int | None = None) -> Path:
    """Register a model folder as the champion of a new MLflow store; return the project's folder.

    Args:
        project: an empty folder.
        model: what the stage `train` has written.
        max_length: let the tokenizer keep as many tokens per text, in place of what it was trained with.
    """
    shutil.copy("params.yaml", project / "params.yaml")
    copied = project / "model"
    shutil.copytree(model, copied)
    if max_length is not None:
        tokenizer = json.loads((copied / "tokenizer.json").read_text(encoding="utf-8"))
        tokenizer["truncation"]["max_length"] = max_length
        (copied / "tokenizer.json").write_text(json.dumps(tokenizer), encoding="utf-8")
    register(project, copied)
    return project


def register(project: Path, model: Path) -> Version:
    """Log and register a model folder and make it the champion."""
    registry = open_registry(load_params(project / "params.yaml").tracking, project)
    store, sha256 = registry.store, model_hash(model)
    run_id = store.client.create_run(store.experiment_id, tags={MODEL_TAG: sha256}).info.run_id
    ensure_logged_model(
        store,
        run_id,
        name=registry.model,
        model_sha256=sha256,
        files=sorted(model.iterdir()),
        params={},
        example=["A good film.", "Awful."],
    )
    store.client.set_terminated(run_id, "FINISHED")
    versions.ensure_registered_model(registry)
    version = versions.register(registry, sha256)
    versions.set_alias(registry, CHAMPION, version.number)
    return version
