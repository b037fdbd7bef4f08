"""Run the project's `train` stage and record its duration and the size of the model."""

import os
import shutil
import sys
import time
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd

from atnet.files import MODEL, STATE, TRAINING_HISTORY, WEIGHTS
from atnet.inference import Predictor
from atnet.storage import load_params, write_json
from benchmarks.accuracy.processes import exit_with_parent
from benchmarks.accuracy.results import facts_file
from benchmarks.accuracy.workspace import STORE_VARIABLE


def main() -> int:
    """Train from the beginning and return the stage's exit code."""
    exit_with_parent()
    # Not from a checkpoint, so that the seconds are those of a whole training.
    shutil.rmtree(STATE / "checkpoints", ignore_errors=True)
    if STORE_VARIABLE in os.environ:
        # A separate store: parallel trainings do not wait for each other, and none spends seconds on its tables.
        shutil.copyfile(os.environ[STORE_VARIABLE], load_params().tracking.uri.removeprefix("sqlite:///"))
    # Imported here, so that the time of importing TensorFlow is excluded.
    from atnet.stages import train

    started = time.perf_counter()
    exit_code = train.main([])
    if exit_code == 0:
        write_json(facts_file("atnet"), training_facts(time.perf_counter() - started))
    return exit_code


def training_facts(seconds: float) -> dict[str, Any]:
    """Describe a finished training."""
    epochs = pd.read_csv(TRAINING_HISTORY)
    return {
        "seconds": seconds,
        "parameters": _parameters(WEIGHTS),
        "temperature": Predictor.load(MODEL, threads=1).temperature,
        "epochs": len(epochs),
        "best_epoch": int(epochs["epoch"].iloc[int(epochs["validation_loss"].argmin())]),
    }


def _parameters(weights: Path) -> int:
    """Count the numbers of a weights file, without the state of the random generators, which are integers."""
    datasets: list[h5py.Dataset] = []
    with h5py.File(weights) as file:
        file.visititems(lambda _, node: datasets.append(node) if isinstance(node, h5py.Dataset) else None)
        return sum(int(np.prod(node.shape)) for node in datasets if np.issubdtype(node.dtype, np.floating))


if __name__ == "__main__":
    sys.exit(main())
