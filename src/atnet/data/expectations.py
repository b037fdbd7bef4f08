"""Have Great Expectations judge the checks: one suite over the rows, one over the counts of the whole table."""

import logging
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import great_expectations as gx
import pandas as pd
from great_expectations.data_context.types.base import ProgressBarsConfig
from great_expectations.expectations.row_conditions import Column

from atnet.data.data_checks import DataCheck

# Its classes are not exported in the way that type checkers ask for.
gxe: Any = gx.expectations
# Without unexpected_index_column_names the frame's index names the bad rows: the same numbers, many times
# as fast when a large part of a million rows is bad.
RESULT_FORMAT = {"result_format": "COMPLETE", "return_unexpected_index_query": False}


@dataclass(frozen=True, slots=True)
class CheckOutcome:
    """What a check found."""

    check: DataCheck
    passed: bool
    observed: float
    """Rows that break a row check; the number that a table check looks at."""
    rows: Sequence[int] = ()
    """Index of each row that breaks a row check."""


class Judge:
    """A Great Expectations context that lives in memory: judges both suites and shows them as Data Docs."""

    def __init__(self) -> None:
        logging.getLogger("great_expectations").setLevel(logging.ERROR)
        self._context: Any = gx.get_context(mode="ephemeral")
        self._context.variables.progress_bars = ProgressBarsConfig(globally=False, metric_calculations=False)
        self._context.variables.analytics_enabled = False

    def rows(self, frame: pd.DataFrame, checks: Sequence[DataCheck]) -> list[CheckOutcome]:
        """Judge each row of a frame; the verdicts come in the order of the checks."""
        results = self._results("rows", frame, {check: _row_expectation(check) for check in checks})
        return [
            CheckOutcome(
                check=check,
                passed=bool(result.success),
                observed=int(result.result["unexpected_count"]),
                rows=result.result["unexpected_index_list"] or (),
            )
            for check, result in results.items()
        ]

    def table(self, numbers: dict[str, float], checks: Sequence[DataCheck]) -> list[CheckOutcome]:
        """Judge one number per check; the verdicts come in the order of the checks."""
        results = self._results(
            "table", pd.DataFrame([numbers]), {check: _number_expectation(check) for check in checks}
        )
        return [
            CheckOutcome(check=check, passed=bool(result.success), observed=float(result.result["observed_value"]))
            for check, result in results.items()
        ]

    def pages(self) -> dict[str, bytes]:
        """Render the Data Docs: path within the site -> contents. They hold the time of the run."""
        with tempfile.TemporaryDirectory() as folder:
            self._context.variables.data_docs_sites = {"local_site": _site(folder)}
            self._context.build_data_docs()
            files = (path for path in sorted(Path(folder).rglob("*")) if path.is_file())
            return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}

    def _results(self, name: str, frame: pd.DataFrame, expectations: dict[DataCheck, Any]) -> dict[DataCheck, Any]:
        asset = self._context.data_sources.add_or_update_pandas(name).add_dataframe_asset(name)
        suite = gx.ExpectationSuite(name=name, expectations=list(expectations.values()))
        definition = gx.ValidationDefinition(
            name=name,
            data=asset.add_batch_definition_whole_dataframe("all"),
            suite=self._context.suites.add_or_update(suite),
        )
        definition = self._context.validation_definitions.add_or_update(definition)
        outcome = definition.run(batch_parameters={"dataframe": frame}, result_format=RESULT_FORMAT)
        found = {result.expectation_config.meta["check"]: result for result in outcome.results}
        for name, result in found.items():
            assert not result.exception_info.get("raised_exception"), f"{name}: {result.exception_info}"
        return {check: found[check.name] for check in expectations}


def _told(check: DataCheck) -> dict[str, Any]:
    told: dict[str, Any] = {
        "column": check.column,
        "severity": check.severity,
        "notes": check.meaning,
        "meta": {"check": check.name},
    }
    if check.unless is not None:
        told["row_condition"] = Column(check.unless) == False  # noqa: E712 - builds a condition, compares nothing
    return told


def _row_expectation(check: DataCheck) -> Any:
    if check.allowed is not None:
        return gxe.ExpectColumnValuesToBeInSet(**_told(check), value_set=list(check.allowed))
    if check.min_value is None and check.max_value is None:
        return gxe.ExpectColumnValuesToNotBeNull(**_told(check))
    return gxe.ExpectColumnValuesToBeBetween(**_told(check), min_value=check.min_value, max_value=check.max_value)


def _number_expectation(check: DataCheck) -> Any:
    return gxe.ExpectColumnMaxToBeBetween(**_told(check), min_value=check.min_value, max_value=check.max_value)


def _site(folder: str) -> dict[str, Any]:
    return {
        "class_name": "SiteBuilder",
        "show_how_to_buttons": False,
        "store_backend": {"class_name": "TupleFilesystemStoreBackend", "base_directory": folder},
        "site_index_builder": {"class_name": "DefaultSiteIndexBuilder"},
    }
