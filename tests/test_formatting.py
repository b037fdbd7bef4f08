"""Numbers, intervals, Markdown and spreadsheet cells as people read them."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from atnet.evaluation.bootstrap import Interval
from atnet.formatting import (
    code_block,
    count,
    defuse_formula,
    fixed,
    interval,
    markdown_table,
    markdown_text,
    p_value,
    percent,
    point_estimate,
    points,
    signed,
    with_interval,
)

MARKDOWN = MarkdownIt("commonmark", {"html": True}).enable("table")
# Markdown shows a NUL as a replacement character.
TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=40)


def test_numbers_are_written_as_reports_show_them() -> None:
    assert percent(0.8317) == "83.2%"
    assert fixed(0.8317) == "0.832"
    assert signed(-0.00001) == "+0.000"
    assert points(0.0123) == "+1.2"
    assert count(19136) == "19,136"
    assert percent(math.nan) == "—"
    assert (p_value(0.031), p_value(0.0001)) == ("= 0.031", "< 0.001")


@pytest.mark.parametrize("score", [Interval(0.832, 0.815, 0.849), {"value": 0.832, "low": 0.815, "high": 0.849}])
def test_a_score_is_written_with_its_interval(score: Interval | dict[str, float]) -> None:
    assert with_interval(score, percent) == "83.2% (81.5% to 84.9%)"
    assert interval(score, fixed) == "0.815 to 0.849"
    assert point_estimate(score) == 0.832


def test_a_plain_number_has_no_interval() -> None:
    assert with_interval(0.8, fixed) == "0.800"
    with pytest.raises(TypeError, match="no bounds"):
        interval(0.8, fixed)


@given(TEXTS)
def test_any_text_comes_out_of_markdown_as_it_went_in(text: str) -> None:
    (paragraph,) = [token for token in MARKDOWN.parse(f"x {markdown_text(text)}") if token.type == "inline"]
    assert {child.type for child in paragraph.children or []} <= {"text", "text_special", "softbreak"}
    assert "".join(child.content for child in paragraph.children or []) == f"x {' '.join(text.split())}".rstrip()


@given(TEXTS)
def test_any_text_stays_inside_its_table_cell(text: str) -> None:
    html = MARKDOWN.render(markdown_table(["label", "texts"], [[markdown_text(text), "1"]]))
    assert html.count("<td>") == 2
    assert "<script" not in html


@given(st.text(alphabet="`a\n ", max_size=40))
def test_nothing_ends_a_code_block_early(text: str) -> None:
    tokens = MARKDOWN.parse(code_block(text, "diff"))
    assert [token.type for token in tokens] == ["fence"]
    assert tokens[0].content == f"{text.rstrip(chr(10))}\n" or not text.strip("\n")


@pytest.mark.parametrize("cell", ["=1+1", "+HYPERLINK()", "-1+2", "@SUM(A1)", "\tcmd", "＝1"])
def test_a_formula_is_defused(cell: str) -> None:
    assert defuse_formula(cell) == f"'{cell}"


@pytest.mark.parametrize("cell", ["positive", "-1", "+0.5", "1e-3", -1, 0.5, None, "", "a=b"])
def test_other_cells_stay_as_they_are(cell: object) -> None:
    assert defuse_formula(cell) == cell
