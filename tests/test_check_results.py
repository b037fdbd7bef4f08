"""Great Expectations and the plain runner give the same results."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from atnet.data.check_results import DataCheckResult, PlainRunner
from atnet.data.data_checks import row_checks
from atnet.data.expectations import ExpectationRunner
from atnet.data.repeated_ids import earlier_ids
from atnet.data.row_statistics import row_frame
from atnet.data.row_tallies import check_frame
from atnet.data.validation import ValidationResult, validate_table
from tests.settings import LABELED, params_with
from tests.texts import labeled_texts


def table_of(rows: list[tuple[Any, ...]]) -> pd.DataFrame:
    table = pd.concat([labeled_texts(30), pd.DataFrame(rows, columns=["id", "text", "label"])], ignore_index=True)
    return table.set_axis(pd.RangeIndex(1, len(table) + 1))


def outcomes(results: list[DataCheckResult]) -> list[tuple[str, bool, float, list[int]]]:
    return [(result.check.name, result.passed, result.observed, list(result.failing_rows)) for result in results]


@pytest.mark.slow
@pytest.mark.parametrize(
    "rows",
    [
        [],
        [("a", None, None), ("b", "", "x"), ("row-00001", " ", "positive"), ("c", "\u200b", "positive")],
        [("d", "bro\ufffdken", "other"), ("e", "\x00\x01", None), ("f", "w " * 90, "negative")],
        [(f"r{n}", f"text {n % 2}", "other") for n in range(9)],
    ],
)
@pytest.mark.parametrize("labels", [None, ["negative", "positive"]])
def test_both_runners_agree(rows: list[tuple[Any, ...]], labels: list[str] | None) -> None:
    config = params_with(
        LABELED,
        {
            "validate": {
                "labels": labels,
                "text_words": {"min_value": 1, "max_value": 50, "severity": "warning"},
                "rows_per_label": {"min_rows": 10, "severity": "critical"},
            }
        },
    ).validate_
    results: list[ValidationResult] = [
        validate_table(table_of(rows), config, runner) for runner in (PlainRunner(), ExpectationRunner())
    ]

    assert outcomes(results[0].row_results) == outcomes(results[1].row_results)
    assert outcomes(results[0].table_results) == outcomes(results[1].table_results)
    pd.testing.assert_frame_equal(results[0].quarantine, results[1].quarantine)
    pd.testing.assert_frame_equal(results[0].valid, results[1].valid)


@pytest.mark.parametrize("labels", [None, ["negative", "positive"]])
def test_great_expectations_finds_the_rows_that_the_checks_of_a_batch_find(labels: list[str] | None) -> None:
    rows = [("a", None, None), ("b", "", "x"), ("row-00001", " ", "positive"), ("e", "\x00\x01", None)]
    table = table_of([*rows, ("d", "bro\ufffdken", "other"), ("f", "w " * 90, "negative")])
    config = params_with(LABELED, {"validate": {"labels": labels}}).validate_
    excluded_by = pd.Series(None, index=table.index, dtype="str").mask(table["label"] == "other", "label_map")
    frame = row_frame(table, excluded_by, earlier_ids(table["id"]))
    checks = row_checks(config)
    found = outcomes(ExpectationRunner().check_rows(frame, checks))
    assert found == outcomes(PlainRunner().check_rows(frame, checks))
    assert found == outcomes(PlainRunner().judge_rows(check_frame(frame, checks).tallies, checks))
    assert sum(not passed for _, passed, _, _ in found) >= 5


def test_great_expectations_reports_the_counts_of_all_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("atnet.data.row_tallies.SAMPLED_ROWS", 2)
    table = table_of([(f"r{n}", " " if n % 3 else None, "positive") for n in range(30)])
    checks = row_checks(params_with(LABELED).validate_)
    frame = row_frame(table, pd.Series(None, index=table.index, dtype="str"), earlier_ids(table["id"]))
    tallies = check_frame(frame[:35], checks).tallies
    tallies.add(check_frame(frame[35:], checks).tallies)
    whole, batches = ExpectationRunner(), ExpectationRunner()
    whole.check_rows(frame, checks)
    batches.judge_rows(tallies, checks)
    assert len(tallies.sample) < 10
    for result, expected in zip(batches.suite_runs[0].result.results, whole.suite_runs[0].result.results, strict=True):
        assert result.success == expected.success
        for name, value in expected.result.items():
            if "count" in name or "percent" in name:
                assert name == "partial_unexpected_counts" or result.result[name] == value, name


def test_both_runners_agree_on_excluded_rows() -> None:
    rating = pd.Series([-2.0, 2.0, 0.1, np.nan] * 5)
    table = pd.DataFrame({"id": rating.index.astype(str), "text": "text " + rating.index.astype(str), "rating": rating})
    table = table.set_axis(pd.RangeIndex(1, 21))
    plain, expectations = (
        validate_table(table, params_with().validate_, runner) for runner in (PlainRunner(), ExpectationRunner())
    )

    assert outcomes(plain.row_results) == outcomes(expectations.row_results)
    assert plain.excluded == expectations.excluded == {"neutral_band": 5}
