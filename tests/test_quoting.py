"""Quotes in delimited files: kept to the letter, or refused with the line where the quote opens; no row is lost."""

import csv
import io
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from atnet.data import quoting
from atnet.data.quoting import QuoteScanner
from atnet.data.reader import LabeledTexts, read_labeled_texts
from atnet.errors import DataFileError
from tests.settings import LABELED, params_with

CELLS = st.text(alphabet='ab ",\n\t\\', max_size=8)


def read(path: Path, contents: str, **data: Any) -> LabeledTexts:
    path.write_text(contents, encoding="utf-8", newline="")
    return read_labeled_texts(path, params_with(LABELED, {"data.columns": {"id": None}, "data": data}).data)


def error_message(path: Path, contents: str, **data: Any) -> str:
    with pytest.raises(DataFileError) as raised:
        read(path, contents, **data)
    return str(raised.value)


def scanned(contents: bytes, columns: int = 3) -> QuoteScanner:
    scanner = QuoteScanner(b",", columns)
    scanner.feed(contents)
    scanner.finish()
    return scanner


def film_rows(separator: str, changes: dict[int, str]) -> str:
    """Return 200 rows of label and text, with the text of some rows changed."""
    rows = [
        ("pos" if n % 2 else "neg", changes.get(n, f"the {'fine' if n % 2 else 'dull'} film number {n}"))
        for n in range(200)
    ]
    return f"label{separator}text\n" + "".join(f"{label}{separator}{text}\n" for label, text in rows)


STRAY_QUOTES: list[dict[int, str]] = [
    {40: '"Dreadful, she said of film forty', 49: 'film forty-nine: nice" he said'},
    {40: '"Dreadful, she said', 49: 'Boring, he said"'},
    {40: '"open for ever'},
    {40: '"', 41: 'a 5" disk', 42: '"another'},
]


@pytest.mark.parametrize("changes", STRAY_QUOTES)
def test_a_tab_separated_file_that_is_not_quoted_is_read_to_the_letter(tmp_path: Path, changes: dict[int, str]) -> None:
    texts = read(tmp_path / "t.tsv", film_rows("\t", changes))

    assert len(texts.table) == 200
    assert [texts.table["text"].iloc[row] for row in changes] == list(changes.values())
    assert texts.source.quoting == "none"


@pytest.mark.parametrize("changes", [{row: text.replace(",", "") for row, text in c.items()} for c in STRAY_QUOTES])
def test_a_comma_separated_file_with_stray_quotes_is_refused_with_the_line(
    tmp_path: Path, changes: dict[int, str]
) -> None:
    message = error_message(tmp_path / "t.csv", film_rows(",", changes))

    assert "opens in line 42" in message
    assert "data.quoting: none" in message
    texts = read(tmp_path / "t.csv", film_rows(",", changes), quoting="none")
    assert [texts.table["text"].iloc[row] for row in changes] == list(changes.values())


def test_stray_quotes_in_a_tab_separated_file_with_quoted_cells_are_refused(tmp_path: Path) -> None:
    changes = {3: '"a quoted text"', 40: '"open for ever'}

    assert "the quote that opens in line 42 is never closed" in error_message(
        tmp_path / "t.tsv", film_rows("\t", changes)
    )


@pytest.mark.parametrize(
    "contents",
    [
        'text,label\n"Dreadful she said,neg\nnice,pos\nBoring he said",neg\nfine,pos\n',
        'text,label\n"Dreadful she said,neg\nBoring he said",neg\nfine,pos\n',
        'label,text\nneg,"Dreadful she said\npos,nice\nneg,Boring he said"\npos,fine\n',
    ],
)
def test_a_quoted_cell_that_holds_whole_records_is_refused_unless_it_is_confirmed(
    tmp_path: Path, contents: str
) -> None:
    message = error_message(tmp_path / "t.csv", contents)

    assert "the quoted cell that opens in line 2 contains whole records" in message
    assert len(read(tmp_path / "t.csv", contents, quoting="standard").table) == 2
    assert len(read(tmp_path / "t.csv", contents, quoting="none").table) == contents.count("\n") - 1


@pytest.mark.parametrize(
    ("cell", "fault"),
    [
        ('"good" and bad', "has text after its closing quote"),
        ('"good"x', "has text after its closing quote"),
        ('"he said "good" again"', "has text after its closing quote"),
        ('"he said \\"good\\" again"', "has a quote escaped by a backslash"),
        ('"he said \\"good\\""', "has a quote escaped by a backslash"),
    ],
)
def test_quotes_that_the_parser_would_drop_are_refused_with_the_line(tmp_path: Path, cell: str, fault: str) -> None:
    message = error_message(tmp_path / "t.csv", f"text,label\nfine,pos\n{cell},neg\nbad,neg\n")

    assert "opens in line 3" in message
    assert fault in message


@pytest.mark.parametrize("text", ['a 5" disk', 'disk of 5"', 'say "x" twice', 'a ""b"" c', " not quoted"])
def test_a_quote_inside_an_unquoted_cell_is_text(tmp_path: Path, text: str) -> None:
    texts = read(tmp_path / "t.csv", f"text,label\n{text},pos\nfine,neg\n")

    assert texts.table["text"].tolist() == [text, "fine"]


def test_quoted_line_breaks_commas_and_quotes_are_still_read(tmp_path: Path) -> None:
    cells = ["first line\nsecond, line", 'he said ""fine""', "a\n\nb", "x,neg", "one\ntwo,three\nfour"]
    contents = "text,label\n" + "".join(f'"{cell}",pos\n' for cell in cells)
    texts = read(tmp_path / "t.csv", contents)

    assert texts.table["text"].tolist() == [cell.replace('""', '"') for cell in cells]
    assert texts.source.line_breaks == 4
    assert texts.source.quoting == "standard"


@pytest.mark.slow
@settings(max_examples=100, deadline=None)
@given(
    rows=st.lists(st.tuples(CELLS, CELLS, st.sampled_from("xy")), min_size=1, max_size=6),
    every=st.booleans(),
    line_end=st.sampled_from(["\n", "\r\n"]),
)
def test_every_valid_file_is_read_as_the_csv_module_reads_it(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str, str]], every: bool, line_end: str
) -> None:
    stream = io.StringIO()
    writer = csv.writer(stream, quoting=csv.QUOTE_ALL if every else csv.QUOTE_MINIMAL, lineterminator=line_end)
    writer.writerows([("text", "more", "label"), *rows])
    path = tmp_path_factory.getbasetemp() / "valid.csv"
    table = read(path, stream.getvalue(), quoting="standard").table

    expected = [row[0] for row in csv.reader(io.StringIO(stream.getvalue(), newline=""))][1:]
    assert table["text"].tolist() == expected


@settings(max_examples=300, deadline=None)
@given(body=st.text(alphabet='ab",\n', max_size=30), size=st.integers(1, 9))
def test_a_scan_in_pieces_gives_the_same_as_a_scan_of_the_whole_file(body: str, size: int) -> None:
    contents = f"text,label\n{body}".encode()
    whole, pieces = scanned(contents, columns=2), QuoteScanner(b",", 2)
    for start in range(0, len(contents), size):
        pieces.feed(contents[start : start + size])
    pieces.finish()

    assert pieces.fault == whole.fault
    if whole.fault is None:
        assert (pieces.lines, pieces.suspects, pieces.closed_cells) == (
            whole.lines,
            whole.suspects,
            whole.closed_cells,
        )


@settings(max_examples=300, deadline=None)
@given(body=st.text(alphabet='ab",\n', max_size=30))
def test_a_file_without_a_fault_follows_the_rules_strictly(body: str) -> None:
    contents = f"text,label\n{body}"
    scanner = scanned(contents.encode(), columns=2)
    rows: list[list[str]] | None
    try:
        rows = list(csv.reader(io.StringIO(contents, newline=""), strict=True))
    except csv.Error:
        rows = None

    assert (scanner.fault is None) == (rows is not None)


def test_a_cell_across_pieces_is_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quoting, "PIECE_BYTES", 7)
    scanner = scanned(b'id,text,label\n1,"a long cell\nwith a line, and ""quotes""",x\n2,b,y\n')

    assert scanner.fault is None
    assert scanner.lines == 4
