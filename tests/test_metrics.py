"""Scores, intervals and comparisons: against scikit-learn, by hand, and by what they must never do."""

import numpy as np
import pytest
from scipy.stats import binomtest
from sklearn import metrics as reference

from atnet.evaluation.bootstrap import compare, interval, mcnemar_exact, resample_counts, resample_rows, score
from atnet.evaluation.calibration import expected_calibration_error, reliability
from atnet.evaluation.metrics import brier_scores, confusion_matrix, count_classes, log_losses
from atnet.evaluation.ranking import curves, defined_mean, mean_curves, rank, rank_classes

HOW = {"samples": 400, "confidence": 0.95}


def answers(rows: int, classes: int, *, right: float = 0.7, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng([seed, rows, classes])
    actual = rng.integers(classes, size=rows)
    return actual, np.where(rng.random(rows) < right, actual, rng.integers(classes, size=rows))


def probabilities(actual: np.ndarray, classes: int, seed: int = 0) -> np.ndarray:
    raw = np.random.default_rng(seed).gamma(1.0, size=(len(actual), classes)) + np.eye(classes)[actual]
    return raw / raw.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("classes", [2, 6, 77])
def test_hard_label_scores_are_those_of_scikit_learn(classes: int) -> None:
    actual, predicted = answers(2000, classes)
    counts = count_classes(actual, predicted, classes)
    expected = reference.precision_recall_fscore_support(actual, predicted, labels=range(classes), zero_division=0)
    for found, wanted in zip((counts.precision, counts.recall, counts.f1, counts.support), expected, strict=True):
        np.testing.assert_allclose(found, wanted)
    assert counts.accuracy == pytest.approx(reference.accuracy_score(actual, predicted))
    assert counts.macro_f1 == pytest.approx(reference.f1_score(actual, predicted, average="macro"))
    assert (confusion_matrix(actual, predicted, classes) == reference.confusion_matrix(actual, predicted)).all()


def test_a_label_without_rows_does_not_count_in_macro_f1() -> None:
    actual, predicted = np.array([0, 0, 1, 1]), np.array([0, 0, 1, 2])
    counts = count_classes(actual, predicted, 4)
    assert counts.macro_f1 == pytest.approx((1 + 2 / 3) / 2)
    assert counts.f1.tolist() == pytest.approx([1, 2 / 3, 0, 0])


@pytest.mark.parametrize("classes", [2, 5])
def test_soft_scores_are_those_of_scikit_learn(classes: int) -> None:
    actual, _ = answers(500, classes)
    given = probabilities(actual, classes)
    assert log_losses(actual, given).mean() == pytest.approx(reference.log_loss(actual, given))
    assert brier_scores(actual, given).mean() == pytest.approx(reference.brier_score_loss(actual, given))


def test_a_sure_mistake_costs_much_but_not_everything() -> None:
    assert np.isfinite(log_losses(np.array([0]), np.array([[0.0, 1.0]]))).all()


@pytest.mark.parametrize("decimals", [1, 2, 8])
def test_weighted_rankings_are_those_of_scikit_learn_with_ties_too(decimals: int) -> None:
    rng = np.random.default_rng(decimals)
    positive = rng.random(300) < 0.2
    scores, weights = np.round(rng.random(300) + 0.3 * positive, decimals), rng.poisson(1, size=(4, 300)).astype(float)
    ranking = rank(positive, scores, weights)
    for row, weight in enumerate(weights):
        auc = reference.roc_auc_score(positive, scores, sample_weight=weight)
        precision = reference.average_precision_score(positive, scores, sample_weight=weight)
        assert ranking.roc_auc[row] == pytest.approx(auc)
        assert ranking.average_precision[row] == pytest.approx(precision)


def test_more_than_two_labels_are_ranked_one_against_the_rest() -> None:
    actual, _ = answers(400, 4)
    given = probabilities(actual, 4)
    mean = defined_mean([ranking.roc_auc for ranking in rank_classes(actual, given)])
    assert mean.item() == pytest.approx(reference.roc_auc_score(actual, given, multi_class="ovr"))


def test_a_ranking_with_one_side_only_is_undefined_and_left_out_of_the_mean() -> None:
    actual = np.array([0, 0, 1, 1])
    rankings = rank_classes(actual, probabilities(actual, 3))
    assert [bool(np.isnan(ranking.roc_auc[0])) for ranking in rankings] == [False, False, True]
    assert np.isfinite(defined_mean([ranking.roc_auc for ranking in rankings])).all()
    assert mean_curves(rank_classes(np.zeros(4, dtype=int), probabilities(actual, 2))) is None


def test_curves_run_from_corner_to_corner() -> None:
    actual, _ = answers(200, 2)
    found = curves(rank_classes(actual, probabilities(actual, 2))[0])
    assert found.true_positive_rate[-1] == 1
    assert (np.diff(found.true_positive_rate) >= 0).all()
    assert np.trapezoid(found.true_positive_rate, found.grid) == pytest.approx(
        reference.roc_auc_score(actual, probabilities(actual, 2)[:, 1]), abs=0.01
    )
    perfect = curves(rank(actual == 1, actual.astype(float), np.ones((1, 200))))
    assert (perfect.true_positive_rate == 1).all()
    assert (perfect.precision == 1).all()


def test_calibration_error_is_the_weighted_distance_of_the_bins() -> None:
    given = np.array([[0.9, 0.1]] * 10 + [[0.35, 0.65]] * 10)
    actual = np.array([0] * 9 + [1] + [1] * 5 + [0] * 5)
    # Nine of ten right at 0.9, five of ten right at 0.65.
    assert expected_calibration_error(actual, given, 10) == pytest.approx((0 + 0.15) / 2)
    found = reliability(actual, given, 10)
    assert found.rows.tolist() == [0, 0, 0, 0, 0, 0, 10, 0, 0, 10]
    assert reliability(np.array([0]), np.array([[1.0, 0.0]]), 10).rows[-1] == 1


def test_intervals_hold_the_value_and_narrow_with_more_rows() -> None:
    widths = []
    for rows in (100, 10_000):
        actual, predicted = answers(rows, 2)
        found = score(actual, predicted, 2, rng=np.random.default_rng(1), **HOW)
        for one in (found.accuracy, found.macro_f1, *found.f1):
            assert one.low <= one.value <= one.high
        widths.append(found.accuracy.high - found.accuracy.low)
    assert widths[1] < widths[0] / 5
    # The binomial deviation says how wide it should be.
    assert widths[1] == pytest.approx(2 * 1.96 * np.sqrt(0.85 * 0.15 / 10_000), rel=0.15)


def test_an_interval_over_many_labels_is_not_pulled_down_by_repeated_rows() -> None:
    actual, predicted = answers(600, 77, right=0.8)
    (drawn,) = resample_counts(actual, [predicted], 77, samples=400, rng=np.random.default_rng(0))
    found = count_classes(actual, predicted, 77).macro_f1.item()
    corrected = interval(found, drawn.macro_f1, 0.95)
    assert corrected.high > np.quantile(drawn.macro_f1, 0.975)
    assert corrected.low < found < corrected.high


def test_a_perfect_model_has_an_interval_without_width() -> None:
    actual = np.arange(50) % 3
    found = score(actual, actual, 3, rng=np.random.default_rng(0), **HOW)
    assert (found.accuracy.low, found.accuracy.value, found.accuracy.high) == (1, 1, 1)
    assert (found.macro_f1.low, found.macro_f1.high) == (1, 1)


def test_an_undefined_score_has_undefined_bounds() -> None:
    found = interval(np.nan, np.full(5, np.nan), 0.9)
    assert np.isnan([found.value, found.low, found.high]).all()


def test_resampling_by_cells_is_resampling_rows() -> None:
    actual, predicted = answers(300, 3)
    (cells,) = resample_counts(actual, [predicted], 3, samples=4000, rng=np.random.default_rng(0))
    weights = np.vstack(list(resample_rows(300, samples=4000, rng=np.random.default_rng(1))))
    assert (weights.sum(axis=1) == 300).all()
    assert (cells.support.sum(axis=1) == 300).all()
    by_rows = weights @ (actual == predicted) / 300
    assert cells.accuracy.mean() == pytest.approx(by_rows.mean(), abs=0.002)
    assert cells.accuracy.std() == pytest.approx(by_rows.std(), rel=0.08)


def test_row_weights_come_in_blocks_of_bounded_size_and_add_up() -> None:
    blocks = list(resample_rows(30_000, samples=100, rng=np.random.default_rng(0)))
    assert len(blocks) > 1
    assert sum(map(len, blocks)) == 100


def test_a_paired_difference_is_surer_than_two_separate_intervals() -> None:
    actual, first = answers(2000, 2, right=0.8)
    second = np.where(np.arange(2000) % 50 == 0, 1 - actual, first)
    found = compare(actual, first, second, 2, rng=np.random.default_rng(0), **HOW)
    alone = score(actual, first, 2, rng=np.random.default_rng(0), **HOW)
    assert found.accuracy.value == pytest.approx((first == actual).mean() - (second == actual).mean())
    assert found.accuracy.low > 0
    assert found.accuracy.high - found.accuracy.low < (alone.accuracy.high - alone.accuracy.low) / 2


def test_comparing_in_the_other_direction_turns_the_sign() -> None:
    actual, first = answers(800, 4, seed=1)
    _, second = answers(800, 4, seed=2)
    one = compare(actual, first, second, 4, rng=np.random.default_rng(0), **HOW)
    other = compare(actual, second, first, 4, rng=np.random.default_rng(0), **HOW)
    assert one.macro_f1.value == -other.macro_f1.value
    assert one.p_value == other.p_value
    assert (one.only_first_right, one.only_second_right) == (other.only_second_right, other.only_first_right)


def test_a_model_compared_with_itself_shows_no_difference() -> None:
    actual, first = answers(100, 3)
    found = compare(actual, first, first, 3, rng=np.random.default_rng(0), **HOW)
    assert (found.accuracy.low, found.accuracy.high, found.macro_f1.low, found.p_value) == (0, 0, 0, 1)


@pytest.mark.parametrize(("first", "second"), [(0, 0), (3, 0), (5, 5), (40, 61), (2000, 2150), (0, 3000)])
def test_mcnemar_is_the_exact_binomial_test(first: int, second: int) -> None:
    expected = binomtest(first, first + second, 0.5).pvalue if first + second else 1.0
    assert mcnemar_exact(first, second) == pytest.approx(expected, abs=1e-12)


def test_the_same_seed_gives_the_same_intervals() -> None:
    actual, predicted = answers(500, 6)
    found = [score(actual, predicted, 6, rng=np.random.default_rng(5), **HOW) for _ in range(2)]
    assert found[0] == found[1]
