"""The cells of the learning curve: a dataset, a number of training rows, a draw of these rows, and a model.

Each cell's predictions for the test split are kept in a file, so an interrupted run continues where it stopped.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from atnet.analysis.tasks import Task, TaskPredictions
from atnet.config import SPLITS, Params, SplitName
from atnet.files import split_table
from atnet.schema import LABEL, TEXT
from atnet.stages.split import split
from atnet.stages.validate import validate
from atnet.storage import read_table, whole_file
from benchmarks.learning_curve.models import MODELS, Model

SIZES = (250, 500, 1_000, 2_000)
ALL = 0
"""The size that means all training rows."""
DRAWS = 5
SEED = 13
VALIDATION_SHARE = 0.25
"""Validation rows of a draw, as a share of its training rows: who has few labels has few of both."""
MIN_VALIDATION = 50


@dataclass(frozen=True, slots=True)
class SplitData:
    """The splits of a dataset, made by the project's own stages."""

    name: str
    folder: Path
    """Where they and the results are."""
    params: Params
    tables: dict[SplitName, pd.DataFrame]

    @property
    def labels(self) -> list[str]:
        """Labels of the training split, sorted."""
        return sorted(self.tables["train"][LABEL].unique().tolist())

    @property
    def actual_N(self) -> np.ndarray:
        """The class ids of the test rows."""
        return np.asarray(pd.Index(self.labels).get_indexer(pd.Index(self.tables["test"][LABEL])))


@dataclass(frozen=True, slots=True)
class Cell:
    """One training."""

    data: SplitData
    size: int
    """Training rows, or ALL."""
    draw: int
    model: Model

    @property
    def path(self) -> Path:
        """Return the file of the predictions."""
        # A result on all rows without randomness does not depend on the draw.
        draw = 0 if self.size == ALL and not self.model.is_random else self.draw
        return self.data.folder / "cells" / f"{self.size or 'all'}-{draw}-{self.model.name}.npz"

    def task(self) -> Task:
        """Draw the rows: those of a smaller size are among those of a larger one."""
        train, validation = self.data.tables["train"], self.data.tables["validation"]
        if self.size != ALL:
            train = _drawn(train, self.size, self.draw)
            validation = _drawn(validation, max(int(self.size * VALIDATION_SHARE), MIN_VALIDATION), self.draw)
        # A model cannot be validated on labels it has not seen; on test they count as errors.
        validation = validation[validation[LABEL].isin(set(train[LABEL]))].reset_index(drop=True)
        return Task(train, validation, self.data.tables["test"][TEXT].tolist())

    def save(self, predictions: TaskPredictions, seconds: float) -> None:
        """Write the probabilities of the test rows, and how long they took."""
        probabilities = predictions.aligned_to(self.data.labels)[0].astype(np.float32)
        with whole_file(self.path) as partial, partial.open("wb") as file:
            np.savez_compressed(file, probabilities=probabilities, seconds=np.array(seconds))

    def load(self) -> np.ndarray | None:
        """Read the probabilities (N, C); None if the cell has not been computed."""
        if not self.path.is_file():
            return None
        with np.load(self.path) as arrays:
            return np.asarray(arrays["probabilities"], dtype=np.float64)


def prepare(name: str, params: Params, folder: Path) -> SplitData:
    """Validate and split a dataset once; later calls read the splits."""
    if not all((folder / split_table(part)).is_file() for part in SPLITS):
        (folder / params.validate_.expectations).write_text("expectations: []\n", encoding="utf-8")
        validate(params, folder)
        split(params, folder)
    return SplitData(name, folder, params, {part: read_table(folder / split_table(part)) for part in SPLITS})


def cells(datasets: Iterable[SplitData], models: Sequence[str], sizes: Sequence[int], draws: int) -> Iterator[Cell]:
    """Yield the cells, the cheapest first: small sizes, then fast models, then small datasets."""
    ordered = sorted(datasets, key=lambda data: int(data.tables["train"][TEXT].str.len().sum()))
    chosen = [model for model in MODELS if model.name in models]
    for size in sorted(sizes, key=lambda size: size or np.inf):
        for model in chosen:
            for data in ordered:
                if size < len(data.tables["train"]):
                    yield from (Cell(data, size, draw, model) for draw in range(draws))


def _drawn(table: pd.DataFrame, rows: int, draw: int) -> pd.DataFrame:
    order = np.random.default_rng([SEED, draw]).permutation(len(table))
    return table.iloc[np.sort(order[:rows])].reset_index(drop=True)
