"""The user's own Great Expectations expectations: what is rejected, what stops the run, what is reported."""

import json
from pathlib import Path
from typing import Any

import great_expectations as gx
import pandas as pd
import pytest
import yaml

from atnet import files
from atnet.cli.check import check_inputs
from atnet.config import DataConfig
from atnet.data.native_columns import infer_type
from atnet.data.own_expectations import parse_expectations
from atnet.errors import ConfigurationError, DataContractError
from atnet.stages.validate import main as validate_stage
from atnet.storage import read_json, read_table
from tests.settings import LABELED, params_file, params_with
from tests.texts import labeled_texts

PRICES = [float(n) for n in range(38)] + [-1.0, -2.0]


@pytest.fixture(autouse=True)
def _in_an_empty_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def project(expectations: list[dict[str, Any]], **validate: Any) -> None:
    """Write data with columns that the model never sees, the expectations and the settings."""
    table = labeled_texts(40).assign(price=PRICES, code=[f"{n:05d}" for n in range(40)], words="x")
    table.loc[0, "code"] = "12-34"
    table.to_csv("own.csv", index=False)
    Path("own.yaml").write_text(yaml.safe_dump({"expectations": expectations}), encoding="utf-8")
    params_file(Path(), *changes(**validate))


def changes(**validate: Any) -> list[dict[str, dict[str, Any]]]:
    values = {"expectations": "own.yaml", "max_quarantined_fraction": 0.2, **validate}
    return [LABELED, {"data": {"path": "own.csv"}, "validate": values}]


def expectation(kind: str, severity: str = "critical", **kwargs: Any) -> dict[str, Any]:
    return {"type": kind, "kwargs": kwargs, "severity": severity}


BETWEEN = expectation("expect_column_values_to_be_between", column="price", min_value=0)


def test_rows_that_break_a_critical_expectation_are_quarantined_with_its_name(
    capsys: pytest.CaptureFixture[str],
) -> None:
    project([BETWEEN])
    assert validate_stage([]) == 0
    printed = capsys.readouterr().out

    quarantine = read_table(files.QUARANTINE)
    assert quarantine["row"].tolist() == [39, 40]
    assert set(quarantine["reasons"]) == {"expect_column_values_to_be_between(price)"}
    assert "2 quarantined (expect_column_values_to_be_between(price) 2" in printed
    assert len(read_table(files.VALIDATED_TABLE)) == 38


def test_a_warning_is_reported_and_rejects_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    project([{**BETWEEN, "severity": "warning"}])
    assert validate_stage([]) == 0

    assert "expect_column_values_to_be_between(price) in 2 rows" in capsys.readouterr().out
    assert len(read_table(files.VALIDATED_TABLE)) == 40


def test_mostly_is_respected() -> None:
    project([{**BETWEEN, "kwargs": {**BETWEEN["kwargs"], "mostly": 0.9}}])
    assert validate_stage([]) == 0
    assert len(read_table(files.VALIDATED_TABLE)) == 40


def test_a_critical_expectation_of_the_table_stops_the_run_and_a_warning_does_not(
    capsys: pytest.CaptureFixture[str],
) -> None:
    mean = expectation("expect_column_mean_to_be_between", column="price", min_value=100)
    project([mean])
    assert validate_stage([]) == 1
    assert "expect_column_mean_to_be_between(price) observed 17.5, expected min_value: 100" in capsys.readouterr().err
    assert not files.VALIDATED_TABLE.exists()

    project([{**mean, "severity": "warning"}])
    assert validate_stage([]) == 0
    assert "expect_column_mean_to_be_between(price) 17.5 (min_value: 100)" in capsys.readouterr().out


def test_expectations_about_the_columns_of_the_file_see_its_columns_only() -> None:
    names = ["id", "text", "label", "price", "code", "words"]
    project([expectation("expect_table_columns_to_match_ordered_list", column_list=names)])
    assert validate_stage([]) == 0
    project([expectation("expect_table_columns_to_match_set", column_set=["id", "text"])])
    assert validate_stage([]) == 1


def test_the_columns_have_their_own_names_and_values_even_if_the_pipeline_uses_the_name() -> None:
    project([expectation("expect_column_values_to_be_in_set", column="words", value_set=["x"])])
    assert validate_stage([]) == 0
    assert len(read_table(files.VALIDATED_TABLE)) == 40


def test_a_code_with_leading_zeros_is_text() -> None:
    project([expectation("expect_column_values_to_match_regex", column="code", regex=r"^\d{5}$")])
    assert validate_stage([]) == 0
    assert read_table(files.QUARANTINE)["row"].tolist() == [1]


def test_they_stand_in_the_report_the_page_and_the_data_docs() -> None:
    rows = expectation("expect_column_values_to_be_unique", column="code")
    project([BETWEEN, rows])
    assert validate_stage([]) == 0
    report = read_json(files.VALIDATION_REPORT)

    own = {check["name"]: check for check in report["row_checks"] if "arguments" in check["limit"]}
    assert own["expect_column_values_to_be_between(price)"]["failing_rows"] == 2
    assert own["expect_column_values_to_be_unique(code)"]["passed"]
    assert "expect_column_values_to_be_between(price)" in files.VALIDATION_PAGE.read_text(encoding="utf-8")
    docs = (files.DATA_DOCS / "validations" / "rows.html").read_text(encoding="utf-8")
    assert "price" in docs
    assert "code" in docs


def test_check_refuses_what_validate_refuses() -> None:
    project([BETWEEN], max_quarantined_fraction=0.01)
    with pytest.raises(DataContractError, match=r"expect_column_values_to_be_between\(price\) in 2 rows"):
        check_inputs(params_with(*changes(max_quarantined_fraction=0.01)))


def test_a_suite_that_great_expectations_saved_works_unchanged() -> None:
    suite = gx.ExpectationSuite(
        name="mine",
        expectations=[
            gx.expectations.ExpectColumnValuesToBeBetween(column="price", min_value=0),
            gx.expectations.ExpectColumnPairValuesAToBeGreaterThanB(
                column_A="price", column_B="price", or_equal=True, severity="warning"
            ),
            gx.expectations.ExpectCompoundColumnsToBeUnique(column_list=["price", "code"]),
        ],
    )
    project([])
    Path("own.yaml").write_text(json.dumps(suite.to_json_dict()), encoding="utf-8")

    assert validate_stage([]) == 0
    assert read_table(files.QUARANTINE)["row"].tolist() == [39, 40]
    assert len(read_json(files.VALIDATION_REPORT)["row_checks"]) > 8


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        (
            {"type": "expect_column_values_to_be_betwen"},
            "Did you mean expect_column_values_to_be_between",
        ),
        ({"type": "expect_column_values_to_be_between", "kwargs": {"column": "price", "min": 0}}, "min: extra fields"),
        ({"type": "expect_column_values_to_be_between", "kwargs": {"column": "cost", "min_value": 0}}, "column 'cost'"),
        ({"type": "expect_column_values_to_be_between", "kwargs": {"column": "text", "min_value": 0}}, "cannot be che"),
        ({"type": "x", "severity": "fatal"}, "severity is 'fatal'; it is critical, warning or info"),
        ({"kwargs": {}}, "needs a type"),
        ({"type": "x", "arguments": {}}, "unknown key arguments"),
    ],
)
def test_a_wrong_expectation_is_named(entry: dict[str, Any], expected: str, capsys: pytest.CaptureFixture[str]) -> None:
    project([entry])
    assert validate_stage([]) == 1
    message = capsys.readouterr().err

    assert expected in message
    assert "Traceback" not in message


@pytest.mark.parametrize(
    ("contents", "expected"), [("- a: [", "neither YAML nor JSON"), ("text", "no list of expectations")]
)
def test_a_file_that_is_not_a_suite_is_refused(contents: str, expected: str) -> None:
    Path("own.yaml").write_text(contents, encoding="utf-8")
    with pytest.raises(ConfigurationError, match=expected):
        parse_expectations(Path("own.yaml"))


def test_a_missing_file_is_refused_and_an_empty_one_has_no_expectations() -> None:
    with pytest.raises(ConfigurationError, match=r"own.yaml is missing"):
        parse_expectations(Path("own.yaml"))
    for contents in ("", "expectations: []", "[]", '{"name": "mine", "expectations": []}'):
        Path("own.yaml").write_text(contents, encoding="utf-8")
        assert parse_expectations(Path("own.yaml")) == []


def test_two_expectations_of_one_type_and_column_have_different_names() -> None:
    Path("own.yaml").write_text(yaml.safe_dump([BETWEEN, BETWEEN]), encoding="utf-8")
    names = [expectation.name for expectation in parse_expectations(Path("own.yaml"))]
    assert names == ["expect_column_values_to_be_between(price)", "expect_column_values_to_be_between(price) #2"]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["1", "2"], [1, 2]),
        (["1", ""], [1.0, None]),
        (["01", "2"], ["01", "2"]),
        (["true", "False"], [True, False]),
        (["a", "1"], ["a", "1"]),
    ],
)
def test_types_are_inferred_as_pandas_does_but_codes_stay_text(values: list[str], expected: list[Any]) -> None:
    inferred = infer_type(pd.Series(values, dtype="str"))
    assert [None if pd.isna(value) else value for value in inferred.tolist()] == expected


def test_parquet_columns_keep_their_types() -> None:
    from atnet.data.native_columns import read_native_columns

    table = labeled_texts(10).assign(when=pd.Timestamp("2024-01-01"), price=1.5)
    table.to_parquet("own.parquet", index=False)
    data: DataConfig = params_with(LABELED, {"data": {"path": "own.parquet"}}).data
    frame = read_native_columns(Path("own.parquet"), data, ["when", "price"], as_text=(), all_columns=False)

    assert str(frame["when"].dtype).startswith("datetime64")
    assert frame["price"].dtype == "float64"
