"""A process: train AtNet by the project's own `train` stage, then answer a split through `Predictor`."""

import importlib
import os
import shutil
import sys
import time
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd

from atnet.inference import Predictor
from atnet.storage import read_json
from benchmarks.accuracy.answers import JOB, load_facts, read_split, save_answers, save_facts
from benchmarks.accuracy.running import Faulty, end_with_parent


def main(folder: Path) -> None:
    """Train where there is no model yet, then answer the split that the job names."""
    end_with_parent()
    job = read_json(folder / JOB)
    model = Path(job["model"])
    if not load_facts(folder):
        save_facts(folder, train(job, model))
    predictor = Predictor.load(model, threads=1)
    asked = read_split(Path(job["splits"]), job["split"])
    shares_NC = predictor.predict(asked.texts).probabilities
    places = pd.Index(predictor.labels).get_indexer(pd.Index(asked.labels))
    save_answers(folder, job["split"], asked.actual_N, {"atnet": shares_NC[:, places]})


def train(job: dict[str, Any], model: Path) -> dict[str, Any]:
    """Run the stage's command in this process, so that the time of importing TensorFlow can be left out."""
    stage = importlib.import_module(job["module"])
    # A store of its own, made beforehand: trainings side by side do not wait for each other.
    store = Path("runs.db")
    shutil.copyfile(job["store"], store)
    os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{store.resolve()}"
    begun = time.perf_counter()
    code = stage.main(job["arguments"])
    seconds = time.perf_counter() - begun
    store.unlink(missing_ok=True)
    if code != 0:
        raise Faulty(f"The train stage ended with {code}.")
    epochs = pd.read_csv(model / "history.csv")
    facts = {
        "seconds": seconds,
        "parameters": _parameters(model / "model.weights.h5"),
        "temperature": Predictor.load(model, threads=1).temperature,
        "epochs": len(epochs),
        "best_epoch": int(epochs["epoch"].iloc[int(epochs["validation_loss"].argmin())]),
    }
    # Predictor needs the exported network only.
    (model / "model.weights.h5").unlink()
    return facts


def _parameters(weights: Path) -> int:
    """Count the numbers in a weights file; the state of the random numbers is whole numbers and not counted."""
    found = []
    with h5py.File(weights) as file:
        file.visititems(lambda _, node: found.append(node) if isinstance(node, h5py.Dataset) else None)
        return sum(int(np.prod(node.shape)) for node in found if np.issubdtype(node.dtype, np.floating))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
