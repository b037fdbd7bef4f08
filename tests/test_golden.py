"""The golden set is read by the reader of the data file: strings to the letter, missing values named."""

import json
from pathlib import Path

import pandas as pd
import pytest

from atnet.errors import DataFileError
from atnet.release.golden import read_golden

HEADER = "id,text,label\n"


def rows(path: Path, contents: str) -> list[list[str]]:
    path.write_text(contents, encoding="utf-8")
    table = read_golden(path)
    return [[str(value) for value in row] for row in table[["id", "text", "label"]].to_numpy()]


@pytest.mark.parametrize(
    "values",
    [
        [("1", "one", "NA"), ("2", "null", "pos"), ("3", "None", "None")],
        [("001", "one", "01"), ("002", "007", "02")],
        [("1", "one", "true"), ("2", "two", "False")],
        [("1", "one", "1"), ("2", "two", "0"), ("3", "3.0", "1.50")],
        [("1e3", "1,5", "x"), ("9" * 25, "2026-01-02", "y")],
    ],
)
@pytest.mark.parametrize("name", ["golden.csv", "golden.tsv", "golden.jsonl", "golden.parquet"])
def test_strings_are_kept_to_the_letter(tmp_path: Path, name: str, values: list[tuple[str, str, str]]) -> None:
    path = tmp_path / name
    frame = pd.DataFrame(values, columns=["id", "text", "label"])
    if name.endswith("parquet"):
        frame.to_parquet(path)
    elif name.endswith("jsonl"):
        path.write_text("".join(json.dumps(row) + "\n" for row in frame.to_dict("records")))
    else:
        frame.to_csv(path, index=False, sep="\t" if name.endswith("tsv") else ",")

    assert [tuple(row) for row in read_golden(path)[["id", "text", "label"]].to_numpy()] == values


def test_numbers_in_json_lines_keep_their_digits(tmp_path: Path) -> None:
    contents = '{"id": 1, "text": 7.50, "label": 1}\n{"id": 2, "text": "a", "label": true}\n'

    assert rows(tmp_path / "g.jsonl", contents) == [["1", "7.50", "1"], ["2", "a", "true"]]


@pytest.mark.parametrize(
    ("contents", "expected"),
    [
        (HEADER + "1,one,1\n2,two,\n3,three,0\n4,four, \n", "has no label in row 2, 4"),
        (HEADER + "1,one,1\n2,,0\n", "has no text in row 2"),
        (HEADER + "1,one,1\n2,two,\u200b\n", "has no label in row 2"),
        ("id,text\n1,one\n", "lacks label: it needs the columns id, text and label"),
        ("a,b\n1,one\n", "lacks id, text, label"),
        (HEADER, "has a header but no rows"),
        ('id,text,label\n1,"one,x\n', "the quote that opens in line 2 is never closed"),
        ("<html></html>", "is an HTML page"),
    ],
)
def test_what_is_missing_is_named(tmp_path: Path, contents: str, expected: str) -> None:
    with pytest.raises(DataFileError) as raised:
        rows(tmp_path / "golden.csv", contents)

    assert expected in str(raised.value)
    assert "data.columns" not in str(raised.value)


def test_another_encoding_is_refused_with_the_next_step(tmp_path: Path) -> None:
    (tmp_path / "golden.csv").write_bytes((HEADER + "1,não,x\n").encode("latin-1"))
    with pytest.raises(DataFileError, match=r"is not utf-8: byte 0xE3 .* Write it as UTF-8") as raised:
        read_golden(tmp_path / "golden.csv")

    assert "data.encoding" not in str(raised.value)


def test_labels_that_look_the_same_as_those_of_the_model_are_the_same(tmp_path: Path) -> None:
    contents = HEADER + "1,a,bom \n2,b,pe\u0301ssimo\n"

    assert [row[2] for row in rows(tmp_path / "g.csv", contents)] == ["bom", "p\u00e9ssimo"]


def test_a_missing_file_is_named_with_its_setting(tmp_path: Path) -> None:
    with pytest.raises(DataFileError, match=r"release.golden.path\) is missing"):
        read_golden(tmp_path / "no.csv")
