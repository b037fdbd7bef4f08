"""The reject option: threshold on validation, coverage on test, what the predictor and the gate say."""

import json
from pathlib import Path

import numpy as np
import pytest

from atnet.config import Params
from atnet.errors import ConfigurationError
from atnet.evaluation.selective import RejectOption, SelectiveScores, selective_scores
from atnet.inference import Predictor
from atnet.network.reject_option import error_bound, min_confidence
from atnet.release.gate.reject_option_check import reject_option_checks
from atnet.report.sentences import summarize
from tests.finishedproject import METRICS, interval
from tests.tinymodel import write_tiny_model


def draw(rows: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw confidences of two labels, and whether each prediction is right, of a calibrated model."""
    rng = np.random.default_rng(seed)
    confidence = rng.uniform(0.5, 1.0, rows)
    return confidence, rng.random(rows) < confidence


def scores_of(right: int, answered: int, rows: int, target: float) -> SelectiveScores:
    """Score a model that is confident on the first rows and right on the first of them."""
    actual = np.zeros(rows, np.int64)
    probabilities = np.tile([0.5, 0.5], (rows, 1))
    probabilities[:answered] = [0.1, 0.9]
    probabilities[:right] = [0.9, 0.1]
    option = RejectOption(target, 0.8)
    return selective_scores(actual, probabilities, option, samples=500, confidence=0.95, rng=np.random.default_rng(0))


def test_the_bound_of_the_error_rate_is_that_of_clopper_and_pearson() -> None:
    # Without an error the bound solves (1 - b)^n = risk.
    assert error_bound(50, 0, 0.05) == pytest.approx(1 - 0.05 ** (1 / 50))
    assert error_bound(10, 10, 0.05) == 1.0
    assert error_bound(100, 10, 0.05) == pytest.approx(0.1637, abs=1e-3)


def test_the_answers_reach_the_stated_accuracy_in_nearly_all_draws() -> None:
    target, missed, coverage = 0.9, 0, []
    for seed in range(100):
        threshold = min_confidence(*draw(4000, seed), target)
        # The true accuracy of the answers of this model is the mean of its confidences above the threshold.
        missed += (threshold + 1) / 2 < target
        coverage.append((1 - threshold) / 0.5)
    assert missed <= 5
    # A threshold of 0.8 would be exact and answer 40 % of the texts.
    assert 0.2 < np.mean(coverage) < 0.4


def test_a_lower_target_answers_more_texts_and_a_trivial_one_all() -> None:
    confidence, right = draw(4000, 1)
    thresholds = [min_confidence(confidence, right, target) for target in (0.5, 0.8, 0.9)]
    assert thresholds == sorted(thresholds)
    assert (confidence >= thresholds[0]).all()


def test_texts_of_equal_confidence_are_answered_together() -> None:
    confidence = np.repeat([0.6, 0.9], 200)
    right = np.concatenate([np.arange(200) % 2 == 0, np.ones(200, bool)])
    threshold = min_confidence(confidence, right, 0.95)
    assert (confidence >= threshold).sum() == 200


def test_an_accuracy_that_cannot_be_ensured_is_refused() -> None:
    confidence, right = draw(200, 0)
    with pytest.raises(ConfigurationError, match=r"evaluate.target_accuracy is 0.999.*200 validation texts"):
        min_confidence(confidence, right, 0.999)


def test_coverage_and_accuracy_are_those_of_the_answered_rows() -> None:
    scores = scores_of(right=45, answered=50, rows=80, target=0.9)
    assert (scores.rows, scores.answered, scores.right) == (80, 50, 45)
    assert scores.coverage.value == 50 / 80
    assert scores.accuracy.value == 0.9
    for share in (scores.coverage, scores.accuracy):
        assert share.low < share.value < share.high


def test_a_model_that_answers_nothing_has_no_accuracy() -> None:
    scores = scores_of(right=0, answered=0, rows=80, target=0.9)
    assert scores.coverage.value == 0
    assert np.isnan(scores.accuracy.value)


def test_the_predictor_abstains_below_its_smallest_confidence(tmp_path: Path) -> None:
    folder = write_tiny_model(tmp_path / "model")
    texts = ["good fine", "bad awful", "nothing known"]
    always = Predictor.load(folder)
    assert always.min_confidence is None
    assert not always.predict(texts).abstains.any()
    scores = always.predict(texts).scores
    config = json.loads((folder / "inference_config.json").read_text())
    option = {"target_accuracy": 0.9, "min_confidence": float(np.sort(scores)[1])}
    (folder / "inference_config.json").write_text(json.dumps({**config, "reject_option": option}))
    predictor = Predictor.load(folder)
    predictions = predictor.predict(texts)
    assert predictions.abstains.tolist() == (scores < option["min_confidence"]).tolist()
    assert predictions.abstains.sum() == 1
    assert predictions.predicted == always.predict(texts).predicted
    assert [explanation.abstains for explanation in predictor.explain(texts)] == predictions.abstains.tolist()
    assert RejectOption.of_config({**config, "reject_option": option}) == RejectOption(**option)


@pytest.mark.parametrize(
    ("right", "status"),
    [(95, "passed"), (88, "passed"), (80, "failed")],
)
def test_the_gate_fails_a_challenger_whose_answers_are_significantly_less_accurate(
    params: Params, right: int, status: str
) -> None:
    (check,) = reject_option_checks(scores_of(right, 100, 150, 0.9), params.release)
    assert check.status == status
    assert "coverage 66.7%" in check.observed
    assert f"{right} of 100 answers are right" in check.reason


def test_the_gate_fails_a_challenger_that_never_answers(params: Params) -> None:
    (check,) = reject_option_checks(scores_of(0, 0, 150, 0.9), params.release)
    assert check.status == "failed"
    assert reject_option_checks(None, params.release) == []


def test_the_summary_says_how_many_texts_are_answered() -> None:
    selective = {
        "target_accuracy": 0.9,
        "min_confidence": 0.81,
        "coverage": interval(0.7),
        "accuracy": interval(0.92),
    }
    sentence = summarize({**METRICS, "selective": selective}, 0.95)[-1]
    assert "abstains where its confidence is below 0.810" in sentence
    assert "answers 70.0% (68.0% to 72.0%) of the texts" in sentence
    assert "92.0% (90.0% to 94.0%) of the answers are right (target 90.0%)" in sentence
    assert len(summarize(METRICS, 0.95)) == 3
