"""The files that the benchmark's stages write below a project copy: predictions, and facts about a training.

Letters in array names: N rows, C classes.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from atnet.files import split_table
from atnet.schema import LABEL, TEXT
from atnet.storage import read_table, whole_file

RESULTS = Path("results")


@dataclass(frozen=True, slots=True)
class LabeledTexts:
    """The rows of one split."""

    texts: list[str]
    actual_N: np.ndarray
    """Indices into `labels`."""
    labels: list[str]
    """Of the training split, sorted."""


def facts_file(kind: str) -> Path:
    """Return the file of a training's seconds, parameters and chosen settings."""
    return RESULTS / f"{kind}.json"


def predictions_file(kind: str, split: str) -> Path:
    """Return the file of a model's class probabilities for a split."""
    return RESULTS / f"{kind}_{split}.npz"


def search_file() -> Path:
    """Return the file of the settings that fastText's search chose."""
    return RESULTS / "fasttext_search.json"


def read_split(name: str, root: Path = Path()) -> LabeledTexts:
    """Read the rows of a split; every read of `test` is a line of the ledger."""
    labels = sorted(read_table(root / split_table("train"), [LABEL])[LABEL].unique().tolist())
    table = read_table(root / split_table(name), [TEXT, LABEL])
    return LabeledTexts(table[TEXT].tolist(), pd.Index(labels).get_indexer(pd.Index(table[LABEL])), labels)


def save_predictions(path: Path, actual_N: np.ndarray, probabilities: Mapping[str, np.ndarray]) -> None:
    """Write the actual classes (N,) and each model's probabilities (N, C)."""
    with whole_file(path) as part, part.open("wb") as file:
        arrays: dict[str, Any] = {name: values_NC.astype(np.float32) for name, values_NC in probabilities.items()}
        np.savez_compressed(file, **arrays, actual=actual_N.astype(np.int32))


def load_predictions(path: Path, model: str) -> tuple[np.ndarray, np.ndarray]:
    """Read the actual classes (N,) and a model's probabilities (N, C)."""
    with np.load(path) as arrays:
        return arrays["actual"].astype(np.int64), arrays[model].astype(np.float64)
