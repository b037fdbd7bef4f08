"""A bounded sample of many rows: those with the smallest keys."""

import copy
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc


class RowSample:
    """At most `limit` of the rows that are added: the first ones in a stable order by their key.

    At most twice as many rows are in memory, plus one batch.
    """

    def __init__(self, limit: int, key: str) -> None:
        """Create an empty sample.

        Args:
            limit: largest number of rows of the sample.
            key: name of the column by which they are chosen; rows without a key come last.
        """
        self.rows = 0
        """Rows that were added, whether they are kept or not."""
        self._limit, self._key = limit, key
        self._tables: list[pa.Table] = []
        self._kept = 0
        self._largest: Any = None
        """Rows with this key or a larger one are not in the sample; None before the first cut."""

    def add(self, rows: pa.Table) -> None:
        """Add a batch of rows; all batches have the same columns."""
        self.rows += rows.num_rows
        if self._largest is not None:
            rows = rows.filter(pc.less(rows[self._key], self._largest))
        # The first batch is kept even without rows: it has the columns.
        if rows.num_rows or not self._tables:
            # A new list, because a copy of the sample shares the old one.
            self._tables = [*self._tables, rows]
            self._kept += rows.num_rows
        if self._kept > 2 * self._limit:
            self._cut()

    def copy(self) -> "RowSample":
        """Return a sample with the same rows; rows that are added to one are not in the other."""
        return copy.copy(self)

    def table(self) -> pa.Table:
        """Return the sample: in the order of the additions if it has all rows, else in the order of the keys."""
        if self.rows > self._limit:
            self._cut()
        return self._joined()

    def _cut(self) -> None:
        table = self._joined()
        # The order is stable, and later rows come after those that were kept, so among equal keys the first stay.
        table = table.take(pc.sort_indices(table, sort_keys=[(self._key, "ascending")])[: self._limit])
        self._tables, self._kept = [table], table.num_rows
        self._largest = table[self._key][-1].as_py()

    def _joined(self) -> pa.Table:
        # A column without any value in one batch has no type there.
        return pa.concat_tables(self._tables, promote_options="default")
