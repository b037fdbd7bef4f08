"""Checks of parameters and data file before DVC starts (`atnet check`)."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from atnet.cli.check import check_inputs
from atnet.config import Params
from atnet.errors import AtnetError, ConfigurationError, DataContractError, DataFileError
from tests.settings import LABELED, params_with
from tests.texts import labeled_texts


@pytest.fixture(autouse=True)
def _in_an_empty_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def own_data(contents: str, *changes: Mapping[str, Mapping[str, Any]]) -> Params:
    Path("own.csv").write_text(contents, encoding="utf-8")
    return params_with(LABELED, {"data": {"path": "own.csv"}}, *changes)


def test_a_valid_file_is_summarized_in_one_line() -> None:
    lines = check_inputs(own_data(labeled_texts(40).to_csv(index=False)))

    assert lines == ["own.csv: 40 rows, 2 labels (negative, positive)."]


def test_rows_in_the_neutral_band_are_counted() -> None:
    rows = "".join(f"{n},text {n},{rating},web\n" for n, rating in enumerate([-2, 2, 0.1]))
    Path("own.csv").write_text("id,text,rating,domain\n" + rows)

    assert check_inputs(params_with({"data": {"path": "own.csv"}})) == [
        "own.csv: 3 rows, 1 excluded by neutral_band, 2 labels (negative, positive)."
    ]


def test_the_default_data_may_be_missing(params: Params) -> None:
    assert check_inputs(params) == [
        "data/01_raw/sentiment.csv does not exist yet: the sample stage will download the default data."
    ]


def test_own_data_must_exist() -> None:
    with pytest.raises(DataFileError, match=r"own.csv is missing. Put your file there, or set data.path"):
        check_inputs(params_with(LABELED, {"data": {"path": "own.csv"}}))


def test_the_message_for_a_tracked_file_says_how_to_check_it_out() -> None:
    Path("own.csv.dvc").write_text("outs: []\n")

    with pytest.raises(DataFileError, match=r"DVC tracks it. Run `dvc checkout own.csv`, or `dvc pull own.csv`"):
        check_inputs(params_with(LABELED, {"data": {"path": "own.csv"}}))


@pytest.mark.parametrize("path", ["data/02_validated/table.parquet", "data/../data/03_splits/train.parquet"])
def test_a_file_in_the_folder_of_a_stage_is_refused(path: str) -> None:
    with pytest.raises(ConfigurationError, match=r"where the pipeline writes. Move the file"):
        check_inputs(params_with(LABELED, {"data": {"path": path}}))


def test_a_file_beside_the_folders_of_the_stages_or_in_raw_is_accepted() -> None:
    for path in ("data/own.csv", "data/01_raw/own.csv", "data/02_validated_by_hand.csv"):
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        labeled_texts(20).to_csv(path, index=False)
        assert check_inputs(params_with(LABELED, {"data": {"path": path}}))


@pytest.mark.parametrize(
    ("contents", "change", "expected"),
    [
        ("id,text,label\n1,a,x\n2,b,x\n", {}, "has only the label 'x'; a classifier needs two"),
        ("id,text,label\n1,a,\n", {}, "has no row with an allowed label"),
        ("id,text,label\n1,a,0\n2,b,1\n", {"labels": ["x", "y"]}, "has no row with an allowed label"),
        ("id,text,label\n1,a,x\n2,b,y\n", {"labels": ["x", "y", "z"]}, "has 2 labeled rows for 3 labels"),
        ("id,text,label\n1,a,x\n2,b,y\n", {"labels": ["x"]}, "fewer than two labels"),
        ("id,body,label\n1,a,x\n", {}, "has no column 'text'"),
        ("", {}, "own.csv is empty"),
    ],
)
def test_data_that_a_model_cannot_be_trained_on_are_refused(
    contents: str, change: dict[str, Any], expected: str
) -> None:
    with pytest.raises(AtnetError, match=expected):
        check_inputs(own_data(contents, {"validate": change}))


@pytest.mark.parametrize("split", ["dev", "test"])
def test_a_label_that_never_occurs_in_train_is_refused(split: str) -> None:
    rows = f"1,a,x,train\n2,b,y,train\n3,c,z,{split}\n4,d,z,{split}\n"
    params = own_data("id,text,label,part\n" + rows, {"data.columns": {"split": "part"}})

    with pytest.raises(DataContractError, match=r"the label 'z' occurs in .* but never in train"):
        check_inputs(params)


def test_an_unknown_encoding_is_refused_even_if_the_file_is_missing() -> None:
    with pytest.raises(ConfigurationError, match="no text encoding"):
        check_inputs(params_with({"data": {"encoding": "utf-88"}}))
