"""Reading CSV, JSON Lines and Parquet into the canonical table, and the messages for files that cannot be read."""

import gzip
import json
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from atnet.data.reader import read_labeled_texts, read_raw_columns
from atnet.errors import AtnetError, ConfigurationError, DataContractError, DataFileError
from tests.settings import LABELED, params_with

ROWS = [("a", "NA", "x"), ("b", 'null; or, "quoted"\nand broken', "y"), ("c", "não 🤩", "")]


def read(path: Path, **data: Any) -> pd.DataFrame:
    columns = data.pop("columns", {})
    return read_labeled_texts(path, params_with(LABELED, {"data": data, "data.columns": columns}).data).table


def write(tmp_path: Path, contents: bytes | str, name: str = "texts.csv") -> Path:
    path = tmp_path / name
    path.write_bytes(contents.encode() if isinstance(contents, str) else contents)
    return path


def as_csv(separator: str = ",") -> str:
    return pd.DataFrame(ROWS, columns=["id", "text", "label"]).to_csv(index=False, sep=separator)


def error_message(path: Path, error: type[AtnetError] | tuple[type[AtnetError], ...], **data: Any) -> str:
    with pytest.raises(error) as raised:
        read(path, **data)
    message = str(raised.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize(
    ("name", "contents", "data"),
    [
        ("t.csv", as_csv().encode(), {}),
        ("t.csv", as_csv(";").encode(), {}),
        ("t.csv", as_csv(";").encode(), {"separator": ";"}),
        ("t.tsv", as_csv("\t").encode(), {}),
        ("t.txt", as_csv("|").encode(), {}),
        ("t.csv", as_csv().replace("\n", "\r\n").encode("utf-8-sig"), {}),
        ("t.csv", as_csv().encode("utf-16"), {"encoding": "utf-16"}),
        ("t.csv.gz", gzip.compress(as_csv().encode(), mtime=0), {}),
        ("gzip-without-the-suffix.csv", gzip.compress(as_csv().encode(), mtime=0), {}),
    ],
)
def test_texts_of_every_kind_of_csv_are_read_unchanged(
    tmp_path: Path, name: str, contents: bytes, data: dict[str, Any]
) -> None:
    table = read(write(tmp_path, contents, name), **data)

    expected = [text.replace("\n", "\r\n") if b"\r\n" in contents else text for _, text, _ in ROWS]
    assert list(table["text"]) == expected
    assert list(table["id"]) == ["a", "b", "c"]
    assert list(table.index) == [1, 2, 3]


def test_an_empty_label_is_null_and_the_word_na_is_a_text(tmp_path: Path) -> None:
    table = read(write(tmp_path, as_csv()))

    assert table["label"].isna().tolist() == [False, False, True]
    assert not table["text"].isna().any()


def test_latin_1_is_read_if_it_is_configured(tmp_path: Path) -> None:
    table = read(write(tmp_path, "id,text,label\n1,não é,x\n".encode("latin-1")), encoding="latin-1")

    assert list(table["text"]) == ["não é"]


def test_the_header_decides_the_separator_whatever_the_texts_contain(tmp_path: Path) -> None:
    table = read(write(tmp_path, "id;text;label\n1;a, b, c, d, e;x\n2;f, g, h;y\n"))

    assert list(table["text"]) == ["a, b, c, d, e", "f, g, h"]


@pytest.mark.parametrize("compressed", [False, True])
def test_json_lines_keep_strings_and_the_digits_of_numbers(tmp_path: Path, compressed: bool) -> None:
    lines = [{"text": "NA", "label": 1, "id": 1.50, "more": [1]}, {"text": "a\nb 🤩", "label": None}]
    contents = "\n\n".join(json.dumps(line) for line in lines).replace("1.5,", "1.50,").encode("utf-8-sig")
    name = "t.jsonl.gz" if compressed else "t.jsonl"
    table = read(write(tmp_path, gzip.compress(contents, mtime=0) if compressed else contents, name))

    assert list(table["text"]) == ["NA", "a\nb 🤩"]
    assert table["label"].tolist()[0] == "1"
    assert table["label"].isna().tolist() == [False, True]
    assert list(table["id"]) == ["1.50", "row-000002"]


def test_an_unpaired_surrogate_becomes_the_replacement_character(tmp_path: Path) -> None:
    table = read(write(tmp_path, '{"id": "1", "text": "a \\ud83e b", "label": "x"}\n', "t.jsonl"))

    assert list(table["text"]) == ["a \ufffd b"]


@pytest.mark.parametrize("name", ["t.parquet", "t.parquet.gz", "t.csv"])
def test_parquet_is_recognized_by_its_first_bytes_and_cast_to_strings(tmp_path: Path, name: str) -> None:
    frame = pd.DataFrame({"id": [1, 2], "text": ["NA", None], "label": pd.Categorical(["x", "y"]), "r": [0.5, None]})
    frame.to_parquet(tmp_path / "plain.parquet")
    contents = (tmp_path / "plain.parquet").read_bytes()
    path = write(tmp_path, gzip.compress(contents, mtime=0) if name.endswith("gz") else contents, name)
    table = read(path, columns={"rating": "r"})

    assert table["text"].isna().tolist() == [False, True]
    assert list(table["id"]) == ["1", "2"]
    assert list(table["label"]) == ["x", "y"]
    assert table["rating"].tolist()[0] == 0.5


def test_columns_are_renamed_typed_and_ordered(tmp_path: Path) -> None:
    text = "body,mark,part,where,w,class\nhello,-1.5,DEV,here,2,x\nbye,,training,,0.5,y\n"
    columns = {"text": "body", "label": "class", "id": None, "split": "part", "rating": "mark", "weight": "w"}
    table = read(write(tmp_path, text), columns={**columns, "slices": ["where"]})

    assert list(table.columns) == ["id", "text", "label", "split", "rating", "weight", "where"]
    assert list(table["id"]) == ["row-000001", "row-000002"]
    assert list(table["split"]) == ["validation", "train"]
    assert table["rating"].isna().tolist() == [False, True]
    assert table["weight"].tolist() == [2.0, 0.5]
    assert table["where"].tolist() == ["here", ""]


def test_only_the_required_columns_are_read(tmp_path: Path) -> None:
    raw, _ = read_raw_columns(write(tmp_path, "id,text,label,huge\n1,a,b,c\n"), params_with(LABELED).data)

    assert sorted(raw.columns) == ["id", "label", "text"]


def test_the_message_for_a_missing_file_says_what_to_do(tmp_path: Path) -> None:
    assert "is missing. Put your file there, or set data.path" in error_message(tmp_path / "no.csv", DataFileError)


def test_a_folder_is_not_a_file(tmp_path: Path) -> None:
    assert "is a folder" in error_message(tmp_path, DataFileError)


@pytest.mark.parametrize("contents", [b"", b"\n \n", b"\xef\xbb\xbf", gzip.compress(b"", mtime=0)])
def test_an_empty_file_is_reported_as_empty(tmp_path: Path, contents: bytes) -> None:
    assert "texts.csv is empty" in error_message(write(tmp_path, contents), DataFileError)


@pytest.mark.parametrize("contents", ["id,text,label\n", "id,text,label"])
def test_a_header_without_rows_is_reported(tmp_path: Path, contents: str) -> None:
    assert "has a header but no rows" in error_message(write(tmp_path, contents), DataFileError)


@pytest.mark.parametrize("name", ["t.csv", "t.jsonl", "t.parquet"])
def test_a_missing_column_is_reported_with_the_columns_of_the_file_and_the_closest_name(
    tmp_path: Path, name: str
) -> None:
    path, frame = tmp_path / name, pd.DataFrame({"id": ["1"], "texts": ["a"], "label": ["x"]})
    if name == "t.parquet":
        frame.to_parquet(path)
    else:
        path.write_text(frame.to_csv(index=False) if name == "t.csv" else frame.to_json(orient="records", lines=True))
    message = error_message(path, DataContractError)

    assert (
        "has no column 'text' (its columns: 'id', 'texts', 'label'). Did you mean 'texts'? Set data.columns.text"
        in message
    )


def test_a_column_that_occurs_twice_is_refused(tmp_path: Path) -> None:
    assert "two columns 'text'" in error_message(write(tmp_path, "id,text,text,label\n1,a,b,x\n"), DataContractError)


@pytest.mark.parametrize("name", ["group", "length", "unknown words"])
def test_a_slice_column_may_not_have_a_reserved_name(tmp_path: Path, name: str) -> None:
    path = write(tmp_path, f"id,text,label,{name}\n1,a,b,x\n")

    assert f"'{name}' has a name" in error_message(path, DataContractError, columns={"slices": [name]})


@pytest.mark.parametrize("name", ["t.csv", "t.jsonl", "t.csv.gz"])
def test_bytes_of_another_encoding_are_reported_with_their_position(tmp_path: Path, name: str) -> None:
    lines = (
        ["id,text,label", "1,a,x", "2,é,y"] if "csv" in name else ['{"id":1,"text":"a","label":"x"}', '{"text":"é"}']
    )
    contents = "\n".join(lines).encode("latin-1")
    path = write(tmp_path, gzip.compress(contents, mtime=0) if name.endswith("gz") else contents, name)
    message = error_message(path, DataFileError)

    assert f"is not utf-8: byte 0xE9 at position {contents.index(0xE9)} (line {len(lines)})" in message
    assert "set data.encoding: latin-1" in message


def test_a_wrong_byte_far_into_the_file_is_reported_with_its_position(tmp_path: Path) -> None:
    row = "1,ação,x\n".encode()
    rows = 200_000
    message = error_message(write(tmp_path, b"id,text,label\n" + row * rows + b"2,\xe9,y\n"), DataFileError)

    assert f"position {14 + len(row) * rows + 2:,} (line {rows + 2:,})" in message


def test_a_header_in_another_encoding_is_an_encoding_error(tmp_path: Path) -> None:
    path = write(tmp_path, "código,text,label\n1,a,x\n".encode("latin-1"))

    assert "byte 0xF3 at position 1 (line 1)" in error_message(path, DataFileError)


def test_utf_16_is_recognized(tmp_path: Path) -> None:
    assert "set data.encoding: utf-16" in error_message(write(tmp_path, as_csv().encode("utf-16")), DataFileError)


def test_an_unknown_encoding_is_a_configuration_error(tmp_path: Path) -> None:
    path = write(tmp_path, as_csv())

    assert "'latin1x'. Did you mean latin1?" in error_message(path, ConfigurationError, encoding="latin1x")
    assert "'hex'" in error_message(path, ConfigurationError, encoding="hex")


@pytest.mark.parametrize("separator", [";;", "", "é", '"'])
def test_a_separator_must_be_one_plain_character(tmp_path: Path, separator: str) -> None:
    assert "data.separator is" in error_message(write(tmp_path, as_csv()), ConfigurationError, separator=separator)


@pytest.mark.parametrize("name", ["t.csv.gz", "t.jsonl.gz", "t.parquet.gz"])
def test_a_truncated_gzip_file_is_reported(tmp_path: Path, name: str) -> None:
    contents = gzip.compress(b"".join(b'{"id":"%d","text":"a","label":"x"}\n' % row for row in range(50_000)))
    message = error_message(write(tmp_path, contents[: len(contents) // 2], name), DataFileError)

    assert "gzip file that is cut short or damaged" in message
    assert "Copy or download it again" in message


def test_a_gzip_file_with_a_changed_byte_is_reported(tmp_path: Path) -> None:
    contents = bytearray(gzip.compress(as_csv().encode() * 100))
    contents[-6] ^= 0xFF

    assert "gzip file that is cut short or damaged" in error_message(write(tmp_path, bytes(contents)), DataFileError)


@pytest.mark.parametrize("damage", ["start", "end", "text"])
def test_a_damaged_parquet_file_is_reported(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "t.parquet"
    pd.DataFrame({"id": ["1"], "text": ["a" * 1000], "label": ["x"]}).to_parquet(path)
    intact = path.read_bytes()
    path.write_bytes({"start": intact[:100], "end": intact[:-3], "text": b"id,text,label\n1,a,x\n"}[damage])

    assert "damaged or not a Parquet file" in error_message(path, DataFileError)


def test_a_parquet_column_of_lists_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    pd.DataFrame({"id": ["1"], "text": [["a", "b"]], "label": ["x"]}).to_parquet(path)

    assert "column 'text' contains list" in error_message(path, DataContractError)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ('{"text": "a"', "line 2 is not JSON"),
        ('["a", "b"]', "line 2 is not a JSON object"),
        ("7", "line 2 is not a JSON object"),
        ('{"text": ["a"]}', "line 2: 'text' is a list"),
    ],
)
def test_an_invalid_json_line_is_reported_with_its_number(tmp_path: Path, line: str, expected: str) -> None:
    valid = '{"id": "1", "text": "a", "label": "x"}'
    assert expected in error_message(
        write(tmp_path, f"{valid}\n{line}\n{valid}\n", "t.jsonl"), (DataFileError, DataContractError)
    )


@pytest.mark.parametrize("row", ["2,too,many,values", "2,few"])
def test_a_ragged_row_is_reported_with_its_number(tmp_path: Path, row: str) -> None:
    message = error_message(write(tmp_path, f"id,text,label\n1,a,x\n{row}\n3,b,y\n"), DataFileError)

    assert f"data row 2 has {row.count(',') + 1} values, but the header has 3 columns: {row!r}" in message


def test_an_open_quote_that_swallows_the_rest_of_the_file_is_reported(tmp_path: Path) -> None:
    message = error_message(write(tmp_path, 'id,label,text\n1,x,a\n2,y,"b\n3,x,c\n4,y,d\n'), DataFileError)

    assert "the quote that opens in line 3 is never closed, so it would swallow the rows below it" in message
    assert "data.quoting: none" in message


def test_an_open_quote_that_swallows_megabytes_is_reported(tmp_path: Path) -> None:
    rows = "".join(f"{row},x,{'a' * 900}\n" for row in range(40_000))
    message = error_message(write(tmp_path, 'id,label,text\n1,x,"a\n' + rows), DataFileError)

    assert (
        "a row is longer than 16 MiB, most likely because a quote is never closed: the one that opens in line 2"
        in message
    )


def test_a_quoted_line_break_in_the_last_cell_is_not_an_open_quote(tmp_path: Path) -> None:
    assert list(read(write(tmp_path, 'id,label,text\n1,x,"a\nb"\n\n'))["text"]) == ["a\nb"]


def test_a_workbook_is_recognized(tmp_path: Path) -> None:
    assert "is an Excel workbook (.xlsx)" in error_message(
        write(tmp_path, b"PK\x03\x04abc xl/workbook.xml", "t.xlsx"), DataFileError
    )


@pytest.mark.parametrize("value", ["1,5", "good", "nan", "inf"])
def test_a_rating_that_is_not_a_number_is_reported_with_its_row(tmp_path: Path, value: str) -> None:
    path = write(tmp_path, f'id,text,label,r\n1,a,x,1\n2,b,y,"{value}"\n')
    message = error_message(path, DataContractError, columns={"rating": "r"})

    assert f"texts.csv: the rating of data row 2 is {value!r}, which is not a number" in message


@pytest.mark.parametrize("value", ["0", "-1", "", "heavy"])
def test_a_weight_must_be_a_positive_number(tmp_path: Path, value: str) -> None:
    path = write(tmp_path, f"id,text,label,w\n1,a,x,{value}\n2,b,y,1\n")

    assert f"the weight of data row 1 is {value!r}" in error_message(path, DataContractError, columns={"weight": "w"})


def test_an_unknown_split_is_reported_with_its_row(tmp_path: Path) -> None:
    path = write(tmp_path, "id,text,label,s\n1,a,x,train\n2,b,y,holdout\n")

    assert "the split of data row 2 is 'holdout'" in error_message(path, DataContractError, columns={"split": "s"})


@pytest.mark.parametrize(
    ("name", "contents"),
    [
        ("t.csv", "id,text,label\n1,a,x\n2,,\n"),
        ("t.csv", 'id,text,label\n1,a,x\n2,"",""\n'),
        ("t.jsonl", '{"id": 1, "text": "a", "label": "x"}\n{"id": 2, "text": null, "label": null}\n'),
        ("t.jsonl", '{"id": 1, "text": "a", "label": "x"}\n{"id": 2}\n'),
        ("t.jsonl", '{"id": 1, "text": "a", "label": "x"}\n{"id": 2, "text": NaN, "label": NaN}\n'),
    ],
)
def test_a_missing_value_is_missing_in_the_spelling_of_its_format(tmp_path: Path, name: str, contents: str) -> None:
    table = read(write(tmp_path, contents, name))

    assert table["label"].isna().tolist() == [False, True]
    assert table["text"].fillna("").tolist() == ["a", ""]


@pytest.mark.parametrize("missing", [None, float("nan")])
@pytest.mark.parametrize("kind", [pa.float64(), pa.float32(), pa.dictionary(pa.int32(), pa.float64())])
def test_nan_and_null_are_missing_in_parquet(tmp_path: Path, kind: pa.DataType, missing: float | None) -> None:
    labels = pa.array([1.5, missing], pa.float64(), from_pandas=False)
    labels = labels.dictionary_encode() if pa.types.is_dictionary(kind) else labels.cast(kind)
    pq.write_table(pa.table({"id": ["1", "2"], "text": ["a", "b"], "label": labels}), tmp_path / "t.parquet")

    assert read(tmp_path / "t.parquet")["label"].fillna("missing").tolist() == ["1.5", "missing"]


@pytest.mark.parametrize("word", ["NA", "None", "null", "nan", "N/A", "NaN"])
@pytest.mark.parametrize("name", ["t.csv", "t.jsonl", "t.parquet"])
def test_a_word_that_looks_like_a_missing_value_stays_a_word(tmp_path: Path, name: str, word: str) -> None:
    frame = pd.DataFrame({"id": ["1", "2"], "text": [word, "b"], "label": ["x", word]})
    path = tmp_path / name
    if name == "t.parquet":
        frame.to_parquet(path)
    else:
        path.write_text(frame.to_csv(index=False) if name == "t.csv" else frame.to_json(orient="records", lines=True))

    table = read(path)
    assert table["text"].tolist() == [word, "b"]
    assert table["label"].tolist() == ["x", word]


@pytest.mark.parametrize("name", ["t.txt", "t.csv", "t"])
def test_json_lines_are_recognized_whatever_the_name(tmp_path: Path, name: str) -> None:
    table = read(write(tmp_path, '{"id": "001", "text": "007", "label": "x"}\n', name))

    assert table.iloc[0].tolist() == ["001", "007", "x"]


@pytest.mark.parametrize("first", ["sep=;\r\n", '"sep=;"\r\n', "sep=;\n"])
def test_excels_own_first_line_is_skipped(tmp_path: Path, first: str) -> None:
    texts = read_labeled_texts(write(tmp_path, f"{first}id;text;label\n1;a, b;x\n"), params_with(LABELED).data)

    assert texts.table["text"].tolist() == ["a, b"]
    assert (texts.source.separator, texts.source.lines) == (";", 1)


def test_the_source_has_lines_and_line_breaks_in_cells(tmp_path: Path) -> None:
    contents = 'id,text,label\n1,"a\nb\n\nc",x\n\n2,d,y\n'
    source = read_labeled_texts(write(tmp_path, contents), params_with(LABELED).data).source

    assert (source.rows, source.lines, source.line_breaks) == (2, 4, 2)
    assert source.describe()["line_breaks_in_cells"] == 2


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "shift_jis", "gb18030"])
def test_encodings_of_several_bytes_per_character_are_read(tmp_path: Path, encoding: str) -> None:
    contents = 'id,text,label\n1,"日本, ""言""\n語",x\n' + "2,テキスト|b,y\n" * 3
    table = read(write(tmp_path, contents.encode(encoding)), encoding=encoding)

    assert table["text"].tolist() == ['日本, "言"\n語', *["テキスト|b"] * 3]
