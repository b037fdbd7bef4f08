"""The state of an unfinished training on disk, under a name that its inputs give it."""

import hashlib
import json
import zipfile
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

import numpy as np

from atnet.network.training import Epoch, TrainingState
from atnet.storage import whole_file

PARTS = ("weights", "optimizer", "best_weights")


def training_key(settings: str, files: Iterable[Path]) -> str:
    """Name a training by all it depends on: its settings and the contents of its input files."""
    digest = hashlib.sha256(settings.encode())
    for path in files:
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:32]


def save_state(path: Path, state: TrainingState) -> None:
    """Write the state, whole or not at all, so that a kill at any moment leaves the epoch before."""
    arrays = {f"{part}_{index:03d}": value for part in PARTS for index, value in enumerate(getattr(state, part))}
    history = json.dumps([asdict(epoch) for epoch in state.history])
    with whole_file(path) as beside, beside.open("wb") as file:
        np.savez(file, history=np.array(history), **arrays)


def load_state(path: Path) -> TrainingState:
    """Read the state; a missing or damaged file is a training that has not begun."""
    try:
        with np.load(path) as arrays:
            names = sorted(arrays.files)
            parts = {part: [arrays[name] for name in names if name.startswith(f"{part}_")] for part in PARTS}
            history = json.loads(str(arrays["history"]))
    except (FileNotFoundError, zipfile.BadZipFile, ValueError, KeyError, EOFError):
        return TrainingState()
    return TrainingState(history=tuple(Epoch(**epoch) for epoch in history), **parts)
