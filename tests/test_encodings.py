"""What a message about an encoding advises, by the bytes of the file."""

from pathlib import Path

import pytest

from atnet.data.reader import read_labeled_texts
from atnet.errors import DataFileError
from tests.settings import LABELED, params_with

HEADER = "id,text,label\n"


def advice(tmp_path: Path, contents: bytes, encoding: str = "utf-8") -> str:
    path = tmp_path / "t.csv"
    path.write_bytes(contents)
    with pytest.raises(DataFileError) as raised:
        read_labeled_texts(path, params_with(LABELED, {"data": {"encoding": encoding}}).data)
    return str(raised.value)


def rows(*texts: str) -> str:
    return HEADER + "".join(f"{number},{text},x\n" for number, text in enumerate(texts))


@pytest.mark.parametrize(
    "text",
    [
        "It\u2019s a film",
        "a film \u2013 dull",
        "\u201cdull\u201d",
        "5 \u20ac",
        "wait\u2026",
        "\u0152uvre \u0160t\u011b",
    ],
)
def test_bytes_that_only_windows_1252_has_name_it(tmp_path: Path, text: str) -> None:
    contents = rows(text, "não é").encode("cp1252", "replace")

    assert "set data.encoding: cp1252 in params.yaml" in advice(tmp_path, contents)


@pytest.mark.parametrize("text", ["não é", "ação", "Stra\u00dfe"])
def test_accents_alone_name_latin_1(tmp_path: Path, text: str) -> None:
    assert "set data.encoding: latin-1 in params.yaml" in advice(tmp_path, rows(text).encode("latin-1"))


@pytest.mark.parametrize("bad", ["It\u2019s", "olá \u2013 não", "5 \u20ac"])
def test_a_line_in_another_encoding_is_named(tmp_path: Path, bad: str) -> None:
    good = rows(*(f"não é o filme {n}" for n in range(30))).encode()
    hint = advice(tmp_path, good + f"x,{bad},y\n".encode("cp1252") + b"z,plain,x\n")

    assert "The file mixes encodings: 30 other lines are UTF-8, 1 are not (line 32)" in hint
    assert "Write those lines again as UTF-8" in hint
    assert "data.encoding" not in hint


@pytest.mark.parametrize(
    ("encoding", "text"),
    [
        ("cp1251", "отличный фильм"),
        ("koi8-r", "отличный фильм"),
        ("shift_jis", "素晴らしい映画"),
        ("gb18030", "很好的电影"),
        ("mac-roman", "Œuvre “très” belle … ± Å à é"),
    ],
)
def test_bytes_of_no_western_encoding_name_neither_latin_1_nor_windows_1252(
    tmp_path: Path, encoding: str, text: str
) -> None:
    hint = advice(tmp_path, rows(text, text).encode(encoding))

    assert "Set data.encoding in params.yaml to what the file was written with" in hint or encoding == "mac-roman"
    assert "set data.encoding: latin-1" not in hint


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be"])
def test_wide_encodings_are_named_with_and_without_a_byte_order_mark(tmp_path: Path, encoding: str) -> None:
    hint = advice(tmp_path, rows("um filme", "outro").encode(encoding))

    assert f"set data.encoding: {encoding} in params.yaml" in hint
    assert "has no column" not in hint


@pytest.mark.parametrize("encoding", ["ascii", "shift_jis", "utf-16"])
def test_a_utf_8_file_is_named_when_another_encoding_is_set(tmp_path: Path, encoding: str) -> None:
    hint = advice(tmp_path, rows("não é \U0001f929").encode(), encoding)

    assert "It is valid UTF-8: set data.encoding: utf-8 in params.yaml" in hint


@pytest.mark.parametrize("text", ["It\u2019s", "5 \u20ac", "a \u2013 b"])
def test_control_characters_after_latin_1_are_warned_of(tmp_path: Path, text: str) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(rows("plain", text, text).encode("cp1252"))
    source = read_labeled_texts(path, params_with(LABELED, {"data": {"encoding": "latin-1"}}).data).source

    assert len(source.warnings) == 1
    assert "2 texts (first: data row 2) contain control characters" in source.warnings[0]
    assert "probably cp1252" in source.warnings[0]
    right = params_with(LABELED, {"data": {"encoding": "cp1252"}}).data
    assert read_labeled_texts(path, right).source.warnings == ()
