"""The metrics of explanations distinguish a true ranking of words from a false one."""

from collections.abc import Sequence

import numpy as np
import pytest

from atnet.inference import UNKNOWN_ID
from benchmarks.faithfulness import faithfulness, interval, removed, replaced
from tests.widemodel import wide_predictor

WORDS = {"good": [-2.0, 2.0], "bad": [0.5, -0.5], "film": [0.0, 0.0]}
TEXTS = ["good film film film", "film good film bad film", "film film good film film good"]


def test_the_true_ranking_has_better_metrics_than_its_reverse() -> None:
    predictor = wide_predictor(WORDS, None)
    ids = predictor.encode(TEXTS)
    truth = [np.array(explanation.contributions) for explanation in predictor.explain(TEXTS)]
    for without in (removed, replaced):
        true = faithfulness(predictor.logits, 1.0, ids, truth, without)
        false = faithfulness(predictor.logits, 1.0, ids, [-contributions for contributions in truth], without)
        assert (true.area_between > false.area_between).all()
        assert (true.deletion < false.deletion).all()
        assert (true.comprehensiveness > false.comprehensiveness).all()
        assert (true.sufficiency < false.sufficiency).all()


def test_removing_every_word_leaves_the_unknown_word() -> None:
    assert removed([5, 6], np.array([False, False])) == [UNKNOWN_ID]
    assert removed([5, 6, 7], np.array([True, False, True])) == [5, 7]
    assert replaced([5, 6, 7], np.array([True, False, True])) == [5, UNKNOWN_ID, 7]


def test_the_curves_start_with_the_whole_text_and_end_with_an_empty_one() -> None:
    # A step function: the label's probability is 1 with the word and 0.5 without, so the areas are known.
    def logits(ids: Sequence[Sequence[int]]) -> np.ndarray:
        return np.array([[0.0, 50.0] if 9 in text else [0.0, 0.0] for text in ids])

    metrics = faithfulness(logits, 1.0, [[9, 2, 3, 4]], [np.array([4.0, 3.0, 2.0, 1.0])])
    assert metrics.comprehensiveness[0] == pytest.approx(0.5)
    assert metrics.sufficiency[0] == pytest.approx(0)
    assert 0.5 < metrics.deletion[0] < 0.6
    assert 0.9 < metrics.insertion[0] < 1


def test_an_interval_contains_its_mean_and_shrinks_with_more_texts() -> None:
    values = np.random.default_rng(0).normal(size=2000)
    mean, low, high = interval(values, np.random.default_rng(1))
    assert low < mean < high
    _, few_low, few_high = interval(values[:50], np.random.default_rng(1))
    assert few_high - few_low > 3 * (high - low)
