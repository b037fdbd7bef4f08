"""Labels, row checks, exclusion rules and table checks of a canonical table."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from atnet.data.expectations import ExpectationRunner
from atnet.data.label_checks import check_label_settings
from atnet.data.label_mapping import map_labels
from atnet.data.quality_report import quality_report, require_passed, summarize
from atnet.data.reader import SourceFile
from atnet.data.repeated_ids import earlier_ids
from atnet.data.row_statistics import measure_rows
from atnet.data.table_statistics import text_keys
from atnet.data.validation import ValidationResult, validate_table
from atnet.errors import ConfigurationError, DataContractError
from tests.settings import LABELED, params_with
from tests.texts import labeled_texts

ANY_WORDS = {"min_value": 1, "max_value": 10, "severity": "off"}
SOURCE = SourceFile("csv", rows=100, lines=100, separator=",", quoting="standard", warnings=())
OFF = {"max_fraction": 0.0, "severity": "off"}


def canonical(rows: list[tuple[Any, ...]], columns: tuple[str, ...] = ("id", "text", "label")) -> pd.DataFrame:
    table = pd.DataFrame(rows, columns=list(columns))
    return table.set_axis(pd.RangeIndex(1, len(table) + 1))


def with_invalid(*invalid: tuple[Any, ...], rows: int = 100) -> pd.DataFrame:
    """Append invalid rows to valid ones; the first invalid row is row `rows` + 1."""
    table = pd.concat([labeled_texts(rows), pd.DataFrame(invalid, columns=["id", "text", "label"])], ignore_index=True)
    return table.set_axis(pd.RangeIndex(1, len(table) + 1))


def validate(table: pd.DataFrame, **values: Any) -> ValidationResult:
    return validate_table(table, params_with(LABELED, {"validate": values}).validate_, ExpectationRunner())


def reasons(result: ValidationResult) -> dict[int, str]:
    return dict(zip(result.quarantine["row"], result.quarantine["reasons"], strict=True))


def failed(result: ValidationResult) -> set[str]:
    return {check_result.check.name for check_result in result.failed}


def test_valid_rows_are_kept_unchanged() -> None:
    table = with_invalid()
    result = validate(table)

    assert result.failed == []
    assert result.warnings == []
    pd.testing.assert_frame_equal(result.valid, table.reset_index(drop=True))
    assert len(result.quarantine) == 0
    assert summarize(result, SOURCE) == "100 rows read, 100 valid, 0 quarantined"


def test_an_invalid_row_is_quarantined_with_all_its_reasons() -> None:
    table = with_invalid(
        ("a", None, "positive"),
        ("b", " \u00a0\n", "positive"),
        ("c", "short", None),
        ("d", "too many words in here for that limit", "positive"),
        ("e", "bro\ufffdken", "positive"),
        ("f", "bell\x07", None),
        ("row-00000", "an earlier row has this id", "negative"),
        ("g", "an unknown label", "other"),
    )
    limits = {"text_words": {"min_value": 1, "max_value": 7, "severity": "critical"}, "long_texts": "quarantine"}
    result = validate(
        table.assign(text=table["text"].str.slice(0, 40)),
        labels=["negative", "positive"],
        max_quarantined_fraction=1.0,
        **limits,
    )
    assert {row: reason for row, reason in reasons(result).items() if row > 100} == {
        101: "text_not_null",
        102: "text_not_blank; text_words",
        103: "label_not_null",
        104: "text_words",
        105: "replacement_characters",
        106: "nonprinting_characters; label_not_null",
        107: "unique_id",
        108: "label_in_set",
    }


def test_the_quarantine_keeps_rows_as_they_are_in_the_file() -> None:
    table = with_invalid(("x", "", "1"), ("y", "fine text", "1"))
    result = validate(table, label_map={"1": "positive"}, max_quarantined_fraction=0.5)

    assert list(result.quarantine.columns) == ["id", "text", "label", "row", "reasons"]
    assert result.quarantine.iloc[0].tolist()[:4] == ["x", "", "1", 101]
    assert result.valid["label"].iloc[-1] == "positive"


def test_rows_with_a_warning_are_counted_and_stay_valid() -> None:
    result = validate(with_invalid(("a", "  ", "positive")), text_not_blank="warning", text_words=ANY_WORDS)

    assert len(result.valid) == 101
    assert [warning.check.name for warning in result.warnings] == ["text_not_blank"]
    assert result.warnings[0].observed == 1
    assert summarize(result, SOURCE).endswith("; warnings: text_not_blank in 1 rows")


def test_a_check_that_is_off_does_not_run() -> None:
    result = validate(with_invalid(("row-00000", "twice", "positive")), unique_id="off", duplicates=OFF)

    assert len(result.valid) == 101
    names = {check_result.check.name for check_result in (*result.row_results, *result.table_results)}
    assert not names & {"unique_id", "duplicates"}


def test_more_invalid_rows_than_allowed_fail_with_a_count_for_each_reason() -> None:
    result = validate(with_invalid(*[(f"b{n}", "", "positive") for n in range(20)]), max_quarantined_fraction=0.1)

    assert failed(result) == {"quarantined_fraction"}
    with pytest.raises(
        DataContractError, match=r"1 of 7 table checks failed: quarantined_fraction is 0\.1667, allowed at most 0\.1"
    ) as e:
        require_passed(result, Path("here/report.json"))
    assert "text_not_blank in 20 rows" in str(e.value)
    assert "See here/report.json and quarantine.parquet" in str(e.value)


def test_many_repeated_ids_are_explained_by_the_id_column() -> None:
    result = validate(labeled_texts(40).assign(id="same"))

    with pytest.raises(DataContractError, match=r"unique_id in 39 rows; data\.columns\.id: null numbers the rows"):
        require_passed(result, Path("report.json"))


def test_exactly_the_allowed_share_of_invalid_rows_passes() -> None:
    assert failed(validate(with_invalid(("a", "", "positive"), rows=99), max_quarantined_fraction=0.01)) == set()


def test_the_report_is_complete_even_if_all_rows_are_invalid() -> None:
    result = validate(canonical([("a", "", "x"), ("b", "", "y")]), max_quarantined_fraction=1.0)

    assert len(result.quarantine) == 2
    assert {"label_count", "mean_rows_per_label", "rows_per_label"} <= failed(result)
    assert quality_report(result, SOURCE)["rows"] == {"read": 2, "valid": 0, "excluded": 0, "quarantined": 2}


def test_a_single_label_fails() -> None:
    table = labeled_texts(40).assign(label="same")

    assert failed(validate(table)) == {"label_count"}


def test_a_label_with_too_few_rows_fails() -> None:
    result = validate(with_invalid(*[(f"r{n}", f"rare text {n}", "rare") for n in range(7)]))

    assert failed(result) == {"rows_per_label"}
    assert result.statistics.labels == {"negative": 50, "positive": 50, "rare": 7}


def test_an_allowed_label_without_rows_counts_as_the_rarest() -> None:
    result = validate(labeled_texts(40), labels=["negative", "positive", "mixed"])

    assert result.statistics.labels["mixed"] == 0
    assert "rows_per_label" in failed(result)


def test_fewer_rows_than_labels_fail_even_if_the_other_limits_are_off() -> None:
    table = canonical([("1", "a b", "x"), ("2", "c d", "y")])
    off = {"min_rows": 3, "severity": "off"}

    assert failed(validate(table, labels=["x", "y", "z"], rows_per_label=off)) == {"mean_rows_per_label"}


def test_duplicates_and_conflicts_are_counted_on_the_normalized_text() -> None:
    table = with_invalid(
        ("a", "Same  Text", "positive"), ("b", "same text", "positive"), ("c", "SAME TEXT ", "negative")
    )
    result = validate(table)

    assert result.statistics.duplicates == 2
    assert result.statistics.conflicting == 3
    assert [warning.check.name for warning in result.warnings] == ["conflicting_labels"]


def test_the_severity_of_a_table_check_decides_whether_it_fails() -> None:
    table = pd.concat([labeled_texts(20), labeled_texts(20).assign(id=lambda t: t["id"] + "b")], ignore_index=True)

    assert failed(validate(table)) == set()
    assert failed(validate(table, duplicates={"max_fraction": 0.2, "severity": "critical"})) == {"duplicates"}


def rated(*ratings: float | None) -> pd.DataFrame:
    rows = [(f"r{n}", f"text number {n}", rating) for n, rating in enumerate(ratings)]
    return canonical(rows, ("id", "text", "rating")).astype({"rating": "float64"})


def test_the_sign_of_the_rating_is_the_label_and_the_neutral_band_is_excluded() -> None:
    labeled = map_labels(rated(-4, -0.5001, -0.5, 0, 0.5, 0.5001, None), params_with().validate_)

    assert labeled.table["label"].fillna("").tolist() == ["negative", "negative", "", "", "", "positive", ""]
    assert labeled.excluded_by.notna().tolist() == [False, False, True, True, True, False, False]


def test_rows_excluded_by_a_rule_are_counted_apart_from_invalid_rows() -> None:
    table = rated(*[-2.0, 2.0] * 20, 0.1, 0.2, None)
    table.loc[42, "text"] = ""
    result = validate_table(table, params_with().validate_, ExpectationRunner())
    report = quality_report(result, SOURCE)

    assert report["rows"] == {"read": 43, "valid": 40, "excluded": 1, "quarantined": 2}
    assert report["excluded_by_rule"] == {"neutral_band": 1}
    assert reasons(result) == {42: "text_not_blank; text_characters; text_words", 43: "label_not_null"}
    assert result.quarantine["label"].isna().all()
    assert summarize(result, SOURCE) == (
        "43 rows read, 40 valid, 1 excluded by neutral_band, 2 quarantined "
        "(text_not_blank 1, text_characters 1, text_words 1, …)"
    )


def test_a_label_map_may_swap_labels_and_keeps_other_labels() -> None:
    config = params_with(LABELED, {"validate": {"label_map": {"0": "1", "1": "0"}}}).validate_
    labeled = map_labels(canonical([("a", "t", "0"), ("b", "t", "1"), ("c", "t", "2"), ("d", "t", None)]), config)

    assert labeled.table["label"].fillna("null").tolist() == ["1", "0", "2", "null"]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"labels": ["only"]}, "fewer than two labels"),
        ({"labels": ["a", "b"], "label_map": {"1": "c"}}, "label_map assigns the label 'c'"),
        ({"label_from_rating": {"neutral_band": 0.0, "negative": "a", "positive": "a"}}, "the same label"),
        (
            {"label_from_rating": {"neutral_band": 0.0, "negative": "a", "positive": "b"}, "labels": ["a", "c"]},
            "label_from_rating assigns the label 'b'",
        ),
        (
            {"label_from_rating": {"neutral_band": 0.0, "negative": "a", "positive": "b"}, "label_map": {"1": "a"}},
            "label_map has no effect",
        ),
    ],
)
def test_contradictory_label_settings_are_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        check_label_settings(params_with(LABELED, {"data.columns": {"rating": "r"}, "validate": values}).validate_)


def test_texts_are_measured_in_characters_not_bytes() -> None:
    table = canonical(
        [("a", "não é", "x"), ("b", "🤩", "x"), ("c", "", "x"), ("d", None, "x"), ("e", "a\tb\x00\x85\n", "x")]
    )
    measured = measure_rows(table)

    np.testing.assert_equal(measured["characters"].to_numpy(), [5, 1, 0, np.nan, 6])
    np.testing.assert_equal(measured["words"].to_numpy(), [2, 1, 0, np.nan, 2])
    np.testing.assert_allclose(measured["nonprinting_fraction"].to_numpy(), [0, 0, 0, np.nan, 2 / 6])


@pytest.mark.parametrize(
    "text",
    [
        "\u200b\u200c",  # zero-width
        "\ufeff",
        "\u2060\u00ad",  # word joiner, soft hyphen
        "\x00\x07",  # control characters
        "\u200e\u202e",  # direction marks
        "\ufe0f",  # a variation selector alone
        "\u2800",  # braille blank
        "\u3164\u115f",  # Hangul fillers
        " \u3000\t\n",
    ],
)
def test_a_text_that_nobody_can_read_is_blank(text: str) -> None:
    result = validate(with_invalid(("a", text, "positive")), nonprinting_characters=OFF, text_words=ANY_WORDS)

    assert reasons(result) == {101: "text_not_blank"}


@pytest.mark.parametrize("text", [".", "\u2764\ufe0f", "a\u200b", "\u0645\u200c\u06cc", "\u6211", "\ufffd"])
def test_a_text_with_a_visible_character_is_not_blank(text: str) -> None:
    assert measure_rows(canonical([("a", text, "x")]))["readable"].tolist() == [1]


def test_batches_give_the_same_values_as_the_whole_table() -> None:
    table = with_invalid(("a", None, "x"), ("b", "\ufffd", "y"))
    batches = [table.iloc[:30], table.iloc[30:101], table.iloc[101:]]

    pd.testing.assert_frame_equal(
        pd.concat([measure_rows(batch) for batch in batches]), measure_rows(table), check_dtype=False
    )
    with_text = table[table["text"].notna()]
    pd.testing.assert_series_equal(
        pd.concat([text_keys(with_text[:50]), text_keys(with_text[50:])]), text_keys(with_text)
    )


def test_only_later_rows_count_as_repeated_ids() -> None:
    assert earlier_ids(pd.Series(["a", "b", "a", "a"])).tolist() == [0, 0, 1, 2]


def test_the_report_has_the_number_and_limit_of_each_check() -> None:
    report = quality_report(validate(with_invalid(("a", "", "positive"))), SOURCE)
    checks = {check["name"]: check for check in (*report["row_checks"], *report["table_checks"])}

    assert checks["text_not_blank"]["failing_rows"] == 1
    assert checks["text_not_blank"]["passed"] is False
    assert checks["text_characters"]["limit"] == {"min_value": 1, "max_value": 20000}
    assert checks["quarantined_fraction"]["observed"] == pytest.approx(1 / 101)
    assert report["quarantined_by_reason"] == {"text_not_blank": 1, "text_characters": 1, "text_words": 1}
    assert report["labels"] == {"negative": 50, "positive": 50}
    assert report["failed"] == []


def test_failed_row_checks_keep_their_first_failing_rows_as_examples() -> None:
    result = validate(with_invalid(*[(f"b{n}", " ", "positive") for n in range(7)]), max_quarantined_fraction=1.0)

    assert set(result.examples) == {"text_not_blank", "text_words"}
    assert result.examples["text_not_blank"]["row"].tolist() == [101, 102, 103, 104, 105]


def test_lengths_are_those_of_the_valid_texts() -> None:
    table = canonical([("1", "one two", "x"), ("2", "", "x"), ("3", "three", "y")])
    result = validate(table, max_quarantined_fraction=1.0)

    assert result.lengths.to_numpy().tolist() == [[7, 2], [5, 1]]
