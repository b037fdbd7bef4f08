"""Great Expectations and the plain runner give the same results."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from atnet.data.check_results import DataCheckResult, PlainRunner
from atnet.data.expectations import ExpectationRunner
from atnet.data.validation import ValidationResult, validate_table
from tests.settings import LABELED, params_with
from tests.texts import labeled_texts


def table_of(rows: list[tuple[Any, ...]]) -> pd.DataFrame:
    table = pd.concat([labeled_texts(30), pd.DataFrame(rows, columns=["id", "text", "label"])], ignore_index=True)
    return table.set_axis(pd.RangeIndex(1, len(table) + 1))


def outcomes(results: list[DataCheckResult]) -> list[tuple[str, bool, float, list[int]]]:
    return [(result.check.name, result.passed, result.observed, list(result.failing_rows)) for result in results]


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


def test_both_runners_agree_on_excluded_rows() -> None:
    rating = pd.Series([-2.0, 2.0, 0.1, np.nan] * 5)
    table = pd.DataFrame({"id": rating.index.astype(str), "text": "text " + rating.index.astype(str), "rating": rating})
    table = table.set_axis(pd.RangeIndex(1, 21))
    plain, expectations = (
        validate_table(table, params_with().validate_, runner) for runner in (PlainRunner(), ExpectationRunner())
    )

    assert outcomes(plain.row_results) == outcomes(expectations.row_results)
    assert plain.excluded == expectations.excluded == {"neutral_band": 5}
