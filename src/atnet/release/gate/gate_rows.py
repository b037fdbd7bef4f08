"""What the gate keeps of each labeled row: a few numbers, so that the texts can be read in batches.

Letters in array names: N rows.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from atnet.data.repeated_ids import hash_ids
from atnet.evaluation.metrics import Ints
from atnet.evaluation.slices import ColumnValues, count_words
from atnet.schema import ID, LABEL, TEXT, TEXT_HASH, slice_columns, text_hash
from atnet.text_hashes import TextHashes


@dataclass(frozen=True, slots=True)
class GateRows:
    """Labeled rows without their texts."""

    id_N: NDArray[np.uint64]
    """Hash of each row's id, as `hash_ids` returns it."""
    label: ColumnValues
    words_N: Ints
    """Number of whitespace-separated words."""
    trained_on_N: NDArray[np.bool_]
    """Whether a compared model was trained on the text."""
    columns: Mapping[str, ColumnValues]
    """Slice column -> its values."""

    def __len__(self) -> int:
        return len(self.id_N)

    @classmethod
    def of(cls, table: pd.DataFrame, train_hashes: TextHashes) -> "GateRows":
        """Reduce a canonical table.

        Args:
            table: with `text_hash`, or its texts are hashed here.
            train_hashes: hashes of the normalized texts that the compared models were trained on.
        """
        hashes = table[TEXT_HASH] if TEXT_HASH in table else table[TEXT].map(text_hash)
        return cls(
            id_N=hash_ids(table[ID]),
            label=ColumnValues.of(table[LABEL]),
            words_N=count_words(table[TEXT]),
            trained_on_N=train_hashes.contains(hashes),
            columns={column: ColumnValues.of(table[column]) for column in slice_columns(table)},
        )

    @classmethod
    def concatenated(cls, parts: Sequence["GateRows"]) -> "GateRows":
        """Join consecutive rows; at least one part."""
        return cls(
            id_N=np.concatenate([part.id_N for part in parts]),
            label=ColumnValues.concatenated([part.label for part in parts]),
            words_N=np.concatenate([part.words_N for part in parts]),
            trained_on_N=np.concatenate([part.trained_on_N for part in parts]),
            columns={
                column: ColumnValues.concatenated([part.columns[column] for part in parts])
                for column in parts[0].columns
            },
        )

    def select(self, kept_N: NDArray[np.bool_]) -> "GateRows":
        """Return some of the rows."""
        return GateRows(
            id_N=self.id_N[kept_N],
            label=select_values(self.label, kept_N),
            words_N=self.words_N[kept_N],
            trained_on_N=self.trained_on_N[kept_N],
            columns={column: select_values(values, kept_N) for column, values in self.columns.items()},
        )


def select_values(values: ColumnValues, rows_N: NDArray[np.bool_] | Ints) -> ColumnValues:
    """Return the values of some rows: a mask, or positions."""
    return ColumnValues(values.names, values.name_N[rows_N])


def label_ids(values: ColumnValues, labels: Sequence[str]) -> Ints:
    """Return the position of each row's value in `labels`; a value that is not there gets the one after the last."""
    position = {label: index for index, label in enumerate(labels)}
    of_name = np.array([position.get(name, len(labels)) for name in values.names], dtype=np.int64)
    return np.asarray(of_name[values.name_N])
