from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from atnet.data.expectations import Judge
from atnet.data.label_mapping import check_label_settings, map_labels
from atnet.data.row_statistics import earlier_ids, measure_rows, text_keys
from atnet.data.validation import ValidationResult, report, require_passed, summary, validate_table
from atnet.errors import ConfigurationError, DataContractError
from tests.settings import LABELLED, params_with
from tests.texts import labelled_texts

ANY_WORDS = {"min_value": 1, "max_value": 10, "severity": "off"}
OFF = {"max_fraction": 0.0, "severity": "off"}


def canonical(rows: list[tuple[Any, ...]], columns: tuple[str, ...] = ("id", "text", "label")) -> pd.DataFrame:
    table = pd.DataFrame(rows, columns=list(columns))
    return table.set_axis(pd.RangeIndex(1, len(table) + 1))


def with_bad(*bad: tuple[Any, ...], rows: int = 100) -> pd.DataFrame:
    """Put bad rows after good ones; the first bad one is row `rows` + 1."""
    table = pd.concat([labelled_texts(rows), pd.DataFrame(bad, columns=["id", "text", "label"])], ignore_index=True)
    return table.set_axis(pd.RangeIndex(1, len(table) + 1))


def validated(table: pd.DataFrame, **values: Any) -> ValidationResult:
    return validate_table(table, params_with(LABELLED, {"validate": values}).validate_, Judge())


def reasons(outcome: ValidationResult) -> dict[int, str]:
    return dict(zip(outcome.quarantine["row"], outcome.quarantine["reasons"], strict=True))


def failed(outcome: ValidationResult) -> set[str]:
    return {verdict.check.name for verdict in outcome.failed}


def test_good_rows_pass_untouched() -> None:
    table = with_bad()
    outcome = validated(table)

    assert outcome.failed == []
    assert outcome.warnings == []
    pd.testing.assert_frame_equal(outcome.kept, table.reset_index(drop=True))
    assert len(outcome.quarantine) == 0
    assert summary(outcome) == "100 rows read, 100 kept, 0 quarantined"


def test_each_bad_row_is_set_aside_with_all_its_reasons() -> None:
    table = with_bad(
        ("a", None, "positive"),
        ("b", " \u00a0\n", "positive"),
        ("c", "short", None),
        ("d", "too many words in here for that limit", "positive"),
        ("e", "bro\ufffdken", "positive"),
        ("f", "bell\x07", None),
        ("row-00000", "an earlier row has this id", "negative"),
        ("g", "an unknown label", "other"),
    )
    limits = {"text_words": {"min_value": 1, "max_value": 7, "severity": "critical"}}
    outcome = validated(
        table.assign(text=table["text"].str.slice(0, 40)),
        labels=["negative", "positive"],
        max_quarantined_fraction=1.0,
        **limits,
    )
    found = {row: reason for row, reason in reasons(outcome).items() if row > 100}

    assert found == {
        101: "text_not_null",
        102: "text_not_blank; text_words",
        103: "label_not_null",
        104: "text_words",
        105: "replacement_characters",
        106: "nonprinting_characters; label_not_null",
        107: "unique_id",
        108: "label_in_set",
    }


def test_quarantine_keeps_the_row_as_it_was_found() -> None:
    table = with_bad(("x", "", "1"), ("y", "fine text", "1"))
    outcome = validated(table, label_map={"1": "positive"}, max_quarantined_fraction=0.5)

    assert list(outcome.quarantine.columns) == ["id", "text", "label", "row", "reasons"]
    assert outcome.quarantine.iloc[0].tolist()[:4] == ["x", "", "1", 101]
    assert outcome.kept["label"].iloc[-1] == "positive"


def test_a_warning_counts_rows_and_keeps_them() -> None:
    outcome = validated(with_bad(("a", "  ", "positive")), text_not_blank="warning", text_words=ANY_WORDS)

    assert len(outcome.kept) == 101
    assert [verdict.check.name for verdict in outcome.warnings] == ["text_not_blank"]
    assert outcome.warnings[0].observed == 1
    assert summary(outcome).endswith("; warnings: text_not_blank")


def test_a_check_that_is_off_is_not_made() -> None:
    outcome = validated(with_bad(("row-00000", "twice", "positive")), unique_id="off", duplicates=OFF)

    assert len(outcome.kept) == 101
    names = {verdict.check.name for verdict in (*outcome.rows, *outcome.table)}
    assert not names & {"unique_id", "duplicates"}


def test_more_bad_rows_than_allowed_fail_with_the_reasons_counted() -> None:
    outcome = validated(with_bad(*[(f"b{n}", "", "positive") for n in range(20)]), max_quarantined_fraction=0.1)

    assert failed(outcome) == {"bad_fraction"}
    with pytest.raises(
        DataContractError, match=r"1 of 7 table checks failed: bad_fraction is 0\.1667, allowed at most 0\.1"
    ) as e:
        require_passed(outcome, Path("here/report.json"))
    assert "text_not_blank in 20 rows" in str(e.value)
    assert "See here/report.json and quarantine.parquet" in str(e.value)


def test_many_repeated_ids_point_to_the_id_column() -> None:
    outcome = validated(labelled_texts(40).assign(id="same"))

    with pytest.raises(DataContractError, match=r"unique_id in 39 rows; data\.columns\.id: null names rows"):
        require_passed(outcome, Path("report.json"))


def test_exactly_the_allowed_share_of_bad_rows_passes() -> None:
    assert failed(validated(with_bad(("a", "", "positive"), rows=99), max_quarantined_fraction=0.01)) == set()


def test_when_all_rows_are_bad_the_evidence_is_still_complete() -> None:
    outcome = validated(canonical([("a", "", "x"), ("b", "", "y")]), max_quarantined_fraction=1.0)

    assert len(outcome.quarantine) == 2
    assert {"labels_found", "mean_rows_per_label", "rows_per_label"} <= failed(outcome)
    assert report(outcome)["rows"] == {"read": 2, "kept": 0, "left_out": 0, "quarantined": 2}


def test_one_class_alone_is_a_failure() -> None:
    table = labelled_texts(40).assign(label="same")

    assert failed(validated(table)) == {"labels_found"}


def test_a_label_with_too_few_rows_is_a_failure() -> None:
    outcome = validated(with_bad(*[(f"r{n}", f"rare text {n}", "rare") for n in range(7)]))

    assert failed(outcome) == {"rows_per_label"}
    assert outcome.counts.labels == {"negative": 50, "positive": 50, "rare": 7}


def test_an_allowed_label_that_nobody_has_counts_as_the_rarest() -> None:
    outcome = validated(labelled_texts(40), labels=["negative", "positive", "mixed"])

    assert outcome.counts.labels["mixed"] == 0
    assert "rows_per_label" in failed(outcome)


def test_fewer_rows_than_classes_is_a_failure_even_with_the_other_limits_off() -> None:
    table = canonical([("1", "a b", "x"), ("2", "c d", "y")])
    off = {"min_rows": 3, "severity": "off"}

    assert failed(validated(table, labels=["x", "y", "z"], rows_per_label=off)) == {"mean_rows_per_label"}


def test_duplicates_and_conflicts_are_counted_on_the_normalised_text() -> None:
    table = with_bad(("a", "Same  Text", "positive"), ("b", "same text", "positive"), ("c", "SAME TEXT ", "negative"))
    outcome = validated(table)

    assert outcome.counts.duplicates == 2
    assert outcome.counts.conflicting == 3
    assert [verdict.check.name for verdict in outcome.warnings] == ["conflicting_labels"]


def test_table_checks_obey_their_severity() -> None:
    table = pd.concat([labelled_texts(20), labelled_texts(20).assign(id=lambda t: t["id"] + "b")], ignore_index=True)

    assert failed(validated(table)) == set()
    assert failed(validated(table, duplicates={"max_fraction": 0.2, "severity": "critical"})) == {"duplicates"}


def rated(*ratings: float | None) -> pd.DataFrame:
    rows = [(f"r{n}", f"text number {n}", rating) for n, rating in enumerate(ratings)]
    return canonical(rows, ("id", "text", "rating")).astype({"rating": "float64"})


def test_the_sign_of_the_rating_is_the_label_and_the_neutral_band_is_left_out() -> None:
    labeled = map_labels(rated(-4, -0.5001, -0.5, 0, 0.5, 0.5001, None), params_with().validate_)

    assert labeled.table["label"].fillna("").tolist() == ["negative", "negative", "", "", "", "positive", ""]
    assert labeled.left_out.notna().tolist() == [False, False, True, True, True, False, False]


def test_rows_left_out_by_rule_are_counted_apart_from_bad_ones() -> None:
    table = rated(*[-2.0, 2.0] * 20, 0.1, 0.2, None)
    table.loc[42, "text"] = ""
    outcome = validate_table(table, params_with().validate_, Judge())
    told = report(outcome)

    assert told["rows"] == {"read": 43, "kept": 40, "left_out": 1, "quarantined": 2}
    assert told["left_out_by_rule"] == {"neutral_band": 1}
    assert reasons(outcome) == {42: "text_not_blank; text_characters; text_words", 43: "label_not_null"}
    assert outcome.quarantine["label"].isna().all()
    assert summary(outcome) == "43 rows read, 40 kept, 1 left out by neutral_band, 2 quarantined"


def test_a_label_map_may_swap_labels_and_leaves_others_alone() -> None:
    config = params_with(LABELLED, {"validate": {"label_map": {"0": "1", "1": "0"}}}).validate_
    labeled = map_labels(canonical([("a", "t", "0"), ("b", "t", "1"), ("c", "t", "2"), ("d", "t", None)]), config)

    assert labeled.table["label"].fillna("null").tolist() == ["1", "0", "2", "null"]


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"labels": ["only"]}, "fewer than two labels"),
        ({"labels": ["a", "b"], "label_map": {"1": "c"}}, "label_map makes the label 'c'"),
        ({"label_from_rating": {"neutral_band": 0.0, "negative": "a", "positive": "a"}}, "the same label"),
        (
            {"label_from_rating": {"neutral_band": 0.0, "negative": "a", "positive": "b"}, "labels": ["a", "c"]},
            "label_from_rating makes the label 'b'",
        ),
        (
            {"label_from_rating": {"neutral_band": 0.0, "negative": "a", "positive": "b"}, "label_map": {"1": "a"}},
            "label_map does nothing",
        ),
    ],
)
def test_label_settings_that_contradict_each_other_are_refused(values: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigurationError, match=told):
        check_label_settings(params_with(LABELLED, {"data.columns": {"rating": "r"}, "validate": values}).validate_)


def test_texts_are_measured_in_characters_not_bytes() -> None:
    table = canonical(
        [("a", "não é", "x"), ("b", "🤩", "x"), ("c", "", "x"), ("d", None, "x"), ("e", "a\tb\x00\x85\n", "x")]
    )
    measured = measure_rows(table)

    np.testing.assert_equal(measured["characters"].to_numpy(), [5, 1, 0, np.nan, 6])
    np.testing.assert_equal(measured["words"].to_numpy(), [2, 1, 0, np.nan, 2])
    np.testing.assert_allclose(measured["nonprinting_fraction"].to_numpy(), [0, 0, 0, np.nan, 2 / 6])


def test_measures_of_batches_put_together_are_those_of_the_whole() -> None:
    table = with_bad(("a", None, "x"), ("b", "\ufffd", "y"))
    parts = [table.iloc[:30], table.iloc[30:101], table.iloc[101:]]

    pd.testing.assert_frame_equal(
        pd.concat([measure_rows(part) for part in parts]), measure_rows(table), check_dtype=False
    )
    keyed = table[table["text"].notna()]
    pd.testing.assert_series_equal(pd.concat([text_keys(keyed[:50]), text_keys(keyed[50:])]), text_keys(keyed))


def test_only_later_rows_of_one_id_count_as_repeated() -> None:
    assert earlier_ids(pd.Series(["a", "b", "a", "a"])).tolist() == [0, 0, 1, 2]


def test_the_report_gives_each_check_its_number_and_limit() -> None:
    told = report(validated(with_bad(("a", "", "positive"))))
    checks = {check["name"]: check for check in (*told["row_checks"], *told["table_checks"])}

    assert checks["text_not_blank"]["rows_breaking_it"] == 1
    assert checks["text_not_blank"]["passed"] is False
    assert checks["text_characters"]["limit"] == {"min_value": 1, "max_value": 20000}
    assert checks["bad_fraction"]["observed"] == pytest.approx(1 / 101)
    assert told["quarantined_by_reason"] == {"text_not_blank": 1, "text_characters": 1, "text_words": 1}
    assert told["labels"] == {"negative": 50, "positive": 50}
    assert told["failed"] == []


def test_the_data_docs_name_the_checks() -> None:
    judge = Judge()
    validate_table(with_bad(), params_with(LABELLED).validate_, judge)
    pages = judge.pages()

    assert "index.html" in pages
    shown = b"".join(contents for name, contents in pages.items() if name.endswith(".html"))
    assert b"Share of rows whose text also has another label." in shown
    assert b"The text is more than white space." in shown
