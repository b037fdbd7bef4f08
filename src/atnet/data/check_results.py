"""Evaluate checks, and their results."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import pandas as pd

from atnet.data.data_checks import DataCheck

if TYPE_CHECKING:
    from atnet.data.row_tallies import CheckTally, RowTallies


@dataclass(frozen=True, slots=True)
class DataCheckResult:
    """The result of one check."""

    check: DataCheck
    passed: bool
    observed: float
    """The number of failing rows of a row check; the number that a table check reads, NaN if it is not a number."""
    failing_rows: Sequence[int] = ()
    """Index of the failing rows of a row check; after a check of several batches, of the first ones."""
    observed_value: str = ""
    """What a user's own expectation of the table observed, if it is not a number."""

    @property
    def is_critical(self) -> bool:
        """Whether a failed row check quarantines its rows, and a failed table check stops the pipeline."""
        return not self.passed and self.check.severity == "critical"

    @property
    def is_warning(self) -> bool:
        """Whether the failed check is only reported."""
        return not self.passed and self.check.severity == "warning"


class CheckRunner(Protocol):
    """Judges checks; the results are in the order of the checks, then come those of the user's own expectations."""

    def own_failing_rows(self) -> dict[DataCheck, Sequence[int]]:
        """Return the rows that do not meet the user's own expectations of rows."""

    def judge_rows(self, tallies: "RowTallies", checks: Sequence[DataCheck]) -> list[DataCheckResult]:
        """Judge what row checks found in all batches."""

    def check_table(self, values: dict[str, float], checks: Sequence[DataCheck]) -> list[DataCheckResult]:
        """Check one number for each check."""


class PlainRunner:
    """Judges checks with pandas, in a fraction of the time that importing Great Expectations takes."""

    def own_failing_rows(self) -> dict[DataCheck, Sequence[int]]:
        """Return nothing: the user's own expectations need Great Expectations."""
        return {}

    def judge_rows(self, tallies: "RowTallies", checks: Sequence[DataCheck]) -> list[DataCheckResult]:
        """Judge what row checks found in all batches."""
        return [row_result(check, tallies.checks[check.name]) for check in checks]

    def check_rows(self, frame: pd.DataFrame, checks: Sequence[DataCheck]) -> list[DataCheckResult]:
        """Check each row of a frame."""
        results = []
        for check in checks:
            rows = frame.index[fails(frame, check)].tolist()
            results.append(DataCheckResult(check, passed=not rows, observed=len(rows), failing_rows=rows))
        return results

    def check_table(self, values: dict[str, float], checks: Sequence[DataCheck]) -> list[DataCheckResult]:
        """Check one number for each check."""
        frame = pd.DataFrame([values])
        return [DataCheckResult(check, not fails(frame, check).any(), values[check.column]) for check in checks]


def row_result(check: DataCheck, tally: "CheckTally") -> DataCheckResult:
    """Return the result of a row check from its counts."""
    return DataCheckResult(check, tally.failing == 0, observed=tally.failing, failing_rows=tally.first_rows)


def fails(frame: pd.DataFrame, check: DataCheck) -> pd.Series:
    """Mark the rows that fail; only the null check looks at nulls."""
    values = frame[check.column]
    failing = values.isna()
    if check.allowed is not None:
        failing = ~failing & ~values.isin(check.allowed)
    elif check.min_value is not None or check.max_value is not None:
        # A comparison with null is false.
        low = -math.inf if check.min_value is None else check.min_value
        high = math.inf if check.max_value is None else check.max_value
        failing = values.lt(low) | values.gt(high)
    return failing & ~is_skipped(frame, check)


def is_skipped(frame: pd.DataFrame, check: DataCheck) -> pd.Series:
    """Mark the rows that are not checked."""
    if check.skip_where is None:
        return pd.Series(False, index=frame.index)
    return frame[check.skip_where]
