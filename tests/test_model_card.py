"""The model card, rendered from given values."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from atnet.config import Params
from atnet.release.behavior.runner import BehaviorResult, Failure, GroupResult
from atnet.release.gate.result import CheckResult, GateResult
from atnet.release.model_card import (
    DESCRIPTION_CHARACTERS,
    CardValues,
    card_html,
    card_markdown,
    plain,
    version_description,
)
from atnet.tracking.run_contents import RunContents, SplitFile, flat_params
from tests.finishedproject import DETAILS, METRICS, SLICES

BEHAVIOR = BehaviorResult(
    (
        GroupResult("English", "MFT", "praise", 20, 20, 0, ()),
        GroupResult(
            "English", "DIR", "negation", 20, 19, 0, (Failure(("good", "not *good*"), "down", "0.9, then 0.9"),)
        ),
    )
)
GATE = GateResult(
    decision="promote",
    rule="superiority",
    checks=(CheckResult("champion", "passed", "macro-F1 0.83 | more", "lower bound above 0", "It is better."),),
    challenger="c" * 64,
    champion="a" * 64,
    rows_compared=1900,
    rows_excluded=7,
    behavior=BEHAVIOR,
)


@pytest.fixture
def values(params: Params) -> CardValues:
    contents = RunContents(
        model_sha256="c" * 64,
        run_name="pooled 84.0% cccccccc",
        params=flat_params(params),
        metrics={},
        curves=[],
        splits=[SplitFile("train", "d" * 32, "data/03_splits/train.parquet", 15234, {})],
        artifacts=dict[str, Path](),
        settings={},
        model_files=[],
        example=['It\'s a "good" film, João.'],
        results=METRICS,
        details=DETAILS,
        slices=SLICES,
    )
    return CardValues(
        name="atnet",
        version=3,
        model_sha256="c" * 64,
        labels=("negative", "positive"),
        about=params.release.model_card,
        confidence=0.95,
        contents=contents,
        gate=GATE,
        commit="0123abc",
    )


def about(values: CardValues, **changes: Any) -> CardValues:
    return replace(values, about=values.about.model_copy(update=changes))


def test_the_card_contains_what_a_reader_must_know(values: CardValues) -> None:
    card = card_markdown(values)
    assert card.startswith("# atnet, version 3\n")
    sections = re.findall(r"^## (.+)$", card, re.MULTILINE)
    assert sections == [
        "What it is for",
        "How to use it",
        "Limits",
        "Results",
        "Calibration",
        "Slices",
        "Behavior",
        "Data",
        "The gate",
        "Parameters",
    ]
    assert "| **this model** | 84.0% (82.0% to 86.0%) | 0.830 (0.810 to 0.850) |" in card
    assert "`data/03_splits/train.parquet` | `dddddddddddddddddddddddddddddddd`" in card
    assert "7 rows were excluded for both" in card
    assert '"good\\" film, João."' in card
    assert "| domain: tweets | 15 | too few texts |  |" in card


def test_the_limits_describe_what_the_metrics_show(values: CardValues) -> None:
    weak = {"domain": {"nyt": {"rows": 286, "accuracy": {"value": 0.7, "low": 0.65, "high": 0.75}}}}
    card = card_markdown(replace(values, contents=replace(values.contents, slices=weak)))
    assert "On domain “nyt” only 70.0% of 286 texts are classified correctly (84.0% over all texts)." in card
    assert "“negation” (English, DIR), 1 of 20 fail." in card


def test_the_card_of_a_model_before_the_gate_has_no_gate_section(values: CardValues) -> None:
    card = card_markdown(replace(values, gate=None, commit=None))
    assert "## The gate" not in card
    assert "No behavior tests were run." in card


def test_the_card_of_a_rejected_model_names_the_failed_checks_at_the_top(values: CardValues) -> None:
    failed = CheckResult("minimum macro-F1", "failed", "0.35", "at least 0.6", "It is too low.")
    rejected = replace(values, gate=replace(GATE, decision="reject", checks=(*GATE.checks, failed)))
    assert "| Gate | reject, rule `superiority`; failed: minimum macro-F1 |" in card_markdown(rejected)
    assert "| Gate | promote, rule `superiority` |" in card_markdown(values)


def test_the_same_values_give_the_same_card(values: CardValues) -> None:
    assert card_markdown(values) == card_markdown(values)
    assert card_html(values) == card_html(values)


def test_the_page_loads_nothing_from_elsewhere(values: CardValues) -> None:
    page = card_html(values)
    assert "<h1>atnet, version 3</h1>" in page
    assert not re.search(r"<script|<link|<img|src=|href=|url\(|@import", page)
    assert page.count("<table>") == page.count('<div class="wide">') >= 6
    assert "macro-F1 0.83 | more" in page


def test_markup_in_text_from_users_and_data_is_shown_as_text(values: CardValues) -> None:
    hostile = about(values, purpose="<script>alert(1)</script> *now* ![x](http://a.b/c.png)")
    page = card_html(replace(hostile, labels=("<b>bold</b>", "a|b", "# heading")))
    assert "<script" not in page
    assert "<img" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt; *now*" in page
    assert "&lt;b&gt;bold&lt;/b&gt;, a|b, # heading" in page


def test_plain_text_starts_no_list() -> None:
    assert plain("1. first") == "1\\. first"
    assert plain("- item\nnext") == "\\- item next"


def test_the_version_description_contains_whole_sections_and_fits(values: CardValues) -> None:
    card = card_markdown(about(values, data="Where it comes from. " * 200))
    short = version_description(card)
    assert len(card) > DESCRIPTION_CHARACTERS >= len(short)
    assert "## Behavior" in short
    assert "## Data" not in short
    assert short.endswith("The rest is in the artifact `model_card.html`.\n")
    assert version_description("short") == "short"
    assert len(version_description("# " + "x" * 9000)) <= DESCRIPTION_CHARACTERS


def test_the_source_and_license_of_pretrained_vectors_are_shown(values: CardValues) -> None:
    assert "pretrained word vectors" not in card_markdown(values)
    tags = {"pretrained.source": "GloVe 6B, Stanford", "pretrained.license": "PDDL"}
    params = {**values.contents.params, "vectors.pretrained": "data/01_raw/glove.txt"}
    card = card_markdown(replace(values, contents=replace(values.contents, tags=tags, params=params)))
    assert "`data/01_raw/glove.txt`. Source: GloVe 6B, Stanford. License: PDDL." in card
