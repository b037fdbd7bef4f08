"""The checkpoint of an unfinished training, under a name derived from the training's inputs."""

import hashlib
import json
import zipfile
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

import numpy as np

from atnet.config import TrainConfig
from atnet.network.training_state import Epoch, TrainingState
from atnet.storage import whole_file

ARRAY_LISTS = ("weights", "optimizer", "best_weights")
"""The fields of `TrainingState` that are lists of arrays."""


def training_key(settings: str, files: Iterable[Path]) -> str:
    """Hash everything that a training depends on: its settings and the contents of its input files."""
    digest = hashlib.sha256(settings.encode())
    for path in files:
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:32]


def training_settings(config: TrainConfig, precision: str) -> str:
    """Return the settings for `training_key`: of several workers only the number counts, as dropout depends on it."""
    return f"{config.model_copy(update={'workers': config.worker_count}).model_dump_json()} {precision}"


def save_state(path: Path, state: TrainingState) -> None:
    """Write the state atomically: after a kill the file still holds the previous epoch."""
    arrays = {f"{name}_{index:03d}": value for name in ARRAY_LISTS for index, value in enumerate(getattr(state, name))}
    history = json.dumps([asdict(epoch) for epoch in state.history])
    with whole_file(path) as temporary, temporary.open("wb") as file:
        np.savez(file, history=np.array(history), **arrays)


def load_state(path: Path) -> TrainingState:
    """Read the state; for a missing or damaged file return the state before the first epoch."""
    try:
        with np.load(path) as archive:
            names = sorted(archive.files)
            lists = {
                prefix: [archive[name] for name in names if name.startswith(f"{prefix}_")] for prefix in ARRAY_LISTS
            }
            history = json.loads(str(archive["history"]))
    except (FileNotFoundError, zipfile.BadZipFile, ValueError, KeyError, EOFError):
        return TrainingState()
    return TrainingState(history=tuple(Epoch(**epoch) for epoch in history), **lists)
