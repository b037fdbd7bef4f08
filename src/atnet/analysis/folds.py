"""Which rows a model learns from: nested shares and folds, chosen by hash, so that they are the same in every run.

Letters in array names: N rows.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from atnet.errors import DataContractError
from atnet.evaluation.metrics import Ints
from atnet.schema import GROUP, LABEL, TEXT_HASH, unit_hash

STOPPING_SHARE = 0.1
"""Of the rows outside a fold: kept from learning, to stop training and to choose settings by."""


@dataclass(frozen=True, slots=True)
class Fold:
    """One part of the rows and the other rows, which a model learns from."""

    rows: Ints
    """Positions of the part's rows in the table."""
    train: pd.DataFrame
    stopping: pd.DataFrame


def nested_subset(train: pd.DataFrame, share: float, *, seed: int) -> pd.DataFrame:
    """Keep a share of each label's texts, at least one: those with the lowest hashes, in the table's order.

    A smaller share lies within every larger one. Texts that are added later do not reorder those that were there.
    """
    place = train[TEXT_HASH].map(lambda text: unit_hash(f"subset {text}", seed))
    rank = place.groupby(train[LABEL]).rank(method="first")
    wanted = np.ceil(share * train[LABEL].map(train[LABEL].value_counts()) - 1e-9)
    return train[rank <= wanted]


def fold_numbers(table: pd.DataFrame, folds: int, *, seed: int) -> Ints:
    """Give each row a fold, (N,); near duplicates, which share a group, share the fold too."""
    # The word before the group: by the group alone the test side was cut off, so one fold would lack its rows.
    numbers = {group: int(unit_hash(f"fold {group}", seed) * folds) for group in table[GROUP].unique()}
    return table[GROUP].map(numbers).to_numpy(np.int64)


def make_folds(table: pd.DataFrame, folds: int, *, seed: int) -> list[Fold]:
    """Cut the rows into folds, each with the rows its model learns from.

    Raises:
        DataContractError: if a model would have fewer than two labels to learn, or nothing to be stopped by.
    """
    number_N = fold_numbers(table, folds, seed=seed)
    kept_aside_N = table[GROUP].map(lambda group: unit_hash(f"stop {group}", seed) < STOPPING_SHARE).to_numpy(bool)
    return [_fold(table, number_N == number, kept_aside_N) for number in range(folds) if (number_N == number).any()]


def _fold(table: pd.DataFrame, inside_N: np.ndarray, kept_aside_N: np.ndarray) -> Fold:
    train = table[~inside_N & ~kept_aside_N]
    stopping = table[~inside_N & kept_aside_N]
    # A label that the model never learns cannot be asked for.
    stopping = stopping[stopping[LABEL].isin(train[LABEL].unique())]
    if train[LABEL].nunique() < 2 or len(stopping) == 0:
        raise DataContractError(
            f"{len(table):,} rows are too few for so many folds: one of them leaves {len(train):,} rows to learn from. "
            "Lower analyze.folds in params.yaml, or bring more texts."
        )
    return Fold(np.flatnonzero(inside_N), train, stopping)
