"""A released model in a separate folder, without the pipeline."""

import json
import shutil
from pathlib import Path

from atnet.inference import model_hash
from atnet.model_verification import MODEL_TAG
from atnet.registry import versions
from atnet.registry.versions import CHAMPION, Version, open_registry
from atnet.storage import load_params
from atnet.tracking.logged_model import ModelContents, ensure_logged_model

LONGEST = ["word number " * 1600] * 16
"""Texts of the most characters that params.yaml allows."""


def release_model(project: Path, model: Path, *, max_length: int | None = None) -> Path:
    """Register a model folder as the champion of a new MLflow store; return the project's folder.

    Args:
        project: an empty folder.
        model: the folder that the stage `train` writes.
        max_length: let the tokenizer keep this many tokens per text.
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
    contents = ModelContents(registry.model, sha256, sorted(model.iterdir()), {}, ["A good film.", "Awful."])
    ensure_logged_model(store, run_id, contents)
    store.client.set_terminated(run_id, "FINISHED")
    versions.ensure_registered_model(registry)
    version = versions.register(registry, sha256)
    versions.set_alias(registry, CHAMPION, version.number)
    return version
