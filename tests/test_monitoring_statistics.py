"""The statistics against plain formulas and other libraries, and on samples whose difference is known."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import ks_2samp
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from atnet.monitoring.domain_classifier import (
    STRENGTH,
    CrossFitted,
    cross_fit,
    fit_scores,
    ngram_gram_matrix,
    roc_auc,
)
from atnet.monitoring.drift_statistics import (
    CLASSIFIER_AUC,
    POOLED_MMD,
    STATISTICS,
    UNKNOWN_WORDS,
    compute_statistics,
    effect_sizes,
    ks_distances,
    mean_differences,
)
from atnet.monitoring.mmd import fit_reduction, kernel_matrix, squared_mmd
from atnet.monitoring.moved_words import moved_words
from atnet.monitoring.row_features import RowFeatures, concatenate, hash_ngrams
from tests.texts import labeled_texts

EN = labeled_texts(400, "en")["text"].tolist()
PT = labeled_texts(100, "pt")["text"].tolist()


def splits(rows: int, window: int, count: int = 1, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.stack([rng.permutation(rows) < window for _ in range(count)])


def features(texts: list[str], seed: int = 0, shift: float = 0.0) -> RowFeatures:
    rng = np.random.default_rng(seed)
    first = rng.beta(2, 2, len(texts))
    return RowFeatures(
        ngrams=hash_ngrams(texts),
        pooled=rng.normal(shift, 1, (len(texts), 40)).astype(np.float32),
        probabilities=np.stack([first, 1 - first], axis=1),
        unknown=rng.beta(1, 9, len(texts)) + shift / 10,
        tokens=np.array([len(text.split()) for text in texts]),
    )


@pytest.mark.parametrize("values", [1000, 7])
def test_the_ks_distance_is_that_of_scipy_with_and_without_ties(values: int) -> None:
    numbers = np.random.default_rng(1).integers(values, size=120)
    in_window = splits(120, 30, 5)
    expected = [ks_2samp(numbers[mask], numbers[~mask]).statistic for mask in in_window]
    assert ks_distances(numbers, in_window) == pytest.approx(expected)


def test_the_auc_is_that_of_scikit_learn_with_ties() -> None:
    scores = np.random.default_rng(2).integers(9, size=80).astype(float)
    (mask,) = splits(80, 25)
    assert roc_auc(scores, mask) == pytest.approx(roc_auc_score(mask, scores))


def test_mean_differences_are_those_of_the_two_sides() -> None:
    values = np.random.default_rng(3).normal(size=50)
    masks = splits(50, 12, 3)
    expected = [values[mask].mean() - values[~mask].mean() for mask in masks]
    assert mean_differences(values, masks) == pytest.approx(expected)


def test_the_mmd_is_the_unbiased_estimate_written_out() -> None:
    rng = np.random.default_rng(4)
    points = rng.normal(size=(30, 3))
    (mask,) = splits(30, 11)
    kernel = np.exp(-((points[:, None] - points[None]) ** 2).sum(axis=2) / 2.0)
    inside, outside = np.flatnonzero(mask), np.flatnonzero(~mask)
    pairs = lambda rows: np.mean([kernel[i, j] for i in rows for j in rows if i != j])  # noqa: E731
    across = np.mean([kernel[i, j] for i in inside for j in outside])
    expected = pairs(inside) + pairs(outside) - 2 * across
    assert squared_mmd(kernel_matrix(points, 2.0), mask[None])[0] == pytest.approx(expected, abs=1e-6)


def test_the_mmd_lies_around_zero_where_nothing_differs_and_above_where_it_does() -> None:
    rng = np.random.default_rng(5)
    reference = rng.normal(size=(300, 60)).astype(np.float32)
    reduction = fit_reduction(reference, rng)
    assert reduction.components_DP.shape == (32, 60)
    kernel = kernel_matrix(reduction.reduce(reference), reduction.squared_bandwidth)
    equal = squared_mmd(kernel, splits(300, 60, 200))
    assert abs(equal.mean()) < 3 * equal.std() / np.sqrt(200)
    moved = np.concatenate([reference[:60] + 0.5, reference[60:]])
    kernel = kernel_matrix(reduction.reduce(moved), reduction.squared_bandwidth)
    assert squared_mmd(kernel, (np.arange(300) < 60)[None])[0] > equal.max()


def test_a_constant_pooled_feature_does_no_harm() -> None:
    pooled = np.ones((50, 4), np.float32)
    pooled[:, 0] = np.arange(50)
    reduction = fit_reduction(pooled, np.random.default_rng(0))
    assert np.isfinite(reduction.reduce(pooled)).all()


def cross_fitted(texts: list[str], in_window: np.ndarray, seed: int = 0) -> CrossFitted:
    return next(cross_fit(ngram_gram_matrix(hash_ngrams(texts)), in_window[None], seed=seed))


def test_the_classifier_separates_another_language_and_not_more_of_the_same() -> None:
    in_window = np.arange(300) < 60
    other = cross_fitted(PT[:60] + EN[:240], in_window)
    assert other.auc > 0.99
    assert other.scores[:60].mean() > other.scores[60:].mean()
    assert 0.35 < cross_fitted(EN[:300], in_window).auc < 0.65


def test_no_text_is_scored_by_a_classifier_that_was_fitted_to_it() -> None:
    # Each text has a word of its own, twice in all: a classifier fitted to the text could tell its side by that word.
    texts = [f"the same sentence word{number}" for number in range(100)]
    # The copy is on the other side, so cross-fitting gives less than 0.5.
    assert cross_fitted([*texts, *texts], np.arange(200) < 100).auc < 0.5


@pytest.mark.parametrize("window", [15, 60])
def test_the_fit_is_the_logistic_regression_of_scikit_learn(window: int) -> None:
    texts = PT[: window // 3] + EN[:180]
    gram = ngram_gram_matrix(hash_ngrams(texts))
    in_window = np.arange(len(texts)) < window
    is_train = np.random.default_rng(3).random(len(texts)) < 0.8
    # Vectors with the same inner products.
    values, vectors = np.linalg.eigh(gram.astype(np.float64))
    points = vectors * np.sqrt(np.maximum(values, 0))
    model = LogisticRegression(C=STRENGTH, class_weight="balanced", fit_intercept=False, tol=1e-8, max_iter=1000)
    expected = model.fit(points[is_train], in_window[is_train]).decision_function(points)
    scores = fit_scores(gram, np.stack([in_window] * 2), np.stack([is_train] * 2))
    assert scores == pytest.approx(np.stack([expected] * 2), abs=2e-3 * np.abs(expected).max())


def test_splits_solved_together_are_as_if_solved_alone() -> None:
    gram, masks = ngram_gram_matrix(hash_ngrams(EN[:80])), splits(80, 20, 60)
    together = [fitted.auc for fitted in cross_fit(gram, masks, seed=5)]
    assert len(together) == 60
    assert next(cross_fit(gram, masks[:1], seed=5)).auc == pytest.approx(together[0])
    assert 0.4 < np.mean(together) < 0.6


def test_statistics_do_not_depend_on_the_order_of_the_rows() -> None:
    both = concatenate(features(EN[:40], 1), features(EN[40:160], 2))
    reduction = fit_reduction(both.pooled, np.random.default_rng(0))
    mask = np.arange(160) < 40
    order = np.random.default_rng(6).permutation(160)
    names = [name for name in STATISTICS if name != CLASSIFIER_AUC]  # its folds are assigned by position
    first = compute_statistics(both, mask[None], reduction, seed=1)
    second = compute_statistics(both.take(order), mask[order][None], reduction, seed=1)
    for name in names:
        assert first.values[name] == pytest.approx(second.values[name], abs=1e-5), name


def test_without_texts_the_statistics_of_predictions_lengths_and_unknown_words_remain() -> None:
    bare = replace(features(EN[:60]), ngrams=None, pooled=None)
    statistics = compute_statistics(bare, splits(60, 20, 2), None, seed=1)
    assert statistics.names == STATISTICS[2:]
    assert statistics.matrix().shape == (2, 3)


def test_effect_sizes_are_the_statistics_but_the_root_of_the_squared_mmd() -> None:
    assert effect_sizes({POOLED_MMD: 0.04, UNKNOWN_WORDS: 0.02}) == pytest.approx(
        {POOLED_MMD: 0.2, UNKNOWN_WORDS: 0.02}
    )
    assert effect_sizes({POOLED_MMD: -0.01}) == {POOLED_MMD: 0.0}


def test_the_words_that_moved_most_are_listed_with_their_shares() -> None:
    window = ["lol great film"] * 5 + ["the film"] * 5
    reference = ["great film"] * 20 + ["the film is long"] * 20
    first, *rest = moved_words(window, reference, 5)
    assert (first.word, first.window, first.reference) == ("lol", 0.5, 0.0)
    assert first.z > 0
    assert any(word.word == "great" for word in rest) or len(rest) == 4
    assert next(word for word in moved_words(window, reference, 20) if word.word == "film").z == 0
