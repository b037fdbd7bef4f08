"""Subsets and cross-validation folds, chosen by hash, so that they are the same in every run.

Letters in array names: N rows.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from atnet.errors import DataContractError
from atnet.evaluation.metrics import Ints
from atnet.schema import GROUP, LABEL, TEXT_HASH, unit_hash

VALIDATION_FRACTION = 0.1
"""Of the rows outside a fold: used to stop the training and to select settings."""


@dataclass(frozen=True, slots=True)
class Fold:
    """The rows of one fold, and the other rows, split into training and validation."""

    rows: Ints
    """Positions of the fold's rows in the table."""
    train: pd.DataFrame
    validation: pd.DataFrame


def nested_subset(train: pd.DataFrame, fraction: float, *, seed: int) -> pd.DataFrame:
    """Select a fraction of each label's texts, at least one: those with the lowest hashes, in the table's order.

    A smaller subset is part of every larger one. New texts do not change the order of the existing ones.
    """
    position = train[TEXT_HASH].map(lambda text: unit_hash(f"subset {text}", seed))
    rank = position.groupby(train[LABEL]).rank(method="first")
    size = np.ceil(fraction * train[LABEL].map(train[LABEL].value_counts()) - 1e-9)
    return train[rank <= size]


def assign_folds(table: pd.DataFrame, folds: int, *, seed: int) -> Ints:
    """Assign each row to a fold, (N,); near duplicates, which share a group, share a fold."""
    # With a prefix: the test split was chosen by the hash of the bare group, so one fold would lack its rows.
    numbers = {group: int(unit_hash(f"fold {group}", seed) * folds) for group in table[GROUP].unique()}
    return table[GROUP].map(numbers).to_numpy(np.int64)


def make_folds(table: pd.DataFrame, folds: int, *, seed: int) -> list[Fold]:
    """Split the rows into cross-validation folds.

    Raises:
        DataContractError: if a fold leaves fewer than two labels to train on, or no validation rows.
    """
    number_N = assign_folds(table, folds, seed=seed)
    validation_N = table[GROUP].map(lambda group: unit_hash(f"stop {group}", seed) < VALIDATION_FRACTION)
    in_validation_N = validation_N.to_numpy(bool)
    return [_fold(table, number_N == number, in_validation_N) for number in range(folds) if (number_N == number).any()]


def _fold(table: pd.DataFrame, in_fold_N: np.ndarray, in_validation_N: np.ndarray) -> Fold:
    train = table[~in_fold_N & ~in_validation_N]
    validation = table[~in_fold_N & in_validation_N]
    # The model cannot be validated on a label that it is not trained on.
    validation = validation[validation[LABEL].isin(train[LABEL].unique())]
    if train[LABEL].nunique() < 2 or len(validation) == 0:
        raise DataContractError(
            f"{len(table):,} rows are too few for this number of folds: one fold leaves {len(train):,} rows to train "
            "on. Lower analyze.folds in params.yaml, or add texts."
        )
    return Fold(np.flatnonzero(in_fold_N), train, validation)
