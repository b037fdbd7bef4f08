"""What a run leaves: its answers for the rows of a split, and facts about it.

Letters in array names: N rows, C classes.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from atnet.schema import LABEL, TEXT
from atnet.storage import read_json, read_table, whole_file, write_json

FACTS = "facts.json"
JOB = "job.json"


@dataclass(frozen=True, slots=True)
class SplitTable:
    """The rows of one split."""

    texts: list[str]
    actual_N: np.ndarray
    """Places in `labels`."""
    labels: list[str]
    """Of the training split, sorted."""


def read_split(splits: Path, name: str) -> SplitTable:
    """Read the rows of a split; reading `test` is what the ledger counts."""
    labels = sorted(read_table(splits / "train.parquet", [LABEL])[LABEL].unique().tolist())
    table = read_table(splits / f"{name}.parquet", [TEXT, LABEL])
    return SplitTable(table[TEXT].tolist(), pd.Index(labels).get_indexer(pd.Index(table[LABEL])), labels)


def save_answers(folder: Path, split: str, actual_N: np.ndarray, given: Mapping[str, np.ndarray]) -> None:
    """Write the (N, C) probabilities of each model of a run, whole or not at all."""
    with whole_file(folder / f"{split}.npz") as beside, beside.open("wb") as file:
        arrays: dict[str, Any] = {name: shares_NC.astype(np.float32) for name, shares_NC in given.items()}
        np.savez_compressed(file, **arrays, actual=actual_N.astype(np.int32))


def load_answers(folder: Path, split: str, model: str) -> tuple[np.ndarray, np.ndarray]:
    """Give the actual classes (N,) and a model's probabilities (N, C)."""
    with np.load(folder / f"{split}.npz") as arrays:
        return arrays["actual"].astype(np.int64), arrays[model].astype(np.float64)


def save_facts(folder: Path, facts: Mapping[str, Any]) -> None:
    """Write seconds, parameters and what was chosen."""
    write_json(folder / FACTS, facts)


def load_facts(folder: Path) -> dict[str, Any]:
    """Read them; none where the run has not got so far."""
    return read_json(folder / FACTS) if (folder / FACTS).is_file() else {}
