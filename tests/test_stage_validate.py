"""The stage `validate` as a command: files, messages and exit codes."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from atnet.files import VALIDATED
from atnet.stages.validate import main
from tests.settings import LABELED, params_file
from tests.texts import labeled_texts


def run(tmp_path: Path, contents: bytes | str, name: str = "texts.csv", **changes: dict[str, Any]) -> int:
    source = tmp_path / name
    source.write_bytes(contents.encode() if isinstance(contents, str) else contents)
    sections = {section.replace("__", "."): values for section, values in changes.items()}
    data = {"path": name, **sections.pop("data", {})}
    params_file(tmp_path, LABELED, {**sections, "data": data})
    return main(["--root", str(tmp_path)])


def files(tmp_path: Path) -> set[str]:
    return {path.name for path in (tmp_path / VALIDATED).iterdir()} if (tmp_path / VALIDATED).exists() else set()


def outputs(tmp_path: Path) -> dict[str, bytes]:
    folder = tmp_path / VALIDATED
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def valid_csv(rows: int = 60) -> str:
    return labeled_texts(rows).to_csv(index=False)


REPORTS = {"quarantine.parquet", "report.json", "report.html", "docs"}


def test_valid_rows_become_the_canonical_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tmp_path, valid_csv() + "bad,,positive\n") == 0

    table = pd.read_parquet(tmp_path / VALIDATED / "table.parquet")
    assert list(table.columns) == ["id", "text", "label"]
    assert len(table) == 60
    assert files(tmp_path) == REPORTS | {"table.parquet"}
    assert (tmp_path / VALIDATED / "docs" / "index.html").is_file()
    assert capsys.readouterr().out == (
        "validate: 61 rows read, 60 valid, 1 quarantined (text_not_blank 1, text_characters 1, text_words 1)\n"
    )


def test_portuguese_texts_and_slices_are_kept_unchanged(tmp_path: Path) -> None:
    frame = labeled_texts(60, language="pt", labels=6).assign(região="são paulo")
    assert (
        run(tmp_path, frame.to_csv(index=False, sep=";").encode("utf-8-sig"), data__columns={"slices": ["região"]}) == 0
    )

    table = pd.read_parquet(tmp_path / VALIDATED / "table.parquet")
    assert table["text"].tolist() == frame["text"].tolist()
    assert set(table["região"]) == {"são paulo"}


def test_the_same_input_gives_the_same_bytes(tmp_path: Path) -> None:
    assert run(tmp_path, valid_csv() + "bad,,positive\n") == 0
    before = outputs(tmp_path)
    assert run(tmp_path, valid_csv() + "bad,,positive\n") == 0

    assert outputs(tmp_path) == before
    assert {"table.parquet", "report.html", "docs/index.html", "docs/validations/rows.html"} <= set(before)


@pytest.mark.slow
def test_another_process_writes_the_same_bytes(tmp_path: Path) -> None:
    assert run(tmp_path, valid_csv() + "bad,,positive\n") == 0
    before = outputs(tmp_path)
    environment = os.environ | {"PYTHONHASHSEED": "7", "TZ": "Asia/Tokyo"}
    command = [sys.executable, "-m", "atnet.stages.validate"]
    subprocess.run(command, cwd=tmp_path, env=environment, check=True, capture_output=True)

    assert outputs(tmp_path) == before


@pytest.mark.slow
def test_a_critical_failure_writes_the_reports_and_no_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tmp_path, valid_csv()) == 0
    capsys.readouterr()
    assert run(tmp_path, valid_csv() + "a,,positive\n" * 30) == 1

    assert files(tmp_path) == REPORTS
    report = json.loads((tmp_path / VALIDATED / "report.json").read_text())
    assert report["failed"] == ["quarantined_fraction"]
    assert len(pd.read_parquet(tmp_path / VALIDATED / "quarantine.parquet")) == 30
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("validate: 1 of 7 table checks failed: quarantined_fraction is 0.3333")
    assert str(VALIDATED / "report.json") in printed.err
    assert "Traceback" not in printed.err


def one_label() -> str:
    return labeled_texts(40).assign(label="same").to_csv(index=False)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("contents", "changes", "expected"),
    [
        (b"", {}, "is empty"),
        ("id,text,label\n", {}, "has a header but no rows"),
        ("id,texts,label\n1,a,b\n", {}, "Did you mean 'texts'?"),
        (valid_csv().encode() + b"x,\xe9,positive\n", {}, "is not utf-8: byte 0xE9"),
        (valid_csv(), {"data": {"encoding": "utf-88"}}, "there is no text encoding 'utf-88'"),
        (valid_csv() + "x,y\n", {}, "data row 61 has 2 values"),
        (b"\x1f\x8b\x08\x00cut", {}, "gzip file that is cut short or damaged"),
        (b"PAR1 and then nothing", {}, "damaged or not a Parquet file"),
        ("{}\n{", {"data": {"format": "jsonl"}}, "line 2 is not JSON"),
        (one_label(), {}, "label_count is 1, allowed at least 2"),
        ("id,text,label\n1,a,x\n2,b,y\n", {}, "rows_per_label is 1, allowed at least 8"),
        (
            "id,text,label\n1,a,x\n",
            {"validate": {"labels": ["x", "y"]}},
            "mean_rows_per_label is 0.5, allowed at least 1",
        ),
        ("id,text,label\n1,,x\n2,,y\n", {}, "quarantined_fraction is 1, allowed at most 0.05"),
        (valid_csv(), {"validate": {"labels": ["only"]}}, "fewer than two labels"),
    ],
)
def test_invalid_input_ends_with_one_message_and_no_table(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    contents: bytes | str,
    changes: dict[str, dict[str, Any]],
    expected: str,
) -> None:
    assert run(tmp_path, contents, **changes) == 1

    message = capsys.readouterr().err
    assert message.startswith("validate: ")
    assert expected in message
    assert "Traceback" not in message
    assert "table.parquet" not in files(tmp_path)
    assert not [name for name in files(tmp_path) if name.endswith(".part")]


def test_a_missing_file_ends_with_one_message(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    params_file(tmp_path, LABELED, {"data": {"path": "no.csv"}})

    assert main(["--root", str(tmp_path)]) == 1
    assert "no.csv is missing. Put your file there" in capsys.readouterr().err
