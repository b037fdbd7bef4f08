"""Texts that are longer than the limits are cut by default, and counted."""

from typing import Any

import pandas as pd
import pytest

from atnet.data.check_results import PlainRunner
from atnet.data.long_texts import cut_text
from atnet.data.quality_report import quality_report, summarize
from atnet.data.reader import SourceFile
from atnet.data.validation import ValidationResult, validate_table
from tests.settings import LABELED, params_with
from tests.texts import labeled_texts

SOURCE = SourceFile("csv", rows=40, lines=40, separator=",", quoting="standard", warnings=())
LIMITS = {"text_characters": {"min_value": 1, "max_value": 200, "severity": "critical"}}


def validate(**values: Any) -> ValidationResult:
    table = labeled_texts(40).assign(split=["train"] * 30 + ["test"] * 10).set_axis(pd.RangeIndex(1, 41))
    table.loc[[1, 39, 40], "text"] = "x" * 500
    return validate_table(table, params_with(LABELED, {"validate": {**LIMITS, **values}}).validate_, PlainRunner())


def test_long_texts_are_cut_and_counted_by_split() -> None:
    result = validate()

    assert len(result.valid) == 40
    assert result.valid["text"].str.len().max() == 200
    assert quality_report(result, SOURCE)["cut_texts"] == {"rows": 3, "by_split": {"test": 2, "train": 1}}
    assert "3 texts are longer than" in summarize(result, SOURCE)
    assert "(test 2, train 1)" in summarize(result, SOURCE)


def test_they_are_quarantined_on_request_and_reported_by_split() -> None:
    result = validate(long_texts="quarantine", max_quarantined_fraction=0.5)

    assert len(result.valid) == 37
    assert result.quarantine["text"].str.len().tolist() == [500, 500, 500]
    assert "3 quarantined (text_characters 3; test 2, train 1)" in summarize(result, SOURCE)


@pytest.mark.parametrize("severity", ["warning", "off"])
def test_a_limit_that_is_not_critical_cuts_nothing(severity: str) -> None:
    result = validate(text_characters={"min_value": 1, "max_value": 200, "severity": severity})
    assert result.valid["text"].str.len().max() == 500


@pytest.mark.parametrize(
    ("text", "characters", "words", "expected"),
    [
        ("one two three", 100, 2, "one two"),
        ("one\n two  three four", 100, 3, "one\n two  three"),
        ("one two", 100, 2, "one two"),
        ("one two ", 100, 2, "one two "),
        ("a b c d", 100, 3, "a b c"),
        ("abcdef", 3, 10, "abc"),
        ("", 3, 3, ""),
    ],
)
def test_a_text_is_cut_at_words_and_characters(text: str, characters: int, words: int, expected: str) -> None:
    assert cut_text(text, characters=characters, words=words) == expected
