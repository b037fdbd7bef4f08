"""What a word contributes to an answer: the sign, the sum, and that nothing else changes it."""

import numpy as np
import pytest

from atnet.inference import Explanation, Predictor, against_others
from tests.widemodel import wide_predictor

DEEP = {"good": [-0.5, 0.5], "bad": [0.6, -0.6], "very": [0.1, -0.2], "film": [0.05, 0.0]}
WIDE = {"good": [-1.0, 1.0], "bad": [0.8, -0.8], "film": [0.0, 0.1]}
MANY_DEEP = {"where": [0.9, -0.2, -0.1], "who": [-0.3, 0.8, 0.0], "many": [0.0, -0.1, 0.7], "is": [0.1, 0.1, 0.0]}
MANY_WIDE = {"where": [1.5, -0.5, -0.2], "who": [-1.0, 2.0, -0.3], "many": [-0.4, 0.0, 1.2]}


@pytest.fixture(params=[True, False], ids=["with wide branch", "without"])
def predictor(request: pytest.FixtureRequest) -> Predictor:
    return wide_predictor(DEEP, WIDE if request.param else None)


def explained(predictor: Predictor, text: str) -> Explanation:
    (explanation,) = predictor.explain([text])
    return explanation


def lead_of(predictor: Predictor, text: str) -> float:
    (logits,) = predictor.predict([text]).logits
    return float(logits @ against_others(logits, int(logits.argmax())))


@pytest.mark.parametrize(
    "text", ["good", "good film", "very bad", "good good bad film", "is strange good", "bad " * 30]
)
def test_base_and_contributions_sum_to_the_lead(predictor: Predictor, text: str) -> None:
    found = explained(predictor, text)
    assert len(found.contributions) == len(found.tokens) == len(text.split())
    assert found.base + sum(found.contributions) == pytest.approx(lead_of(predictor, text), abs=1e-5)


def test_a_long_text_is_explained_by_parts(predictor: Predictor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("atnet.inference.MOST_SPANS", 5)
    found = explained(predictor, "good film " * 6 + "bad")
    assert len(found.contributions) == 13
    assert found.base + sum(found.contributions) == pytest.approx(lead_of(predictor, found.text), abs=1e-5)
    assert found.contributions[0] > found.contributions[-1]


@pytest.mark.parametrize("text", ["where is who", "who", "many many where", "is strange"])
def test_they_sum_for_many_labels_too(text: str) -> None:
    predictor = wide_predictor(MANY_DEEP, MANY_WIDE, labels=3)
    found = explained(predictor, text)
    assert found.base + sum(found.contributions) == pytest.approx(lead_of(predictor, text), abs=1e-5)


def test_a_word_that_pushes_the_label_is_positive_and_one_that_pulls_negative(predictor: Predictor) -> None:
    found = explained(predictor, "good good film bad")
    assert found.label == "label-1"
    first, second, film, bad = found.contributions
    assert first == pytest.approx(second)
    assert first > abs(film)
    assert bad < 0
    against = explained(predictor, "bad bad film good")
    assert against.label == "label-0"
    assert against.contributions[0] > 0 > against.contributions[3]


def test_with_many_labels_the_word_of_the_label_leads_and_that_of_a_rival_pulls() -> None:
    found = explained(wide_predictor(MANY_DEEP, MANY_WIDE, labels=3), "who is where")
    assert found.label == "label-1"
    who, others, where = found.contributions
    assert who > 1
    assert where < 0
    assert abs(others) < abs(where)


def test_a_network_that_adds_its_words_up_is_explained_exactly() -> None:
    # Small weights: tanh is a straight line there.
    weights = {"a": [0.0, 1e-3], "b": [0.0, -2e-3], "c": [3e-3, 0.0]}
    found = explained(wide_predictor(weights, None), "c a b unknown")
    assert found.label == "label-0"
    assert found.contributions == pytest.approx([3e-3, -1e-3, 2e-3, 0.0], abs=1e-7)


def test_other_texts_beside_it_change_nothing(predictor: Predictor) -> None:
    texts = ["good film", "bad " * 40, "", "very good"]
    for alone, together in zip((explained(predictor, text) for text in texts), predictor.explain(texts), strict=True):
        assert alone.contributions == pytest.approx(together.contributions, abs=1e-6)
        assert alone.base == pytest.approx(together.base, abs=1e-6)


def test_a_text_without_tokens_has_no_contributions_and_its_lead_is_the_base(predictor: Predictor) -> None:
    for text in ("", "   "):
        found = explained(predictor, text)
        assert found.contributions == found.attention == found.tokens == []
        assert found.base == pytest.approx(lead_of(predictor, text), abs=1e-6)


def test_unknown_words_contribute_nothing_here(predictor: Predictor) -> None:
    found = explained(predictor, "strange stranger")
    assert found.contributions == pytest.approx([0.0, 0.0], abs=1e-6)


def test_the_lead_is_over_the_rivals_that_are_in_question() -> None:
    side = against_others(np.array([5.0, 4.0, -20.0], np.float32), 0)
    assert side == pytest.approx([1.0, -1.0, 0.0], abs=1e-6)
    assert side.sum() == pytest.approx(0)


def test_a_model_without_wide_branch_says_so_and_its_branch_says_nothing() -> None:
    predictor = wide_predictor(DEEP, None)
    assert not predictor.has_wide_branch
    assert wide_predictor(DEEP, WIDE).has_wide_branch
    assert [says.tolist() for says in predictor.wide([[2, 3], [2]])] == [[[0, 0], [0, 0]], [[0, 0]]]


def test_attention_and_wide_says_are_cut_to_each_texts_length() -> None:
    predictor = wide_predictor(DEEP, WIDE)
    ids = predictor.encode(["good", "bad film very good"])
    assert [len(one) for one in predictor.attention(ids)] == [1, 4]
    assert [says.shape for says in predictor.wide(ids)] == [(1, 2), (4, 2)]
    assert [one.sum() for one in predictor.attention(ids)] == pytest.approx([1, 1])
