"""The contributions of tokens to a prediction: their sign, their sum, and their independence of other texts."""

import numpy as np
import pytest

from atnet.inference import Explanation, Predictor, lead_weights
from tests.widemodel import wide_predictor

DEEP = {"good": [-0.5, 0.5], "bad": [0.6, -0.6], "very": [0.1, -0.2], "film": [0.05, 0.0]}
WIDE = {"good": [-1.0, 1.0], "bad": [0.8, -0.8], "film": [0.0, 0.1]}
MANY_DEEP = {"where": [0.9, -0.2, -0.1], "who": [-0.3, 0.8, 0.0], "many": [0.0, -0.1, 0.7], "is": [0.1, 0.1, 0.0]}
MANY_WIDE = {"where": [1.5, -0.5, -0.2], "who": [-1.0, 2.0, -0.3], "many": [-0.4, 0.0, 1.2]}


@pytest.fixture(params=[True, False], ids=["with wide branch", "without"])
def predictor(request: pytest.FixtureRequest) -> Predictor:
    return wide_predictor(DEEP, WIDE if request.param else None)


def explain(predictor: Predictor, text: str) -> Explanation:
    (explanation,) = predictor.explain([text])
    return explanation


def lead_of(predictor: Predictor, text: str) -> float:
    (logits,) = predictor.predict([text]).logits
    return float(logits @ lead_weights(logits, int(logits.argmax())))


@pytest.mark.parametrize(
    "text", ["good", "good film", "very bad", "good good bad film", "is strange good", "bad " * 30]
)
def test_base_and_contributions_sum_to_the_lead(predictor: Predictor, text: str) -> None:
    explanation = explain(predictor, text)
    assert len(explanation.contributions) == len(explanation.tokens) == len(text.split())
    assert explanation.base + sum(explanation.contributions) == pytest.approx(lead_of(predictor, text), abs=1e-5)


def test_in_a_long_text_adjacent_tokens_share_their_contribution(
    predictor: Predictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("atnet.inference.MAX_SPANS", 5)
    explanation = explain(predictor, "good film " * 6 + "bad")
    assert len(explanation.contributions) == 13
    assert explanation.base + sum(explanation.contributions) == pytest.approx(
        lead_of(predictor, explanation.text), abs=1e-5
    )
    assert explanation.contributions[0] > explanation.contributions[-1]


@pytest.mark.parametrize("text", ["where is who", "who", "many many where", "is strange"])
def test_they_sum_to_the_lead_with_many_labels_too(text: str) -> None:
    predictor = wide_predictor(MANY_DEEP, MANY_WIDE, labels=3)
    explanation = explain(predictor, text)
    assert explanation.base + sum(explanation.contributions) == pytest.approx(lead_of(predictor, text), abs=1e-5)


def test_a_word_for_the_label_is_positive_and_a_word_against_it_negative(predictor: Predictor) -> None:
    explanation = explain(predictor, "good good film bad")
    assert explanation.label == "label-1"
    first, second, film, bad = explanation.contributions
    assert first == pytest.approx(second)
    assert first > abs(film)
    assert bad < 0
    against = explain(predictor, "bad bad film good")
    assert against.label == "label-0"
    assert against.contributions[0] > 0 > against.contributions[3]


def test_with_many_labels_a_word_of_another_label_is_negative() -> None:
    explanation = explain(wide_predictor(MANY_DEEP, MANY_WIDE, labels=3), "who is where")
    assert explanation.label == "label-1"
    who, others, where = explanation.contributions
    assert who > 1
    assert where < 0
    assert abs(others) < abs(where)


def test_an_additive_network_is_explained_exactly() -> None:
    # Small weights, for which tanh is linear.
    weights = {"a": [0.0, 1e-3], "b": [0.0, -2e-3], "c": [3e-3, 0.0]}
    explanation = explain(wide_predictor(weights, None), "c a b unknown")
    assert explanation.label == "label-0"
    assert explanation.contributions == pytest.approx([3e-3, -1e-3, 2e-3, 0.0], abs=1e-7)


def test_the_other_texts_of_a_call_change_nothing(predictor: Predictor) -> None:
    texts = ["good film", "bad " * 40, "", "very good"]
    for alone, together in zip((explain(predictor, text) for text in texts), predictor.explain(texts), strict=True):
        assert alone.contributions == pytest.approx(together.contributions, abs=1e-6)
        assert alone.base == pytest.approx(together.base, abs=1e-6)


def test_a_text_without_tokens_has_no_contributions_and_a_base_equal_to_its_lead(predictor: Predictor) -> None:
    for text in ("", "   "):
        explanation = explain(predictor, text)
        assert explanation.contributions == explanation.attention == explanation.tokens == []
        assert explanation.base == pytest.approx(lead_of(predictor, text), abs=1e-6)


def test_unknown_words_without_weights_contribute_nothing(predictor: Predictor) -> None:
    explanation = explain(predictor, "strange stranger")
    assert explanation.contributions == pytest.approx([0.0, 0.0], abs=1e-6)


def test_the_lead_weights_improbable_labels_hardly_at_all() -> None:
    weights = lead_weights(np.array([5.0, 4.0, -20.0], np.float32), 0)
    assert weights == pytest.approx([1.0, -1.0, 0.0], abs=1e-6)
    assert weights.sum() == pytest.approx(0)


def test_a_model_without_a_wide_branch_has_zero_wide_contributions() -> None:
    predictor = wide_predictor(DEEP, None)
    assert not predictor.has_wide_branch
    assert wide_predictor(DEEP, WIDE).has_wide_branch
    assert [contributions.tolist() for contributions in predictor.wide([[2, 3], [2]])] == [[[0, 0], [0, 0]], [[0, 0]]]


def test_attention_and_wide_contributions_have_the_length_of_each_text() -> None:
    predictor = wide_predictor(DEEP, WIDE)
    ids = predictor.encode(["good", "bad film very good"])
    assert [len(attention) for attention in predictor.attention(ids)] == [1, 4]
    assert [contributions.shape for contributions in predictor.wide(ids)] == [(1, 2), (4, 2)]
    assert [attention.sum() for attention in predictor.attention(ids)] == pytest.approx([1, 1])
