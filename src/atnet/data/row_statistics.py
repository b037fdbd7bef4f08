"""Compute what the row checks read: lengths and character shares of each text, repeated ids."""

import pandas as pd
import pyarrow as pa

from atnet.data.text_measures import measure_texts
from atnet.schema import LABEL, TEXT

BATCH_ROWS = 100_000


def row_frame(table: pd.DataFrame, excluded_by: pd.Series, earlier_ids: pd.Series) -> pd.DataFrame:
    """Return the columns that the row checks read, one row for each row of the table."""
    measured = pd.concat([measure_rows(batch) for batch in in_batches(table)])
    return measured.assign(text=table[TEXT], label=table[LABEL], earlier_ids=earlier_ids, excluded=excluded_by.notna())


def measure_rows(table: pd.DataFrame) -> pd.DataFrame:
    """Measure each text of a batch; a row without a text has nulls.

    Returns:
        The columns of `measure_texts`, with the same index.
    """
    measures = measure_texts(pa.array(table[TEXT], pa.large_string()))
    return pd.DataFrame({name: values.to_pandas().to_numpy() for name, values in measures.items()}, index=table.index)


def in_batches(table: pd.DataFrame) -> list[pd.DataFrame]:
    """Divide the table into batches, so that intermediate values of all rows are never in memory at once."""
    return [table.iloc[start : start + BATCH_ROWS] for start in range(0, max(len(table), 1), BATCH_ROWS)]
