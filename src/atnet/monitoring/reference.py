"""The reference: held-out rows of the champion's data version.

Never training rows: the model is surer of them, so any new text would look different.
"""

import hashlib
from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import pandas as pd

from atnet.config import MonitorConfig
from atnet.errors import DataContractError
from atnet.schema import TEXT, TEXT_HASH, text_hash, unit_hash


@dataclass(frozen=True, slots=True)
class Reference:
    """Distinct held-out rows, with the columns of the splits."""

    table: pd.DataFrame
    digest: str
    """Hash of the texts."""

    def __len__(self) -> int:
        return len(self.table)


def make_reference(
    validation: pd.DataFrame, test: pd.DataFrame, train_hashes: Collection[str], config: MonitorConfig
) -> Reference:
    """Return the distinct texts of both splits, at most `max_reference_rows` of them, sampled by hash.

    Raises:
        DataContractError: if there are fewer than two windows of the smallest size.
    """
    table = pd.concat([validation, test], ignore_index=True)
    if TEXT_HASH not in table:
        table[TEXT_HASH] = [text_hash(text) for text in table[TEXT]]
    table = table[~table[TEXT_HASH].isin(set(train_hashes))].drop_duplicates(TEXT_HASH)
    needed = 2 * config.min_window_rows
    if len(table) < needed:
        raise DataContractError(
            f"The champion's data version has {len(table):,} distinct held-out texts; {needed:,} are needed to monitor "
            f"windows of {config.min_window_rows} texts. Add labeled rows or increase split.fractions.validation and "
            "test, and train again; or lower monitor.min_window_rows."
        )
    chosen = np.sort(order_by_hash(table[TEXT_HASH], config.seed)[: config.max_reference_rows])
    table = table.iloc[chosen].reset_index(drop=True)
    digest = hashlib.sha256("\n".join(table[TEXT_HASH]).encode()).hexdigest()
    return Reference(table, digest)


def order_by_hash(names: pd.Series, seed: int) -> np.ndarray:
    """Return the positions of the rows in the order of a hash, which is the same in every run."""
    positions = np.array([unit_hash(f"monitor {name}", seed) for name in names])
    order: np.ndarray = np.argsort(positions, kind="stable")
    return order
