"""Labels and label settings compared with the file: refused or folded if one meaning is possible, noted if two are."""

from typing import Any

import pandas as pd
import pytest

from atnet.config import ValidateConfig
from atnet.data.check_results import PlainRunner
from atnet.data.label_checks import check_label_source, label_variants, label_warnings
from atnet.data.label_mapping import fold_label, fold_label_settings
from atnet.data.quality_report import describe_failures, notes
from atnet.data.reader import SourceFile
from atnet.data.validation import ValidationResult, validate_table
from atnet.errors import ConfigurationError, DataContractError
from tests.settings import LABELED, params_with

SOURCE = SourceFile("csv", rows=1, lines=1, separator=",", quoting="standard", warnings=())


def config(**values: Any) -> ValidateConfig:
    return params_with(LABELED, {"validate": values}).validate_


def validate(spellings: list[str], **values: Any) -> ValidationResult:
    """Validate ten rows of each label."""
    rows = [(f"{n}", f"text number {n}", label) for n, label in enumerate(spellings * 10)]
    table = pd.DataFrame(rows, columns=["id", "text", "label"]).set_axis(pd.RangeIndex(1, len(rows) + 1))
    return validate_table(table, config(**values), PlainRunner())


@pytest.mark.parametrize(
    ("key", "labels"),
    [
        ("0", ["0.0", "1.0"]),
        ("True", ["true", "false"]),
        ("Pos", ["pos", "neg"]),
        ("postive", ["positive", "negative"]),
        ("péssimo", ["pessimo", "bom"]),
    ],
)
def test_a_key_of_the_label_map_that_no_row_has_is_refused_with_the_closest_label(key: str, labels: list[str]) -> None:
    with pytest.raises(DataContractError) as raised:
        validate(labels, label_map={key: "x"})

    assert f"validate.label_map: no row has the label {key!r} (did you mean {labels[0]!r}?)" in str(raised.value)
    assert f"{labels[1]!r} (10 rows)" in str(raised.value)


def test_all_keys_that_match_nothing_are_named_at_once() -> None:
    with pytest.raises(DataContractError, match=r"'0' \(did you mean '0.0'\?\), '1' \(did you mean '1.0'\?\)"):
        validate(["0.0", "1.0"], label_map={"0": "negativo", "1": "positivo"})


@pytest.mark.parametrize(
    ("key", "spelling"),
    [
        ("pos", "pos "),
        ("pos ", "pos"),
        ("p\u00e9ssimo", "pe\u0301ssimo"),
        ("muito bom", "muito\u00a0bom"),
        ("pos", "\ufeffpos\u200b"),
    ],
)
def test_a_key_that_looks_the_same_as_a_label_matches_it(key: str, spelling: str) -> None:
    assert validate([spelling, "neg"], label_map={key: "good"}).statistics.labels == {"good": 10, "neg": 10}


@pytest.mark.parametrize(
    "spelling", ["bom ", "\tbom", "bom\u00a0", "\u2003bom", "bom\u200b", "\u200ebom", "bo\u00adm", "\ufeffbom"]
)
def test_labels_that_look_the_same_are_one_label_and_noted(spelling: str) -> None:
    result = validate(["bom", spelling, "ruim"])

    assert result.statistics.labels == {"bom": 20, "ruim": 10}
    assert f"10 labels {spelling!r} count as 'bom': they look the same." in list(notes(result, SOURCE))


@pytest.mark.parametrize(
    ("spelling", "label"), [("pe\u0301ssimo", "p\u00e9ssimo"), ("a\u00e7a\u0303o", "a\u00e7\u00e3o")]
)
def test_unicode_forms_of_a_label_are_one_label(spelling: str, label: str) -> None:
    assert validate([label, spelling, "x"]).statistics.labels == {label: 20, "x": 10}


@pytest.mark.parametrize("blank", ["\u200b", " \u00a0", "\ufeff"])
def test_a_label_that_nobody_can_see_is_missing(blank: str) -> None:
    result = validate(["a", "b", blank], max_quarantined_fraction=0.5)

    assert result.statistics.labels == {"a": 10, "b": 10}
    assert set(result.quarantine["reasons"]) == {"label_not_null"}


@pytest.mark.parametrize("label", ["a\u200db", "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645", "Bom", "1.0"])
def test_what_can_be_seen_in_a_label_is_kept(label: str) -> None:
    assert fold_label(label) == label


@pytest.mark.parametrize(
    ("variants", "others"),
    [
        (["Bom", "bom"], ["ruim"]),
        (["1", "1.0", "01"], ["2"]),
        (["\uff21", "a"], ["b"]),
        (["True", "true", "TRUE"], ["false"]),
        (["stra\u00dfe", "STRASSE"], ["weg"]),
    ],
)
def test_labels_that_may_be_one_are_noted_with_counts(variants: list[str], others: list[str]) -> None:
    result = validate([*variants, *others])
    noted = "\n".join(notes(result, SOURCE))

    assert len(result.statistics.labels) == len(variants) + len(others)
    assert "are probably one label in several spellings" in noted
    assert all(f"{label!r} (10 rows)" in noted for label in variants)
    assert label_variants(others) == []


@pytest.mark.parametrize("word", ["NA", "None", "null", "n/a", "#N/A", "NaN", "-"])
def test_a_label_that_looks_like_a_missing_value_is_noted(word: str) -> None:
    assert f"10 rows have the label {word!r}, a word and not a missing value." in "\n".join(
        notes(validate(["a", "b", word]), SOURCE)
    )


@pytest.mark.parametrize("allowed", ["Mixed", "mixd", "mixed"])
def test_an_allowed_label_that_no_row_has_is_named(allowed: str) -> None:
    result = validate(["a", "b"], labels=["a", "b", allowed])

    assert f"no row has the label {allowed!r} of validate.labels" in "\n".join(notes(result, SOURCE))
    assert f"rows_per_label is 0, allowed at least 8 ({allowed!r}: 0 rows)" in describe_failures(result)


def test_labels_that_are_not_allowed_are_named() -> None:
    result = validate(["a", "b", "Other"], labels=["a", "b"])

    assert "label_in_set in 10 rows; labels that are not allowed: 'Other'" in describe_failures(result)


def test_rare_labels_are_named() -> None:
    rows = [(f"{n}", f"text {n}", "a" if n % 2 else "b") for n in range(40)] + [("x", "odd", "rare")]
    table = pd.DataFrame(rows, columns=["id", "text", "label"]).set_axis(pd.RangeIndex(1, 42))

    assert "rows_per_label is 1, allowed at least 8 ('rare': 1 rows)" in describe_failures(
        validate_table(table, config(), PlainRunner())
    )


def test_keys_of_the_label_map_that_look_the_same_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="differ only in white space or Unicode form"):
        fold_label_settings(config(label_map={"pos": "a", "pos ": "b"}))


def test_a_label_column_that_the_rating_rule_would_switch_off_is_refused() -> None:
    params = params_with({"data.columns": {"label": "label"}})

    with pytest.raises(ConfigurationError, match=r"data.columns.label \(label\) would be ignored"):
        check_label_source(params.data.columns, params.validate_)


def test_allowed_labels_that_restrict_nothing_are_noted() -> None:
    warnings = list(label_warnings({"a": 1, "b": 1}, config(labels=["a", "b"], label_in_set="off")))

    assert warnings == ["validate.labels does not restrict the labels, because validate.label_in_set is off."]
