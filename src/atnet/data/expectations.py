"""Run the checks with Great Expectations: one suite over the rows, one over the statistics of the whole table.

The user's own expectations are part of these suites: those of single rows of the first, the others of the second. They
see the columns of the data file under their own names.
"""

import copy
import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import great_expectations as gx
import pandas as pd
from great_expectations.data_context.types.base import ProgressBarsConfig
from great_expectations.expectations.row_conditions import Column

from atnet.data.check_results import DataCheckResult, row_result
from atnet.data.data_checks import DataCheck, own_check
from atnet.data.native_expectations import native_expectation, require_checked
from atnet.data.own_expectations import OwnExpectations
from atnet.data.row_tallies import CheckTally, RowTallies

# Its classes are not exported in the way that type checkers need.
gxe: Any = gx.expectations
# Without unexpected_index_column_names the frame's index identifies the failing rows: the same numbers, many times
# faster if a large share of a million rows fails.
RESULT_FORMAT = {"result_format": "COMPLETE", "return_unexpected_index_query": False}
ROWS, TABLE = "rows", "table"


@dataclass(frozen=True, slots=True)
class SuiteRun:
    """An expectation suite and its result, as Great Expectations' own objects; their types are not exported."""

    suite: Any
    result: Any


class ExpectationRunner:
    """An in-memory Great Expectations context that runs both suites and keeps their results."""

    def __init__(self, own: OwnExpectations | None = None) -> None:
        """Prepare the context.

        Args:
            own: the user's own expectations.

        Raises:
            ConfigurationError: if one of them is not an expectation that Great Expectations has.
        """
        logging.getLogger("great_expectations").setLevel(logging.ERROR)
        self._context: Any = gx.get_context(mode="ephemeral")
        self._context.variables.progress_bars = ProgressBarsConfig(globally=False, metric_calculations=False)
        self._context.variables.analytics_enabled = False
        self._own = own
        self._native: dict[str, dict[DataCheck, Any]] = {ROWS: {}, TABLE: {}}
        for number, expectation in enumerate(own.expectations if own else (), start=1):
            native = native_expectation(expectation, f"{own.source if own else ''}: expectation {number}")
            self._native[ROWS if native.is_of_rows else TABLE][own_check(expectation)] = native.expectation
        self._own_outcomes: dict[str, Any] = {}
        self.suite_runs: list[SuiteRun] = []

    def own_failing_rows(self) -> dict[DataCheck, Sequence[int]]:
        """Return the rows that do not meet the user's own expectations of rows."""
        if not self._native[ROWS]:
            return {}
        results = _by_check(self._own_outcome(ROWS))
        return {check: _row_result(check, results[check.name]).failing_rows for check in self._native[ROWS]}

    def judge_rows(self, tallies: RowTallies, checks: Sequence[DataCheck]) -> list[DataCheckResult]:
        """Judge what row checks found in all batches.

        Great Expectations sees the sample of failing rows; the counts in its results are then those of all rows.
        """
        expectations = [_row_expectation(check) for check in checks]
        suite, outcome = self._validate(ROWS, tallies.sample, expectations)
        for name, result in _by_check(outcome).items():
            result.result.update(_counts(tallies.checks[name], result.result))
        results = self._complete(ROWS, suite, outcome)
        own = [_row_result(check, results[check.name]) for check in self._native[ROWS]]
        return [*(row_result(check, tallies.checks[check.name]) for check in checks), *own]

    def check_rows(self, frame: pd.DataFrame, checks: Sequence[DataCheck]) -> list[DataCheckResult]:
        """Check each row of a frame."""
        results = self._run(ROWS, frame, {check.name: _row_expectation(check) for check in checks})
        declared = [*checks, *self._native[ROWS]]
        return [_row_result(check, results[check.name]) for check in declared]

    def check_table(self, values: dict[str, float], checks: Sequence[DataCheck]) -> list[DataCheckResult]:
        """Check one number for each check."""
        frame = pd.DataFrame([values])
        results = self._run(TABLE, frame, {check.name: _number_expectation(check) for check in checks})
        declared = [*checks, *self._native[TABLE]]
        return [_table_result(check, results[check.name]) for check in declared]

    def _run(self, name: str, frame: pd.DataFrame, expectations: Mapping[str, Any]) -> dict[str, Any]:
        """Run a suite and return the result of each expectation by the name of its check."""
        return self._complete(name, *self._validate(name, frame, list(expectations.values())))

    def _complete(self, name: str, suite: Any, outcome: Any) -> dict[str, Any]:
        """Add the user's own expectations, keep the run and return the results by the name of their check."""
        if self._native[name]:
            suite, outcome = _merged(suite, outcome, list(self._native[name].values()), self._own_outcome(name))
        self.suite_runs.append(SuiteRun(suite, outcome))
        results = _by_check(outcome)
        for check_name, result in results.items():
            assert not result.exception_info.get("raised_exception"), f"{check_name}: {result.exception_info}"
        return results

    def _own_outcome(self, name: str) -> Any:
        """Run the user's own expectations, once."""
        assert self._own is not None
        if name not in self._own_outcomes:
            _, outcome = self._validate(f"own_{name}", self._own.frame, list(self._native[name].values()))
            for result in outcome.results:
                require_checked(result, self._own.source)
            self._own_outcomes[name] = outcome
        return self._own_outcomes[name]

    def _validate(self, name: str, frame: pd.DataFrame, expectations: list[Any]) -> tuple[Any, Any]:
        """Validate a frame; return the suite and the result."""
        asset = self._context.data_sources.add_or_update_pandas(name).add_dataframe_asset(name)
        suite = self._context.suites.add_or_update(gx.ExpectationSuite(name=name, expectations=expectations))
        definition = gx.ValidationDefinition(
            name=name, data=asset.add_batch_definition_whole_dataframe("all"), suite=suite
        )
        definition = self._context.validation_definitions.add_or_update(definition)
        return suite, definition.run(batch_parameters={"dataframe": frame}, result_format=RESULT_FORMAT)


def _merged(suite: Any, outcome: Any, own: list[Any], own_outcome: Any) -> tuple[Any, Any]:
    """Add the user's own expectations and their results to a suite and its result."""
    # A copy belongs to no suite yet.
    copies = [copy.copy(expectation) for expectation in (*suite.expectations, *own)]
    merged = gx.ExpectationSuite(name=suite.name, expectations=copies)
    outcome.results.extend(own_outcome.results)
    passed = sum(bool(result.success) for result in outcome.results)
    outcome.success = passed == len(outcome.results)
    outcome.statistics.update(
        evaluated_expectations=len(outcome.results),
        successful_expectations=passed,
        unsuccessful_expectations=len(outcome.results) - passed,
        success_percent=100 * passed / len(outcome.results),
    )
    return merged, outcome


def _by_check(outcome: Any) -> dict[str, Any]:
    return {result.expectation_config.meta["check"]: result for result in outcome.results}


def _counts(tally: CheckTally, of_sample: Mapping[str, Any]) -> dict[str, Any]:
    """Return the counts of all rows for those that a result of Great Expectations has of the sample."""
    total = tally.failing / tally.elements * 100 if tally.elements else None
    # The null check has no missing values: null is what it looks for.
    nonnull = tally.nonnull if "missing_count" in of_sample else tally.elements
    nonmissing = tally.failing / nonnull * 100 if nonnull else None
    counts = {
        "element_count": tally.elements,
        "unexpected_count": tally.failing,
        "unexpected_percent": nonmissing,
        "missing_count": tally.elements - tally.nonnull,
        "missing_percent": (tally.elements - tally.nonnull) / tally.elements * 100 if tally.elements else None,
        "unexpected_percent_total": total,
        "unexpected_percent_nonmissing": nonmissing,
    }
    return {name: value for name, value in counts.items() if name in of_sample}


def _row_result(check: DataCheck, result: Any) -> DataCheckResult:
    rows = result.result.get("unexpected_index_list") or ()
    # An expectation that holds for most rows (`mostly`) passes although some do not meet it.
    failing = rows if not result.success else ()
    return DataCheckResult(check, passed=bool(result.success), observed=len(failing), failing_rows=list(failing))


def _table_result(check: DataCheck, result: Any) -> DataCheckResult:
    value = result.result.get("observed_value")
    is_number = isinstance(value, int | float) or hasattr(value, "item")
    return DataCheckResult(
        check=check,
        passed=bool(result.success),
        observed=float(value) if is_number else math.nan,
        observed_value="" if is_number or value is None else str(value),
    )


def _common_arguments(check: DataCheck) -> dict[str, Any]:
    arguments: dict[str, Any] = {
        "column": check.column,
        "severity": check.severity,
        "notes": check.description,
        "meta": {"check": check.name},
    }
    if check.skip_where is not None:
        # Builds a condition; nothing is compared here.
        arguments["row_condition"] = Column(check.skip_where) == False  # noqa: E712
    return arguments


def _row_expectation(check: DataCheck) -> Any:
    arguments = _common_arguments(check)
    if check.allowed is not None:
        return gxe.ExpectColumnValuesToBeInSet(**arguments, value_set=list(check.allowed))
    if check.min_value is None and check.max_value is None:
        return gxe.ExpectColumnValuesToNotBeNull(**arguments)
    return gxe.ExpectColumnValuesToBeBetween(**arguments, min_value=check.min_value, max_value=check.max_value)


def _number_expectation(check: DataCheck) -> Any:
    return gxe.ExpectColumnMaxToBeBetween(
        **_common_arguments(check), min_value=check.min_value, max_value=check.max_value
    )
