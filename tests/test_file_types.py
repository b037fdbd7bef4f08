"""Recognizing files that are not tables of texts, and the next step for each."""

import gzip
import io
import json
import pickle
import sqlite3
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.orc
import pytest

from atnet.data.file_types import unsupported_type
from atnet.data.reader import read_labeled_texts
from atnet.errors import DataFileError
from tests.settings import LABELED, params_with

ROWS = [{"id": f"{n}", "text": f"film {n}", "label": "pos" if n % 2 else "neg"} for n in range(20)]
CSV = pd.DataFrame(ROWS).to_csv(index=False).encode()


def message(path: Path, **data: str) -> str:
    with pytest.raises(DataFileError) as raised:
        read_labeled_texts(path, params_with(LABELED, {"data": data}).data)
    assert "\n" not in str(raised.value)
    return str(raised.value)


def archive(kind: str) -> bytes:
    stream = io.BytesIO()
    if kind == "zip":
        with zipfile.ZipFile(stream, "w") as file:
            file.writestr("reviews.csv", CSV)
    else:
        with tarfile.open(fileobj=stream, mode="w:gz" if kind == "tar.gz" else "w") as tar:
            member = tarfile.TarInfo("reviews.csv")
            member.size = len(CSV)
            tar.addfile(member, io.BytesIO(CSV))
    return stream.getvalue()


def office(content: str) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as file:
        if content == "ods":
            file.writestr("mimetype", "application/vnd.oasis.opendocument.spreadsheet")
        else:
            file.writestr("[Content_Types].xml", "<Types/>")
            file.writestr(content, "<xml/>")
    return stream.getvalue()


def arrow(kind: str) -> bytes:
    stream = io.BytesIO()
    table = pa.Table.from_pylist(ROWS)
    if kind == "orc":
        pyarrow.orc.write_table(table, stream)
    else:
        with pa.ipc.new_file(stream, table.schema) as writer:
            writer.write_table(table)
    return stream.getvalue()


def numpy_array() -> bytes:
    stream = io.BytesIO()
    np.save(stream, np.zeros(3))
    return stream.getvalue()


FILES: dict[str, tuple[bytes, str, str]] = {
    "page.csv": (b"\n<!DOCTYPE html><html><body>Sign in</body></html>\n", "an HTML page", "Download the file itself"),
    "plain.csv": (b"<!-- login --><HTML><head></head></HTML>", "an HTML page", "Download the file itself"),
    "bom.csv": (b"\xef\xbb\xbf<html></html>", "an HTML page", "Download the file itself"),
    "rows.xml": (b'<?xml version="1.0"?><rows/>', "an XML file", "Convert it"),
    "pointer.csv": (
        b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n",
        "a Git LFS pointer",
        "git lfs pull",
    ),
    "pointer.parquet": (b"version https://git-lfs.github.com/spec/v1\nsize 1\n", "a Git LFS pointer", "git lfs pull"),
    "reviews.csv.dvc": (b"outs:\n- md5: 0123\n  size: 9\n  path: reviews.csv\n", "a .dvc file", "without .dvc"),
    "import.dvc": (b"md5: 01\nfrozen: true\ndeps:\n- path: a\n  hash: md5\nouts:\n- md5: 01\n", "a .dvc file", ".dvc"),
    "old.xls": (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(2000), "an old Excel workbook", "CSV (UTF-8)"),
    "new.xlsx": (office("xl/workbook.xml"), "an Excel workbook (.xlsx)", "CSV (UTF-8)"),
    "table.ods": (office("ods"), "a LibreOffice spreadsheet", "CSV (UTF-8)"),
    "text.docx": (office("word/document.xml"), "a Word document", "CSV"),
    "reviews.zip": (archive("zip"), "a zip archive", "Unpack it"),
    "reviews.tar": (archive("tar"), "a tar archive", "Unpack it"),
    "reviews.tar.gz": (archive("tar.gz"), "a tar archive", "Unpack it"),
    "reviews.7z": (b"7z\xbc\xaf\x27\x1c" + bytes(50), "a 7z archive", "Unpack it"),
    "reviews.csv.zst": (b"\x28\xb5\x2f\xfd" + bytes(50), "compressed with zstd", "Unpack it"),
    "frame.pkl": (pickle.dumps(ROWS), "a Python pickle", "to_parquet"),
    "frame2.pkl": (pickle.dumps(pd.DataFrame(ROWS), protocol=2), "a Python pickle", "to_parquet"),
    "table.arrow": (arrow("arrow"), "an Arrow or Feather file", "Write it as Parquet"),
    "table.orc": (arrow("orc"), "an ORC file", "Write it as Parquet"),
    "array.npy": (numpy_array(), "a NumPy array", "Parquet or CSV"),
    "paper.pdf": (b"%PDF-1.7\n", "a PDF document", "CSV"),
    "indented.json": (json.dumps(ROWS, indent=2).encode(), "a JSON array", "one object per line"),
    "compact.json": (json.dumps(ROWS).encode(), "a JSON array", "one object per line"),
    "object.json": (json.dumps({"rows": ROWS}, indent=2).encode(), "JSON that is spread over", "one object per line"),
    "labels.json": (
        json.dumps([{"id": 1, "data": {"text": "a"}, "annotations": []}]).encode(),
        "a Label Studio export",
        "Export it as CSV",
    ),
}


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_is_something_else_is_named_with_the_next_step(tmp_path: Path, name: str) -> None:
    contents, kind, advice = FILES[name]
    (tmp_path / name).write_bytes(contents)

    error = message(tmp_path / name)
    assert f"{name} is {kind}" in error
    assert advice in error


def test_a_database_is_named_with_the_next_step(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "reviews.db") as database:
        database.execute("create table reviews (text, label)")

    assert "reviews.db is a SQLite database. Import a query with `dvc import-db`" in message(tmp_path / "reviews.db")


def test_the_format_setting_does_not_hide_what_a_file_is(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes(FILES["page.csv"][0])

    for name in ("csv", "jsonl", "parquet"):
        assert "is an HTML page" in message(tmp_path / "t.csv", format=name)


@pytest.mark.parametrize(
    "contents",
    [
        CSV,
        b"[id],text,label\n1,a,x\n",
        b'"[""quoted""]",text\n',
        b"text,label\n<b>bold</b>,x\n",
        b'{"text": "a", "label": "x"}\n',
        b"version,text\n1,a\n",
        b"outs,text\n1,a\n",
        b"PKs,text\n",
        b"ORC,text\n",
        gzip.compress(CSV),
        b"",
    ],
)
def test_texts_are_not_mistaken_for_something_else(contents: bytes) -> None:
    assert unsupported_type(contents) is None
