from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from atnet.cli.check import check_inputs
from atnet.config import Params
from atnet.errors import AtnetError, ConfigurationError, DataContractError, DataFileError
from tests.settings import LABELLED, params_with
from tests.texts import labelled_texts


@pytest.fixture(autouse=True)
def _in_an_empty_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def own_data(contents: str, *changes: Mapping[str, Mapping[str, Any]]) -> Params:
    Path("own.csv").write_text(contents, encoding="utf-8")
    return params_with(LABELLED, {"data": {"path": "own.csv"}}, *changes)


def test_a_good_file_is_told_in_one_line() -> None:
    lines = check_inputs(own_data(labelled_texts(40).to_csv(index=False)))

    assert lines == ["own.csv: 40 rows, 2 labels (negative, positive)."]


def test_rows_of_the_neutral_band_are_told() -> None:
    rows = "".join(f"{n},text {n},{rating},web\n" for n, rating in enumerate([-2, 2, 0.1]))
    Path("own.csv").write_text("id,text,rating,domain\n" + rows)

    assert check_inputs(params_with({"data": {"path": "own.csv"}})) == [
        "own.csv: 3 rows, 1 left out by neutral_band, 2 labels (negative, positive)."
    ]


def test_the_default_data_need_not_be_there_yet(params: Params) -> None:
    assert check_inputs(params) == [
        "data/01_raw/sentiment.csv is not here yet: the sample stage will fetch the embedded default data."
    ]


def test_own_data_must_be_there() -> None:
    with pytest.raises(DataFileError, match=r"own.csv is missing. Put your file there, or set data.path"):
        check_inputs(params_with(LABELLED, {"data": {"path": "own.csv"}}))


def test_a_tracked_file_that_is_not_checked_out_says_so() -> None:
    Path("own.csv.dvc").write_text("outs: []\n")

    with pytest.raises(DataFileError, match=r"DVC tracks it. Run `dvc checkout own.csv`, or `dvc pull own.csv`"):
        check_inputs(params_with(LABELLED, {"data": {"path": "own.csv"}}))


@pytest.mark.parametrize("path", ["data/02_validated/table.parquet", "data/../data/03_splits/train.parquet"])
def test_a_file_where_a_stage_writes_is_refused(path: str) -> None:
    with pytest.raises(ConfigurationError, match=r"where the pipeline writes. Move the file"):
        check_inputs(params_with(LABELLED, {"data": {"path": path}}))


def test_a_file_beside_the_stages_or_in_raw_is_fine() -> None:
    for path in ("data/own.csv", "data/01_raw/own.csv", "data/02_validated_by_hand.csv"):
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        labelled_texts(20).to_csv(path, index=False)
        assert check_inputs(params_with(LABELLED, {"data": {"path": path}}))


@pytest.mark.parametrize(
    ("contents", "change", "told"),
    [
        ("id,text,label\n1,a,x\n2,b,x\n", {}, "holds only the label 'x'; a classifier needs two"),
        ("id,text,label\n1,a,\n", {}, "holds no row with a label that may be used"),
        ("id,text,label\n1,a,0\n2,b,1\n", {"labels": ["x", "y"]}, "holds no row with a label that may be used"),
        ("id,text,label\n1,a,x\n2,b,y\n", {"labels": ["x", "y", "z"]}, "holds 2 labeled rows for 3 labels"),
        ("id,text,label\n1,a,x\n2,b,y\n", {"labels": ["x"]}, "fewer than two labels"),
        ("id,body,label\n1,a,x\n", {}, "has no column 'text'"),
        ("", {}, "own.csv is empty"),
    ],
)
def test_what_cannot_be_trained_on_is_refused(contents: str, change: dict[str, Any], told: str) -> None:
    with pytest.raises(AtnetError, match=told):
        check_inputs(own_data(contents, {"validate": change}))


@pytest.mark.parametrize("split", ["dev", "test"])
def test_a_label_never_seen_in_train_is_refused(split: str) -> None:
    rows = f"1,a,x,train\n2,b,y,train\n3,c,z,{split}\n4,d,z,{split}\n"
    params = own_data("id,text,label,part\n" + rows, {"data.columns": {"split": "part"}})

    with pytest.raises(DataContractError, match=r"the label 'z' stands in .* but never in train"):
        check_inputs(params)


def test_an_unknown_encoding_is_refused_before_the_file_is_looked_for() -> None:
    with pytest.raises(ConfigurationError, match="no text encoding"):
        check_inputs(params_with({"data": {"encoding": "utf-88"}}))
