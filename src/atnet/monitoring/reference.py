"""The texts that a window is compared with: held-out rows of the champion's data version.

Never training rows: the model is surer of those, and any new text would look different.
"""

import hashlib
from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import pandas as pd

from atnet.config import MonitorConfig
from atnet.errors import DataContractError
from atnet.table import TEXT, TEXT_HASH, text_hash, unit_hash


@dataclass(frozen=True, slots=True)
class Reference:
    """Distinct held-out rows, with the columns of the splits."""

    table: pd.DataFrame
    digest: str
    """Names the texts."""

    def __len__(self) -> int:
        return len(self.table)


def make_reference(
    validation: pd.DataFrame, test: pd.DataFrame, train_hashes: Collection[str], config: MonitorConfig
) -> Reference:
    """Take the distinct texts of both splits, at most `reference_rows` of them, chosen by hash.

    Raises:
        DataContractError: if there are fewer than two windows of the smallest size.
    """
    table = pd.concat([validation, test], ignore_index=True)
    if TEXT_HASH not in table:
        table[TEXT_HASH] = [text_hash(text) for text in table[TEXT]]
    table = table[~table[TEXT_HASH].isin(set(train_hashes))].drop_duplicates(TEXT_HASH)
    needed = 2 * config.minimum_rows
    if len(table) < needed:
        raise DataContractError(
            f"The champion's data version has {len(table):,} distinct held-out texts; windows of "
            f"monitor.minimum_rows ({config.minimum_rows}) need {needed:,} to be compared with. Add labeled rows, or "
            "raise split.fractions.validation and test, and train again."
        )
    chosen = np.sort(order_by_hash(table[TEXT_HASH], config.seed)[: config.reference_rows])
    table = table.iloc[chosen].reset_index(drop=True)
    digest = hashlib.sha256("\n".join(table[TEXT_HASH]).encode()).hexdigest()
    return Reference(table, digest)


def order_by_hash(names: pd.Series, seed: int) -> np.ndarray:
    """Return the positions of the rows in the order of a hash: the same in every run, unrelated to the file's order."""
    places = np.array([unit_hash(f"monitor {name}", seed) for name in names])
    order: np.ndarray = np.argsort(places, kind="stable")
    return order
