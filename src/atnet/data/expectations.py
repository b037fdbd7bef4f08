"""Run the checks with Great Expectations: one suite over the rows, one over the statistics of the whole table."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import great_expectations as gx
import pandas as pd
from great_expectations.data_context.types.base import ProgressBarsConfig
from great_expectations.expectations.row_conditions import Column

from atnet.data.check_results import DataCheckResult
from atnet.data.data_checks import DataCheck

# Its classes are not exported in the way that type checkers need.
gxe: Any = gx.expectations
# Without unexpected_index_column_names the frame's index identifies the failing rows: the same numbers, many times
# faster if a large share of a million rows fails.
RESULT_FORMAT = {"result_format": "COMPLETE", "return_unexpected_index_query": False}


@dataclass(frozen=True, slots=True)
class SuiteRun:
    """An expectation suite and its result, as Great Expectations' own objects; their types are not exported."""

    suite: Any
    result: Any


class ExpectationRunner:
    """An in-memory Great Expectations context that runs both suites and keeps their results."""

    def __init__(self) -> None:
        logging.getLogger("great_expectations").setLevel(logging.ERROR)
        self._context: Any = gx.get_context(mode="ephemeral")
        self._context.variables.progress_bars = ProgressBarsConfig(globally=False, metric_calculations=False)
        self._context.variables.analytics_enabled = False
        self.suite_runs: list[SuiteRun] = []

    def check_rows(self, frame: pd.DataFrame, checks: Sequence[DataCheck]) -> list[DataCheckResult]:
        """Check each row of a frame; the results are in the order of the checks."""
        results = self._run("rows", frame, {check: _row_expectation(check) for check in checks})
        return [
            DataCheckResult(
                check=check,
                passed=bool(result.success),
                observed=int(result.result["unexpected_count"]),
                failing_rows=result.result["unexpected_index_list"] or (),
            )
            for check, result in results.items()
        ]

    def check_table(self, values: dict[str, float], checks: Sequence[DataCheck]) -> list[DataCheckResult]:
        """Check one number for each check; the results are in the order of the checks."""
        results = self._run("table", pd.DataFrame([values]), {check: _number_expectation(check) for check in checks})
        return [
            DataCheckResult(check=check, passed=bool(result.success), observed=float(result.result["observed_value"]))
            for check, result in results.items()
        ]

    def _run(self, name: str, frame: pd.DataFrame, expectations: dict[DataCheck, Any]) -> dict[DataCheck, Any]:
        asset = self._context.data_sources.add_or_update_pandas(name).add_dataframe_asset(name)
        suite = self._context.suites.add_or_update(
            gx.ExpectationSuite(name=name, expectations=list(expectations.values()))
        )
        definition = gx.ValidationDefinition(
            name=name,
            data=asset.add_batch_definition_whole_dataframe("all"),
            suite=suite,
        )
        definition = self._context.validation_definitions.add_or_update(definition)
        outcome = definition.run(batch_parameters={"dataframe": frame}, result_format=RESULT_FORMAT)
        self.suite_runs.append(SuiteRun(suite, outcome))
        results = {result.expectation_config.meta["check"]: result for result in outcome.results}
        for check_name, result in results.items():
            assert not result.exception_info.get("raised_exception"), f"{check_name}: {result.exception_info}"
        return {check: results[check.name] for check in expectations}


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
