"""Count, batch by batch, what each row check finds; counts of batches add up to those of the whole table."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import pandas as pd

from atnet.data.check_results import fails, is_skipped
from atnet.data.data_checks import DataCheck

SAMPLED_ROWS = 10_000
"""Failing rows of each check that are kept. The Data Docs count the values of these; of more, they say so."""


@dataclass(slots=True)
class CheckTally:
    """The result of one check."""

    elements: int = 0
    """Rows that were checked."""
    nonnull: int = 0
    """Checked rows with a value."""
    failing: int = 0
    first_rows: list[int] = field(default_factory=list)
    """Positions of the first failing rows, at most SAMPLED_ROWS."""

    def add(self, other: "CheckTally") -> None:
        """Add the counts of later rows."""
        self.elements += other.elements
        self.nonnull += other.nonnull
        self.failing += other.failing
        self.first_rows = (self.first_rows + other.first_rows)[:SAMPLED_ROWS]


@dataclass(slots=True)
class RowTallies:
    """The result of each check, with sample rows."""

    checks: dict[str, CheckTally]
    sample: pd.DataFrame
    """The first row, and the first failing rows of each check, with the columns that the checks read."""

    def add(self, other: "RowTallies") -> None:
        """Add the counts and the sample of later rows."""
        for name, tally in self.checks.items():
            tally.add(other.checks[name])
        wanted = {row for tally in self.checks.values() for row in tally.first_rows}
        later = other.sample[other.sample.index.isin(wanted)]
        if len(later):
            self.sample = pd.concat([self.sample, later])


@dataclass(frozen=True, slots=True)
class CheckedFrame:
    """A batch after the row checks."""

    tallies: RowTallies
    failing: dict[str, pd.Series]
    """The rows of the batch that fail each check."""


def check_frame(frame: pd.DataFrame, checks: Sequence[DataCheck]) -> CheckedFrame:
    """Evaluate the checks on the rows of a batch, see `row_statistics.row_frame`."""
    failing = {check.name: fails(frame, check) for check in checks}
    tallies = {check.name: _tally(frame, check, failing[check.name]) for check in checks}
    wanted = {row for tally in tallies.values() for row in tally.first_rows}
    is_sampled = frame.index.isin(wanted)
    is_sampled[:1] = True
    return CheckedFrame(RowTallies(tallies, frame[is_sampled]), failing)


def _tally(frame: pd.DataFrame, check: DataCheck, failing: pd.Series) -> CheckTally:
    checked = ~is_skipped(frame, check)
    values = frame[check.column]
    rows = frame.index[failing]
    return CheckTally(
        elements=int(checked.sum()),
        nonnull=int((checked & values.notna()).sum()),
        failing=len(rows),
        first_rows=[int(row) for row in rows[:SAMPLED_ROWS]],
    )
