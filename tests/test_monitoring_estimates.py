"""Estimates without labels: correct if their assumption holds, None if they cannot be computed."""

import numpy as np
import pandas as pd
import pytest

from atnet.config import Params
from atnet.monitoring.accuracy_estimate import ReferencePredictions, confidence_threshold, estimate_accuracy
from atnet.monitoring.impact import window_impact
from atnet.monitoring.label_shift import estimate_label_shift
from atnet.monitoring.prepared_window import PreparedWindow, RowCounts
from atnet.monitoring.row_features import RowFeatures

OPTIONS = {"samples": 400, "confidence": 0.95}
LABELS = ("negative", "positive")


def calibrated(texts: int, low: float, rng: np.random.Generator) -> ReferencePredictions:
    """Draw confidences above `low` and predictions that are correct as often as they say."""
    confidence = rng.uniform(low, 1, texts)
    return ReferencePredictions(confidence, rng.random(texts) < confidence)


def test_the_estimate_of_the_reference_itself_is_its_accuracy() -> None:
    rng = np.random.default_rng(0)
    reference = calibrated(2000, 0.5, rng)
    estimate = estimate_accuracy(reference, reference.confidence, rng=rng, **OPTIONS)
    assert estimate.value == pytest.approx(reference.accuracy, abs=0.001)
    assert estimate.low < estimate.value < estimate.high


def test_less_confident_predictions_give_a_lower_estimate() -> None:
    rng = np.random.default_rng(1)
    reference = calibrated(4000, 0.5, rng)
    # Half of the window's texts are ones that the model is least sure of, wrong as often as in the reference.
    order = np.argsort(reference.confidence)
    harder = np.concatenate([order[:1000], order[2000:3000]])
    estimate = estimate_accuracy(reference, reference.confidence[harder], rng=rng, **OPTIONS)
    assert estimate.value < reference.accuracy - 0.05


@pytest.mark.parametrize("accuracy", [0.0, 1.0])
def test_a_model_that_is_always_right_or_always_wrong_is_estimated_as_such(accuracy: float) -> None:
    confidence = np.linspace(0.5, 0.9, 50)
    reference = ReferencePredictions(confidence, np.full(50, accuracy == 1))
    estimate = estimate_accuracy(reference, confidence, rng=np.random.default_rng(0), **OPTIONS)
    assert estimate.value == accuracy


def test_the_threshold_leaves_as_many_texts_below_as_are_wrong() -> None:
    confidence = np.array([0.9, 0.6, 0.7, 0.8, 0.5])
    assert confidence_threshold(confidence, 0.6) == 0.7
    assert (confidence >= confidence_threshold(confidence, 0.6)).mean() == 0.6


def shifted(share: float, texts: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Draw labels with a share of positives, and answers that are right for 90 % and 80 % of them."""
    actual = (rng.random(texts) < share).astype(np.int64)
    right = rng.random(texts) < np.where(actual == 1, 0.8, 0.9)
    return actual, np.where(right, actual, 1 - actual)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_label_shares_are_recovered_when_only_they_changed(share: float) -> None:
    rng = np.random.default_rng(2)
    actual, answered = shifted(0.4, 4000, rng)
    _, window = shifted(share, 2000, rng)
    shift = estimate_label_shift(LABELS, actual, answered, window, rng=rng, **OPTIONS)
    assert shift is not None
    assert shift.window[1].value == pytest.approx(share, abs=0.05)
    assert shift.window[1].low <= share <= shift.window[1].high
    assert sum(share.value for share in shift.window) == pytest.approx(1)
    assert shift.reference[1] == pytest.approx(0.4, abs=0.03)


def test_predictions_that_do_not_depend_on_the_label_give_no_label_shares() -> None:
    actual = np.arange(100) % 2
    answered = np.arange(100) // 2 % 2
    rng = np.random.default_rng(0)
    assert estimate_label_shift(LABELS, actual, answered, answered, rng=rng, **OPTIONS) is None
    assert estimate_label_shift(LABELS, np.zeros(100, int), answered, answered, rng=rng, **OPTIONS) is None


def features_of(probabilities: np.ndarray) -> RowFeatures:
    rows = len(probabilities)
    return RowFeatures(None, None, np.stack([1 - probabilities, probabilities], axis=1), np.zeros(rows), np.ones(rows))


def prepared(labels: list[str | None], predicted: list[str], domains: list[str]) -> PreparedWindow:
    table = pd.DataFrame({"label": labels, "predicted": predicted, "domain": domains})
    probabilities = np.where(np.array(predicted) == "positive", 0.9, 0.2)
    return PreparedWindow(table, features_of(probabilities), np.arange(0), RowCounts(len(table)), True, [])


def reference_table(rows: int) -> tuple[pd.DataFrame, RowFeatures]:
    rng = np.random.default_rng(3)
    actual = rng.random(rows) < 0.5
    answers = np.where(rng.random(rows) < 0.85, actual, ~actual)
    table = pd.DataFrame(
        {
            "id": [str(row) for row in range(rows)],
            "text": "a",
            "label": np.where(actual, "positive", "negative"),
            "domain": np.where(np.arange(rows) % 2, "movie", "book"),
        }
    )
    return table, features_of(np.where(answers, rng.uniform(0.6, 0.95, rows), rng.uniform(0.05, 0.4, rows)))


def test_labels_give_a_measured_accuracy(params: Params) -> None:
    labels: list[str | None] = ["positive"] * 60 + ["negative"] * 40 + [None] * 20
    window = prepared(labels, ["positive"] * 120, ["tweets"] * 60 + ["movie"] * 60)
    table, features = reference_table(400)
    impact = window_impact(window, table, features, LABELS, params.monitor)
    assert impact is not None
    assert (impact.whole.rows, impact.whole.labeled) == (120, 100)
    assert impact.whole.measured is not None
    assert impact.whole.measured.value == 0.6
    assert impact.whole.change is not None
    assert impact.whole.change.high < 0
    assert impact.label_shift is None
    slices = {row.value: row for row in impact.slices}
    assert slices["tweets"].measured is not None
    assert slices["tweets"].measured.value == 1.0
    assert slices["tweets"].reference is None
    assert slices["movie"].reference is not None


def test_without_labels_accuracy_and_label_shares_are_estimated(params: Params) -> None:
    window = prepared([None] * 100, ["positive"] * 90 + ["negative"] * 10, ["movie"] * 100)
    table, features = reference_table(400)
    impact = window_impact(window, table, features, LABELS, params.monitor)
    assert impact is not None
    assert impact.whole.measured is None
    assert impact.whole.estimated is not None
    assert impact.label_shift is not None
    assert impact.label_shift.window[1].value > 0.9


def test_a_few_labels_are_counted_and_not_scored(params: Params) -> None:
    window = prepared(["positive"] * 5 + [None] * 95, ["positive"] * 100, ["movie"] * 100)
    table, features = reference_table(400)
    impact = window_impact(window, table, features, LABELS, params.monitor)
    assert impact is not None
    assert (impact.whole.labeled, impact.whole.measured) == (5, None)
