"""Metrics, intervals and comparisons: against scikit-learn, by hand, and by their properties."""

import numpy as np
import pytest
from scipy.stats import binomtest
from sklearn import metrics as reference

from atnet.evaluation.bootstrap import compare, interval, mcnemar_exact, resample_counts, resample_rows, score
from atnet.evaluation.calibration import expected_calibration_error, reliability
from atnet.evaluation.metrics import brier_scores, confusion_matrix, count_classes, log_losses
from atnet.evaluation.ranking import curves, defined_mean, mean_curves, rank, rank_classes

BOOTSTRAP = {"samples": 400, "confidence": 0.95}


def predictions(rows: int, classes: int, *, right: float = 0.7, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng([seed, rows, classes])
    actual = rng.integers(classes, size=rows)
    return actual, np.where(rng.random(rows) < right, actual, rng.integers(classes, size=rows))


def probabilities(actual: np.ndarray, classes: int, seed: int = 0) -> np.ndarray:
    raw = np.random.default_rng(seed).gamma(1.0, size=(len(actual), classes)) + np.eye(classes)[actual]
    return raw / raw.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("classes", [2, 6, 77])
def test_label_metrics_are_those_of_scikit_learn(classes: int) -> None:
    actual, predicted = predictions(2000, classes)
    counts = count_classes(actual, predicted, classes)
    expected = reference.precision_recall_fscore_support(actual, predicted, labels=range(classes), zero_division=0)
    metrics = (counts.precision, counts.recall, counts.f1, counts.support)
    for metric, value in zip(metrics, expected, strict=True):
        np.testing.assert_allclose(metric, value)
    assert counts.accuracy == pytest.approx(reference.accuracy_score(actual, predicted))
    assert counts.macro_f1 == pytest.approx(reference.f1_score(actual, predicted, average="macro"))
    assert (confusion_matrix(actual, predicted, classes) == reference.confusion_matrix(actual, predicted)).all()


def test_a_label_without_rows_does_not_count_in_macro_f1() -> None:
    actual, predicted = np.array([0, 0, 1, 1]), np.array([0, 0, 1, 2])
    counts = count_classes(actual, predicted, 4)
    assert counts.macro_f1 == pytest.approx((1 + 2 / 3) / 2)
    assert counts.f1.tolist() == pytest.approx([1, 2 / 3, 0, 0])


@pytest.mark.parametrize("classes", [2, 5])
def test_probability_metrics_are_those_of_scikit_learn(classes: int) -> None:
    actual, _ = predictions(500, classes)
    predicted = probabilities(actual, classes)
    assert log_losses(actual, predicted).mean() == pytest.approx(reference.log_loss(actual, predicted))
    assert brier_scores(actual, predicted).mean() == pytest.approx(reference.brier_score_loss(actual, predicted))


def test_an_error_with_confidence_one_has_a_finite_loss() -> None:
    assert np.isfinite(log_losses(np.array([0]), np.array([[0.0, 1.0]]))).all()


@pytest.mark.parametrize("decimals", [1, 2, 8])
def test_weighted_rankings_with_ties_are_those_of_scikit_learn(decimals: int) -> None:
    rng = np.random.default_rng(decimals)
    positive = rng.random(300) < 0.2
    scores, weights = np.round(rng.random(300) + 0.3 * positive, decimals), rng.poisson(1, size=(4, 300)).astype(float)
    ranking = rank(positive, scores, weights)
    for row, weight in enumerate(weights):
        auc = reference.roc_auc_score(positive, scores, sample_weight=weight)
        precision = reference.average_precision_score(positive, scores, sample_weight=weight)
        assert ranking.roc_auc[row] == pytest.approx(auc)
        assert ranking.average_precision[row] == pytest.approx(precision)


def test_with_more_than_two_labels_each_is_ranked_against_the_rest() -> None:
    actual, _ = predictions(400, 4)
    predicted = probabilities(actual, 4)
    mean = defined_mean([ranking.roc_auc for ranking in rank_classes(actual, predicted)])
    assert mean.item() == pytest.approx(reference.roc_auc_score(actual, predicted, multi_class="ovr"))


def test_a_ranking_without_positives_is_undefined_and_excluded_from_the_mean() -> None:
    actual = np.array([0, 0, 1, 1])
    rankings = rank_classes(actual, probabilities(actual, 3))
    assert [bool(np.isnan(ranking.roc_auc[0])) for ranking in rankings] == [False, False, True]
    assert np.isfinite(defined_mean([ranking.roc_auc for ranking in rankings])).all()
    assert mean_curves(rank_classes(np.zeros(4, dtype=int), probabilities(actual, 2))) is None


def test_curves_are_monotonic_and_enclose_the_area() -> None:
    actual, _ = predictions(200, 2)
    roc = curves(rank_classes(actual, probabilities(actual, 2))[0])
    assert roc.true_positive_rate[-1] == 1
    assert (np.diff(roc.true_positive_rate) >= 0).all()
    assert np.trapezoid(roc.true_positive_rate, roc.grid) == pytest.approx(
        reference.roc_auc_score(actual, probabilities(actual, 2)[:, 1]), abs=0.01
    )
    perfect = curves(rank(actual == 1, actual.astype(float), np.ones((1, 200))))
    assert (perfect.true_positive_rate == 1).all()
    assert (perfect.precision == 1).all()


def test_calibration_error_is_the_weighted_gap_of_the_bins() -> None:
    predicted = np.array([[0.9, 0.1]] * 10 + [[0.35, 0.65]] * 10)
    actual = np.array([0] * 9 + [1] + [1] * 5 + [0] * 5)
    # Nine of ten right at 0.9, five of ten right at 0.65.
    assert expected_calibration_error(actual, predicted, 10) == pytest.approx((0 + 0.15) / 2)
    assert reliability(actual, predicted, 10).rows.tolist() == [0, 0, 0, 0, 0, 0, 10, 0, 0, 10]
    assert reliability(np.array([0]), np.array([[1.0, 0.0]]), 10).rows[-1] == 1


def test_intervals_contain_the_value_and_narrow_with_more_rows() -> None:
    widths = []
    for rows in (100, 10_000):
        actual, predicted = predictions(rows, 2)
        scores = score(actual, predicted, 2, rng=np.random.default_rng(1), **BOOTSTRAP)
        for metric in (scores.accuracy, scores.macro_f1, *scores.f1):
            assert metric.low <= metric.value <= metric.high
        widths.append(scores.accuracy.high - scores.accuracy.low)
    assert widths[1] < widths[0] / 5
    # The expected width follows from the binomial standard deviation.
    assert widths[1] == pytest.approx(2 * 1.96 * np.sqrt(0.85 * 0.15 / 10_000), rel=0.15)


def test_an_interval_over_many_labels_is_not_biased_by_repeated_rows() -> None:
    actual, predicted = predictions(600, 77, right=0.8)
    (resampled,) = resample_counts(actual, [predicted], 77, samples=400, rng=np.random.default_rng(0))
    macro_f1 = count_classes(actual, predicted, 77).macro_f1.item()
    corrected = interval(macro_f1, resampled.macro_f1, 0.95)
    assert corrected.high > np.quantile(resampled.macro_f1, 0.975)
    assert corrected.low < macro_f1 < corrected.high


def test_many_models_with_many_classes_are_resampled_on_the_same_rows() -> None:
    rng = np.random.default_rng(3)
    actual = rng.integers(6, size=500)
    predicted = [
        np.where(rng.random(500) < 0.5 + place / 100, actual, rng.integers(6, size=500)) for place in range(40)
    ]
    (alone,) = resample_counts(actual, predicted[:1], 6, samples=200, rng=np.random.default_rng(0))
    for together in resample_counts(actual, [predicted[0]] * 40, 6, samples=200, rng=np.random.default_rng(0)):
        np.testing.assert_array_equal(together.accuracy, alone.accuracy)
    resampled = resample_counts(actual, predicted, 6, samples=400, rng=np.random.default_rng(0))
    for counts, ids in zip(resampled, predicted, strict=True):
        assert counts.accuracy.mean() == pytest.approx((ids == actual).mean(), abs=0.01)


def test_a_perfect_model_has_an_interval_of_width_zero() -> None:
    actual = np.arange(50) % 3
    scores = score(actual, actual, 3, rng=np.random.default_rng(0), **BOOTSTRAP)
    assert (scores.accuracy.low, scores.accuracy.value, scores.accuracy.high) == (1, 1, 1)
    assert (scores.macro_f1.low, scores.macro_f1.high) == (1, 1)


def test_an_undefined_score_has_undefined_bounds() -> None:
    undefined = interval(np.nan, np.full(5, np.nan), 0.9)
    assert np.isnan([undefined.value, undefined.low, undefined.high]).all()


def test_resampling_cells_is_equivalent_to_resampling_rows() -> None:
    actual, predicted = predictions(300, 3)
    (cells,) = resample_counts(actual, [predicted], 3, samples=4000, rng=np.random.default_rng(0))
    weights = np.vstack(list(resample_rows(300, samples=4000, rng=np.random.default_rng(1))))
    assert (weights.sum(axis=1) == 300).all()
    assert (cells.support.sum(axis=1) == 300).all()
    by_rows = weights @ (actual == predicted) / 300
    assert cells.accuracy.mean() == pytest.approx(by_rows.mean(), abs=0.002)
    assert cells.accuracy.std() == pytest.approx(by_rows.std(), rel=0.08)


def test_row_weights_are_drawn_in_blocks_that_add_up_to_all_samples() -> None:
    blocks = list(resample_rows(30_000, samples=100, rng=np.random.default_rng(0)))
    assert len(blocks) > 1
    assert sum(map(len, blocks)) == 100


def test_a_paired_comparison_has_a_narrower_interval_than_separate_scores() -> None:
    actual, first = predictions(2000, 2, right=0.8)
    second = np.where(np.arange(2000) % 50 == 0, 1 - actual, first)
    paired = compare(actual, first, second, 2, rng=np.random.default_rng(0), **BOOTSTRAP)
    separate = score(actual, first, 2, rng=np.random.default_rng(0), **BOOTSTRAP)
    assert paired.accuracy.value == pytest.approx((first == actual).mean() - (second == actual).mean())
    assert paired.accuracy.low > 0
    assert paired.accuracy.high - paired.accuracy.low < (separate.accuracy.high - separate.accuracy.low) / 2


def test_swapping_the_models_flips_the_sign() -> None:
    actual, first = predictions(800, 4, seed=1)
    _, second = predictions(800, 4, seed=2)
    forward = compare(actual, first, second, 4, rng=np.random.default_rng(0), **BOOTSTRAP)
    swapped = compare(actual, second, first, 4, rng=np.random.default_rng(0), **BOOTSTRAP)
    assert forward.macro_f1.value == -swapped.macro_f1.value
    assert forward.p_value == swapped.p_value
    assert forward.only_first_right == swapped.only_second_right
    assert forward.only_second_right == swapped.only_first_right


def test_a_model_compared_with_itself_shows_no_difference() -> None:
    actual, first = predictions(100, 3)
    itself = compare(actual, first, first, 3, rng=np.random.default_rng(0), **BOOTSTRAP)
    assert (itself.accuracy.low, itself.accuracy.high, itself.macro_f1.low, itself.p_value) == (0, 0, 0, 1)


@pytest.mark.parametrize(("first", "second"), [(0, 0), (3, 0), (5, 5), (40, 61), (2000, 2150), (0, 3000)])
def test_mcnemar_is_the_exact_binomial_test(first: int, second: int) -> None:
    expected = binomtest(first, first + second, 0.5).pvalue if first + second else 1.0
    assert mcnemar_exact(first, second) == pytest.approx(expected, abs=1e-12)


def test_the_same_seed_gives_the_same_intervals() -> None:
    actual, predicted = predictions(500, 6)
    first, second = (score(actual, predicted, 6, rng=np.random.default_rng(5), **BOOTSTRAP) for _ in range(2))
    assert first == second
