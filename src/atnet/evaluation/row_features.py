"""The features of each test row that evaluation keeps: a few bytes, so that the texts can be read in batches.

Letters in array names: N rows.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from atnet.evaluation.metrics import Floats, Ints
from atnet.evaluation.slices import ColumnValues, count_words
from atnet.schema import TEXT, slice_columns


@dataclass(frozen=True, slots=True)
class RowFeatures:
    """The numbers by which rows are divided into slices."""

    words_N: Ints
    """Number of whitespace-separated words."""
    unknown_share_N: Floats
    """Share of the tokens that are not in the vocabulary."""
    columns: Mapping[str, ColumnValues]
    """Slice column -> its values."""
    tokens: int
    """Number of tokens of all rows."""

    @classmethod
    def of(cls, table: pd.DataFrame, ids: Sequence[Sequence[int]], unknown_share_N: Floats) -> "RowFeatures":
        """Compute the features of a table.

        Args:
            ids: the token ids of each text.
            unknown_share_N: as `unknown_shares` returns it.
        """
        columns = {column: ColumnValues.of(table[column]) for column in slice_columns(table)}
        return cls(count_words(table[TEXT]), unknown_share_N, columns, sum(map(len, ids)))

    @classmethod
    def concatenated(cls, parts: Sequence["RowFeatures"]) -> "RowFeatures":
        """Join the features of consecutive rows."""
        return cls(
            words_N=np.concatenate([part.words_N for part in parts]),
            unknown_share_N=np.concatenate([part.unknown_share_N for part in parts]),
            columns={
                column: ColumnValues.concatenated([part.columns[column] for part in parts])
                for column in parts[0].columns
            },
            tokens=sum(part.tokens for part in parts),
        )
