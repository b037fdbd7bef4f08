"""Reading a data file in batches: the same rows and the same errors as reading the whole file."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from atnet.config import DataConfig
from atnet.data.delimited import read_delimited, stream_delimited
from atnet.data.reader import read_raw_columns, stream_raw_columns
from atnet.errors import DataFileError
from tests.settings import LABELED, params_with

CELLS = st.text(alphabet='ab ",\n\té', max_size=8)
ROWS = [
    {"id": f"r{row}", "text": f"não {'fine ' * (row % 7)}\n“film” {row}", "label": "ab"[row % 2]} for row in range(300)
]


def data_config(**changes: Any) -> DataConfig:
    return params_with(LABELED, {"data": changes}).data


def as_csv(separator: str = ",", line_end: str = "\n") -> str:
    stream = io.StringIO()
    writer = csv.writer(stream, delimiter=separator, lineterminator=line_end)
    writer.writerows([ROWS[0].keys(), *(row.values() for row in ROWS)])
    return stream.getvalue()


def streamed(path: Path, data: DataConfig, batch_bytes: int) -> list[dict[str, Any]]:
    batches = list(stream_raw_columns(path, data, batch_bytes=batch_bytes))
    assert len(batches) > 3
    return [row for batch in batches for row in batch.to_pylist()]


@pytest.mark.parametrize(
    ("name", "contents", "changes"),
    [
        ("t.csv", as_csv().encode(), {}),
        ("t.csv", as_csv(line_end="\r\n").encode("utf-8-sig"), {}),
        ("t.csv", ("sep=;\n" + as_csv(";")).encode(), {}),
        ("t.tsv", as_csv("\t").encode(), {}),
        ("t.csv", as_csv().encode("utf-16"), {"encoding": "utf-16"}),
        ("t.csv", as_csv().replace("“film”", "film").encode("latin-1"), {"encoding": "latin-1"}),
        ("t.jsonl", "\n".join(json.dumps(row) for row in ROWS).encode(), {}),
    ],
)
def test_batches_have_the_rows_of_the_whole_file(
    tmp_path: Path, name: str, contents: bytes, changes: dict[str, Any]
) -> None:
    path, data = tmp_path / name, data_config(**changes)
    path.write_bytes(contents)
    frame, _ = read_raw_columns(path, data)
    assert len(frame) == len(ROWS)
    assert streamed(path, data, batch_bytes=700) == frame.to_dict("records")


def test_batches_of_parquet_have_the_rows_of_the_whole_file(tmp_path: Path) -> None:
    path, data = tmp_path / "t.parquet", data_config()
    pq.write_table(pa.Table.from_pylist(ROWS), path)
    assert streamed(path, data, batch_bytes=700) == read_raw_columns(path, data)[0].to_dict("records")


@pytest.mark.slow
@settings(max_examples=100, deadline=None)
@given(
    rows=st.lists(st.tuples(st.text("ab", max_size=3), CELLS, st.sampled_from("xy")), min_size=1, max_size=8),
    separator=st.sampled_from(",;"),
    size=st.integers(1, 40),
)
def test_any_block_size_gives_the_same_rows(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str, str]], separator: str, size: int
) -> None:
    stream = io.StringIO()
    csv.writer(stream, delimiter=separator, lineterminator="\n").writerows([("id", "text", "label"), *rows])
    path, data = tmp_path_factory.getbasetemp() / "blocks.csv", data_config(quoting="standard")
    path.write_text(stream.getvalue(), encoding="utf-8", newline="")
    batches = list(stream_delimited(path, data, batch_bytes=size))
    assert pa.Table.from_batches(batches).to_pylist() == read_delimited(path, data).table.to_pylist()


def test_an_unquoted_file_is_streamed_to_the_letter(tmp_path: Path) -> None:
    rows = "".join(f"r{row}\t{chr(34) if row == 50 else ''}film {row}\tx\n" for row in range(100))
    path = tmp_path / "t.tsv"
    path.write_text(f"id\ttext\tlabel\n{rows}")
    texts = [row["text"] for row in streamed(path, data_config(), batch_bytes=300)]
    assert texts == [f"{chr(34) if row == 50 else ''}film {row}" for row in range(100)]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("r,a,b,c,d\n", "data row 101 has 5 values"),
        ('r,"open,x\n', "the quote that opens in line 102 is never closed"),
        ("r,\xff,x\n", "is not utf-8: byte 0xFF"),
    ],
)
def test_a_fault_in_a_later_block_is_reported_with_its_place(tmp_path: Path, row: str, message: str) -> None:
    rows = "".join(f"r{number},film {number},x\n" for number in range(100))
    path = tmp_path / "t.csv"
    path.write_bytes(f"id,text,label\n{rows}{row}{rows}".encode("latin-1"))
    with pytest.raises(DataFileError, match=message):
        list(stream_raw_columns(path, data_config(), batch_bytes=256))


def test_a_row_longer_than_the_blocks_is_read(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text(f"id,text,label\n1,{'long ' * 1000},x\n2,b,y\n")
    batches = list(stream_delimited(path, data_config(), batch_bytes=100))
    assert [row["id"] for batch in batches for row in batch.to_pylist()] == ["1", "2"]
