"""The validation report and the Data Docs as pages that need no network."""

import re
from html.parser import HTMLParser
from pathlib import PurePosixPath

import numpy as np
import pandas as pd
import pytest

from atnet.config import DataConfig
from atnet.data.expectations import ExpectationRunner
from atnet.data.reader import SourceFile
from atnet.data.validation import ValidationResult, validate_table
from atnet.report.data_docs import render_data_docs
from atnet.report.validation_page import MAX_LABELS, label_bars, length_bars, render_validation_page
from tests.settings import LABELED, params_with
from tests.texts import labeled_texts

SOURCE = SourceFile("csv", rows=105, lines=107, separator=";", quoting="standard", warnings=("look <here>.",))
HOSTILE = '<script>alert("x")</script>'


class Page(HTMLParser):
    """Collects the tags and addresses of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.addresses += [value for name, value in attrs if name in ("href", "src") and value]


@pytest.fixture(scope="module")
def runner() -> ExpectationRunner:
    return ExpectationRunner()


@pytest.fixture(scope="module")
def result(runner: ExpectationRunner) -> ValidationResult:
    """Validate good rows, blank ones, one with a hostile label and id, and one long text."""
    rows = [
        *((f"blank-{row}", "  ", "positive") for row in range(3)),
        (HOSTILE, "a text with a strange label", HOSTILE),
        ("long", "word " * 500, "other"),
    ]
    table = pd.concat([labeled_texts(100), pd.DataFrame(rows, columns=["id", "text", "label"])], ignore_index=True)
    table = table.set_axis(pd.RangeIndex(1, len(table) + 1))
    config = params_with(LABELED, {"validate": {"labels": ["negative", "positive"]}}).validate_
    return validate_table(table, config, runner)


@pytest.fixture(scope="module")
def data() -> DataConfig:
    return params_with(LABELED, {"data": {"path": "data/<own>.csv"}}).data


@pytest.fixture(scope="module")
def page(result: ValidationResult, data: DataConfig) -> str:
    return render_validation_page(result, SOURCE, data)


@pytest.fixture(scope="module")
def docs(result: ValidationResult, runner: ExpectationRunner) -> dict[str, str]:
    return render_data_docs(runner.suite_runs)


def test_the_report_needs_no_network_and_no_script(page: str) -> None:
    addresses = Page(page).addresses

    assert "script" not in Page(page).tags
    assert all(address.startswith("#") or address == "docs/index.html" for address in addresses)
    assert not re.search(r"url\(|@import|https?:", page)


def test_the_report_has_counts_checks_and_examples(page: str) -> None:
    assert "Validation passed: 100 of 105 rows are valid." in page
    assert "5 rows were quarantined, most often because of text_not_blank 3" in page
    assert "at least 1 and at most 20,000" in page
    assert "one of negative, positive" in page
    assert "3 (2.9%)" in page
    assert "(blank)" in page
    assert "blank-0" in page
    assert "… (cut)" in page


def test_the_report_compares_rows_with_lines_and_lists_notes(page: str) -> None:
    assert "105 rows from 107 lines; difference 2" in page
    assert "<li>Look &lt;here&gt;.</li>" in page
    assert "separator <code>;</code>, standard quoting" in page


def test_values_of_the_data_are_escaped(page: str, docs: dict[str, str]) -> None:
    for html in (page, *docs.values()):
        assert "<script" not in html
        assert "alert(" not in html or "&lt;script&gt;" in html
    assert "&lt;script&gt;" in page
    assert "&lt;script&gt;" in docs["validations/rows.html"]
    assert "data/&lt;own&gt;.csv" in page


def test_a_failed_validation_is_the_first_sentence(runner: ExpectationRunner, data: DataConfig) -> None:
    table = labeled_texts(40).assign(label="same").set_axis(pd.RangeIndex(1, 41))
    failed = validate_table(table, params_with(LABELED).validate_, ExpectationRunner())

    assert "Validation failed: label_count. No table was written" in render_validation_page(failed, SOURCE, data)


def test_a_table_without_valid_rows_has_a_report_too(data: DataConfig) -> None:
    table = labeled_texts(4).assign(text="").set_axis(pd.RangeIndex(1, 5))
    empty = validate_table(table, params_with(LABELED).validate_, ExpectationRunner())

    assert "There are no valid rows." in render_validation_page(empty, SOURCE, data)


def test_the_data_docs_need_no_network_and_their_links_lead_to_pages(docs: dict[str, str]) -> None:
    for path, html in docs.items():
        parsed = Page(html)
        assert "script" not in parsed.tags
        assert not re.search(r"url\(|@import|https?:", html)
        for address in parsed.addresses:
            target = PurePosixPath(path).parent / address.partition("#")[0] if not address.startswith("#") else path
            assert _normalized(str(target)) in {*docs, "../report.html"}, f"{path} links {address}"


def _normalized(path: str) -> str:
    parts: list[str] = []
    for part in PurePosixPath(path).parts:
        if part == ".." and parts and parts[-1] != "..":
            parts.pop()
        else:
            parts.append(part)
    return "/".join(parts)


def test_the_data_docs_describe_the_checks_and_their_results(docs: dict[str, str]) -> None:
    assert set(docs) == {
        "index.html",
        *(f"{kind}/{suite}.html" for kind in ("validations", "expectations") for suite in ("rows", "table")),
    }
    assert "Share of rows whose text also has another label." in docs["expectations/table.html"]
    assert "The text has a visible character." in docs["expectations/rows.html"]
    assert "3 unexpected values found" in docs["validations/rows.html"]
    assert "expect_column_values_to_be_in_set" in docs["index.html"]
    assert re.search(r"quarantined_fraction.+0\.0476", docs["validations/table.html"], re.DOTALL)


def test_labels_are_sorted_by_frequency_and_limited() -> None:
    bars = label_bars({f"label-{n:03d}": n for n in range(100)})

    assert len(bars) == MAX_LABELS
    assert (bars[0].name, bars[0].rows, bars[0].width) == ("label-099", 99, 100)
    assert bars[0].share == pytest.approx(99 / 4950)


def test_the_length_histogram_counts_every_text_once() -> None:
    lengths = np.concatenate([np.arange(1, 1000), [50_000]])
    bars = length_bars(lengths)

    assert sum(bar.rows for bar in bars) == len(lengths)
    assert len(bars) <= 31
    assert bars[0].name == "0 to 33"
    assert bars[-1].name.startswith("over ")
    assert length_bars(np.array([3, 3, 4]))[0].name == "3"
    assert length_bars(np.array([], dtype=np.int64)) == []
