"""Slices: every row is in exactly one slice, and a small slice is counted, not scored."""

import numpy as np
import pandas as pd
import pytest

from atnet.config import Params
from atnet.evaluation.slices import (
    REST,
    VALUES_PER_COLUMN,
    ColumnValues,
    Slice,
    column_slices,
    count_words,
    length_slices,
    score_slice,
    unknown_shares,
    unknown_slices,
    value_slices,
)


def assert_partition(slices: list[Slice]) -> None:
    """Check that every row is in exactly one slice."""
    assert (np.sum([part.rows_N for part in slices], axis=0) == 1).all()


def test_a_column_has_one_slice_per_value_and_one_for_missing_values() -> None:
    table = pd.DataFrame({"domain": ["tweets", "movie", None, "tweets"]})
    slices = column_slices(table, "domain")
    assert [(part.value, int(part.rows_N.sum())) for part in slices] == [("(none)", 1), ("movie", 1), ("tweets", 2)]
    assert_partition(slices)


def test_the_values_of_batches_are_those_of_the_whole_column() -> None:
    column = pd.Series(["tweets", None, "movie", "tweets", "(none)", "news", None, "movie"])
    parts = [ColumnValues.of(column.iloc[start : start + 3]) for start in range(0, len(column), 3)]
    joined = value_slices("domain", ColumnValues.concatenated(parts))
    whole = value_slices("domain", ColumnValues.of(column))
    assert [(part.value, part.rows_N.tolist()) for part in joined] == [
        (part.value, part.rows_N.tolist()) for part in whole
    ]
    assert [(part.value, int(part.rows_N.sum())) for part in joined] == [
        ("(none)", 3),
        ("movie", 2),
        ("news", 1),
        ("tweets", 2),
    ]


def test_the_rare_values_of_a_column_are_combined() -> None:
    table = pd.DataFrame({"author": [f"author {row}" for row in range(500)] + ["frequent"] * 5})
    slices = column_slices(table, "author")
    assert len(slices) == VALUES_PER_COLUMN + 1
    assert slices[-1].value == REST
    assert any(part.value == "frequent" for part in slices)
    assert_partition(slices)


def test_columns_of_numbers_and_flags_can_be_slices() -> None:
    table = pd.DataFrame({"year": [2020, 2021, 2020], "verified": [True, False, True]})
    assert [part.value for part in column_slices(table, "year")] == ["2020", "2021"]
    assert [part.value for part in column_slices(table, "verified")] == ["False", "True"]


def test_lengths_are_sliced_at_quantiles_shortest_first() -> None:
    words = np.arange(1, 101)
    slices = length_slices(words, [0.75, 0.25, 0.5])
    assert [part.value for part in slices] == ["1 to 25 words", "26 to 50 words", "51 to 75 words", "76 to 100 words"]
    assert_partition(slices)


@pytest.mark.parametrize("words", [[4] * 20, [1] * 19 + [9], [1, 2]])
def test_equal_lengths_stay_together(words: list[int]) -> None:
    slices = length_slices(np.array(words), [0.25, 0.5, 0.75])
    assert_partition(slices)
    assert all(part.rows_N.any() for part in slices)
    assert len({part.value for part in slices}) == len(slices)


def test_without_quantiles_all_lengths_are_one_slice() -> None:
    assert [part.value for part in length_slices(np.array([3, 8]), [])] == ["3 to 8 words"]


def test_words_are_separated_by_any_white_space() -> None:
    assert count_words(["", "um", "não  é\tbom\n"]).tolist() == [0, 1, 3]


def test_unknown_tokens_are_counted_as_a_share() -> None:
    shares = unknown_shares([[1], [5, 6, 7], [1, 2], []], 1)
    assert shares.tolist() == [1, 0, 0.5, 0]
    slices = unknown_slices(shares)
    assert [(part.value, int(part.rows_N.sum())) for part in slices] == [("none", 2), ("more than 15%", 2)]


def test_a_small_slice_is_counted_and_not_scored(params: Params) -> None:
    actual = np.arange(100) % 2
    predicted, reference = actual.copy(), 1 - actual
    few, many = np.arange(100) < 10, np.arange(100) >= 10
    rng = np.random.default_rng(0)
    small, large = (
        score_slice(Slice("length", "x", rows, 1), actual, predicted, reference, 2, config=params.evaluate, rng=rng)
        for rows in (few, many)
    )
    assert (small.rows, small.accuracy, small.macro_f1, small.lead) == (10, None, None, None)
    assert large.accuracy is not None
    assert large.lead is not None
    assert (large.rows, large.accuracy.value, large.lead.value) == (90, 1, 1)
