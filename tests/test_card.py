import re
from dataclasses import replace

import pytest

from atnet.config import Params
from atnet.release.behavior.runner import BehaviorResult, Failure, GroupResult
from atnet.release.gate.result import CheckResult, GateResult
from atnet.release.model_card import DESCRIPTION_LIMIT, CardValues, card_html, card_markdown, description, plain
from atnet.tracking.run_contents import SplitFile, flat_params
from tests.finishedproject import DETAILS, METRICS, SLICES

BEHAVIOUR = BehaviorResult(
    (
        GroupResult("English", "MFT", "praise", 20, 20, 0, ()),
        GroupResult(
            "English", "DIR", "negation", 20, 19, 0, (Failure(("good", "not *good*"), "down", "0.9, then 0.9"),)
        ),
    )
)
VERDICT = GateResult(
    decision="promote",
    rule="superiority",
    checks=(CheckResult("champion", "passed", "macro-F1 0.83 | more", "lower bound above 0", "It is better."),),
    challenger="c" * 64,
    champion="a" * 64,
    rows_compared=1900,
    rows_left_out=7,
    behavior=BEHAVIOUR,
)


@pytest.fixture
def values(params: Params) -> CardValues:
    return CardValues(
        name="atnet",
        version="3",
        model_uri="models:/atnet/3",
        model_sha256="c" * 64,
        labels=("negative", "positive"),
        words=params.release.model_card,
        confidence=0.95,
        results=METRICS,
        details=DETAILS,
        slices=SLICES,
        splits=[SplitFile("train", "d" * 32, "data/03_splits/train.parquet", 15234, {})],
        verdict=VERDICT,
        parameters=flat_params(params),
        example='It\'s a "good" film, João.',
        commit="0123abc",
    )


def replaced(values: CardValues, **changes: object) -> CardValues:
    return CardValues(**{name: getattr(values, name) for name in values.__slots__} | changes)


def test_the_card_says_what_a_reader_must_know(values: CardValues) -> None:
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


def test_the_limits_name_what_the_numbers_show(values: CardValues) -> None:
    weak = {"domain": {"nyt": {"rows": 286, "accuracy": {"value": 0.7, "low": 0.65, "high": 0.75}}}}
    card = card_markdown(replaced(values, slices=weak))
    assert "On domain “nyt” only 70.0% of 286 texts are right (84.0% over all)." in card
    assert "“negation” (English, DIR), 1 of 20 fail." in card


def test_the_card_of_an_unjudged_model_has_no_gate(values: CardValues) -> None:
    card = card_markdown(replaced(values, verdict=None, commit=None))
    assert "## The gate" not in card
    assert "No behavior tests were run." in card


def test_the_card_of_a_refused_model_names_at_the_top_what_failed(values: CardValues) -> None:
    failed = CheckResult("minimum macro-F1", "failed", "0.35", "at least 0.6", "It is too low.")
    refused = replaced(values, verdict=replace(VERDICT, decision="reject", checks=(*VERDICT.checks, failed)))
    assert "| Gate | reject, rule `superiority`; failed: minimum macro-F1 |" in card_markdown(refused)
    assert "| Gate | promote, rule `superiority` |" in card_markdown(values)


def test_the_card_is_the_same_every_time(values: CardValues) -> None:
    assert card_markdown(values) == card_markdown(values)
    assert card_html(values) == card_html(values)


def test_the_page_needs_nothing_from_outside(values: CardValues) -> None:
    page = card_html(values)
    assert "<h1>atnet, version 3</h1>" in page
    assert not re.search(r"<script|<link|<img|src=|href=|url\(|@import", page)
    assert page.count("<table>") == page.count('<div class="wide">') >= 6
    assert "macro-F1 0.83 | more" in page


def test_words_from_people_and_data_stay_words(values: CardValues) -> None:
    words = values.words.model_copy(update={"purpose": "<script>alert(1)</script> *now* ![x](http://a.b/c.png)"})
    hostile = replaced(values, words=words, labels=("<b>bold</b>", "a|b", "# heading"))
    page = card_html(hostile)
    assert "<script" not in page
    assert "<img" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt; *now*" in page
    assert "&lt;b&gt;bold&lt;/b&gt;, a|b, # heading" in page


def test_plain_text_opens_no_list() -> None:
    assert plain("1. first") == "1\\. first"
    assert plain("- item\nnext") == "\\- item next"


def test_the_description_holds_whole_sections_and_fits(values: CardValues) -> None:
    long = values.words.model_copy(update={"data": "Where it comes from. " * 200})
    card = card_markdown(replaced(values, words=long))
    short = description(card)
    assert len(card) > DESCRIPTION_LIMIT >= len(short)
    assert "## Behavior" in short
    assert "## Data" not in short
    assert short.endswith("The rest stands in the artifact `model_card.html`.\n")
    assert description("short") == "short"
    assert len(description("# " + "x" * 9000)) <= DESCRIPTION_LIMIT
