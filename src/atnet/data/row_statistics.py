"""Compute what the row checks read: lengths and character shares of each text, repeated ids."""

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from atnet.schema import ID, LABEL, TEXT

CONTROL_CHARACTERS = "[\\x00-\\x08\\x0B\\x0C\\x0E-\\x1F\\x7F-\\x{9F}]"
"""RE2: everything of Unicode's class Cc except tab, newline and carriage return."""
VISIBLE_CHARACTER = (
    "[^\\p{Cc}\\p{Cf}\\p{Z}\\x{034F}\\x{115F}\\x{1160}\\x{17B4}\\x{17B5}\\x{180B}-\\x{180F}"
    "\\x{2800}\\x{3164}\\x{FE00}-\\x{FE0F}\\x{FFA0}\\x{E0000}-\\x{E0FFF}]"
)
"""RE2: no control, format or white space character, no filler, no variation selector."""
BATCH_ROWS = 100_000


def row_frame(table: pd.DataFrame, excluded_by: pd.Series) -> pd.DataFrame:
    """Return the columns that the row checks read, one row for each row of the table."""
    measured = pd.concat([measure_rows(batch) for batch in in_batches(table)])
    return measured.assign(
        text=table[TEXT], label=table[LABEL], earlier_ids=earlier_ids(table[ID]), excluded=excluded_by.notna()
    )


def measure_rows(table: pd.DataFrame) -> pd.DataFrame:
    """Measure each text of a batch; a row without a text has nulls.

    Returns:
        Same index; `characters`, `words` (separated by white space), `readable` (1 if a character is visible, else 0)
        and, per character, `replacement_fraction` and `nonprinting_fraction`.
    """
    texts = pa.array(table[TEXT], pa.large_string())
    characters = pc.utf8_length(texts)
    # At least 1, so that an empty text does not divide by zero.
    divisor = pc.cast(pc.max_element_wise(characters, 1, skip_nulls=False), pa.float64())
    measures = {
        "characters": characters,
        "words": pa.array([None if text is None else len(text.split()) for text in texts.to_pylist()], pa.int64()),
        "readable": pc.cast(pc.match_substring_regex(texts, VISIBLE_CHARACTER), pa.int8()),
        "replacement_fraction": pc.divide(pc.count_substring(texts, "\ufffd"), divisor),
        "nonprinting_fraction": pc.divide(pc.count_substring_regex(texts, CONTROL_CHARACTERS), divisor),
    }
    return pd.DataFrame({name: values.to_pandas().to_numpy() for name, values in measures.items()}, index=table.index)


def in_batches(table: pd.DataFrame) -> list[pd.DataFrame]:
    """Divide the table into batches, so that intermediate values of all rows are never in memory at once."""
    return [table.iloc[start : start + BATCH_ROWS] for start in range(0, max(len(table), 1), BATCH_ROWS)]


def earlier_ids(ids: pd.Series) -> pd.Series:
    """Count, for each row, the earlier rows of the whole table with the same id."""
    if ids.is_unique:
        return pd.Series(0, index=ids.index)
    return ids.groupby(ids, sort=False).cumcount()
