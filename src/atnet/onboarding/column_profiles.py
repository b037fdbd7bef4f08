"""Describe each column of a table of strings: how many values, how long, numbers or words."""

from dataclasses import dataclass

import pandas as pd

SAMPLED_ROWS = 50_000
"""Rows from which lengths and numbers are estimated."""
MAX_LABEL_ROWS = 3
"""A label occurs this often on average, at least."""
MAX_LABELS = 500
DECIMAL_COMMA = r"\s*[-+]?\d+(?:,\d+)?\s*"
MIN_TEXT_WORDS = 3
"""Mean number of words from which a column may be the text."""


@dataclass(frozen=True, slots=True)
class ColumnProfile:
    """What the values of a column look like; missing values are not counted."""

    name: str
    rows: int
    missing: int
    distinct: int
    mean_words: float
    mean_characters: float
    numeric: bool
    """All values are numbers."""
    integer: bool
    """All values are integers, 4.0 too."""
    decimal_comma: bool
    """All values are numbers if a comma is read as the decimal point."""
    lowest: float
    """0 if not numeric, as is `highest`."""
    highest: float
    counts: dict[str, int]
    """Rows of each value, the most frequent first, if there are at most MAX_LABELS."""

    @property
    def filled(self) -> int:
        """Rows with a value."""
        return self.rows - self.missing

    @property
    def is_unique(self) -> bool:
        """Whether each row has a different value."""
        return self.missing == 0 and self.distinct == self.rows

    @property
    def is_text(self) -> bool:
        """Whether the column may be the text."""
        return not self.numeric and self.mean_words >= MIN_TEXT_WORDS and self.distinct > self.filled // 10

    @property
    def only_numbers(self) -> bool:
        """Whether every value is a number, also with a decimal comma."""
        return self.numeric or self.decimal_comma

    @property
    def values_repeat(self) -> bool:
        """Whether the column has different values that occur twice on average: others can be no label."""
        return 2 <= self.distinct <= self.filled // 2

    @property
    def is_categorical(self) -> bool:
        """Whether the column has few enough values to be a label."""
        return bool(self.counts) and 2 <= self.distinct <= self.filled // MAX_LABEL_ROWS and self.missing < self.filled


def profile_columns(table: pd.DataFrame) -> list[ColumnProfile]:
    """Describe every column, in the order of the table."""
    return [_profile(str(name), table[name]) for name in table.columns]


def _profile(name: str, column: pd.Series) -> ColumnProfile:
    values = column[column.notna() & (column.str.strip() != "")]
    sample = values.sample(SAMPLED_ROWS, random_state=0) if len(values) > SAMPLED_ROWS else values
    numbers = pd.to_numeric(sample, errors="coerce").astype("float64")
    numeric = len(sample) > 0 and bool(numbers.notna().all())
    counts = values.value_counts()
    return ColumnProfile(
        name=name,
        rows=len(column),
        missing=len(column) - len(values),
        distinct=len(counts),
        mean_words=float(sample.str.count(r"\S+").mean()) if len(sample) else 0.0,
        mean_characters=float(sample.str.len().mean()) if len(sample) else 0.0,
        numeric=numeric,
        integer=numeric and bool((numbers % 1 == 0).all()),
        decimal_comma=len(sample) > 0 and not numeric and bool(sample.str.fullmatch(DECIMAL_COMMA).all()),
        lowest=float(numbers.min()) if numeric else 0.0,
        highest=float(numbers.max()) if numeric else 0.0,
        counts={str(value): int(rows) for value, rows in counts.items()} if len(counts) <= MAX_LABELS else {},
    )
