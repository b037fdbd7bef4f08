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

from atnet.data.check_results import DataCheckResult
from atnet.data.data_checks import DataCheck, own_check
from atnet.data.native_expectations import native_expectation, require_checked
from atnet.data.own_expectations import OwnExpectations

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
        self.suite_runs: list[SuiteRun] = []

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
        suite, outcome = self._validate(name, frame, list(expectations.values()))
        own = list(self._native[name].values())
        if own and self._own is not None:
            _, own_outcome = self._validate(f"own_{name}", self._own.frame, own)
            for result in own_outcome.results:
                require_checked(result, self._own.source)
            suite, outcome = _merged(suite, outcome, own, own_outcome)
        self.suite_runs.append(SuiteRun(suite, outcome))
        results = {result.expectation_config.meta["check"]: result for result in outcome.results}
        for check_name, result in results.items():
            assert not result.exception_info.get("raised_exception"), f"{check_name}: {result.exception_info}"
        return results

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
