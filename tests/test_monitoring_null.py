"""Thresholds from windows drawn from the reference: their level, their cache, their sizes."""

from pathlib import Path

import numpy as np
import pytest

from atnet.config import Params
from atnet.errors import ConfigurationError
from atnet.monitoring.null_distribution import (
    NullDistribution,
    cache_key,
    compared_rows,
    draw_null,
    load_null,
    p_values,
    save_null,
)
from atnet.monitoring.window_comparison import check_resolution
from tests.test_monitoring_statistics import EN, features

NAMES = ("unknown_words", "length_ks", "probability_ks")


def normal_null(rng: np.random.Generator, resamples: int = 99) -> tuple[NullDistribution, dict[str, float]]:
    """Draw correlated statistics of windows, the last one being the observed window."""
    values = rng.normal(size=(resamples + 1, 1)) + rng.normal(size=(resamples + 1, 3))
    return NullDistribution(NAMES, values[:-1], 50, 200), dict(zip(NAMES, values[-1].tolist(), strict=True))


@pytest.mark.parametrize("level", [0.05, 0.2])
def test_the_level_of_all_statistics_together_is_exact(level: float) -> None:
    rng = np.random.default_rng(1)
    trials = 2000
    rejected = sum(
        p_values(observed, null).overall <= level for null, observed in (normal_null(rng) for _ in range(trials))
    )
    assert abs(rejected / trials - level) < 4 * np.sqrt(level * (1 - level) / trials)


def test_a_window_beyond_every_draw_has_the_smallest_p_value_in_all_statistics() -> None:
    null, _ = normal_null(np.random.default_rng(2))
    p = p_values(dict.fromkeys(NAMES, 99.0), null)
    assert p.overall == pytest.approx(1 / 100)
    assert set(p.each.values()) == {1 / 100}
    assert p.combined == 1 / 100


def test_one_extreme_statistic_is_enough_and_the_others_keep_their_own_p_values() -> None:
    null, _ = normal_null(np.random.default_rng(3))
    p = p_values({"unknown_words": 99.0, "length_ks": 0.0, "probability_ks": 0.0}, null)
    assert p.overall <= 0.05
    assert p.each["length_ks"] > 0.3


def test_a_difference_that_is_moderate_in_every_statistic_is_found_by_the_combination() -> None:
    rng = np.random.default_rng(6)
    null = NullDistribution(NAMES, rng.normal(size=(999, 3)), 50, 200)
    p = p_values(dict.fromkeys(NAMES, 1.5), null)
    assert min(p.each.values()) > 0.05
    assert p.combined < 0.02
    assert p.overall < 0.05


def test_ties_with_the_draws_count_against_significance() -> None:
    null = NullDistribution(("length_ks",), np.zeros((99, 1)), 50, 200)
    assert p_values({"length_ks": 0.0}, null).overall == 1


def test_draws_repeat_and_windows_of_the_reference_are_not_significant_more_often_than_the_level() -> None:
    reference = features(EN[:150])
    null = draw_null(reference, None, rows=40, resamples=100, seed=7)
    assert np.array_equal(null.values, draw_null(reference, None, rows=40, resamples=100, seed=7).values)
    assert null.values.shape == (100, 4)
    assert (null.rows, null.reference_rows) == (40, 150)
    assert 0.35 < null.only(("classifier_auc",)).values.mean() < 0.65


def test_a_distribution_is_read_from_its_file_and_a_damaged_file_counts_as_none(tmp_path: Path) -> None:
    null, _ = normal_null(np.random.default_rng(4))
    path = tmp_path / "null.npz"
    assert load_null(path) is None
    save_null(path, null)
    loaded = load_null(path)
    assert loaded is not None
    assert np.array_equal(loaded.values, null.values)
    assert (loaded.names, loaded.rows, loaded.reference_rows) == (NAMES, 50, 200)
    path.write_bytes(path.read_bytes()[:-40])
    assert load_null(path) is None
    assert [path.name for path in tmp_path.iterdir()] == ["null.npz"]


def test_the_cache_knows_model_reference_size_resamples_and_seed() -> None:
    base = {"rows": 50, "resamples": 100, "seed": 1}
    changed = [{**base, name: 99} for name in base]
    keys = {cache_key("model", "reference", **options) for options in (base, *changed)}
    keys |= {cache_key("other", "reference", **base), cache_key("model", "other", **base)}
    assert len(keys) == 6


@pytest.mark.parametrize(
    ("distinct", "reference", "expected"),
    [
        (49, 4000, 0),
        (50, 4000, 50),
        (59, 4000, 50),
        (60, 4000, 60),
        (1100, 4000, 1000),
        (99999, 4000, 1000),
        (1000, 1000, 500),
        (1000, 99, 0),
        (1000, 100, 50),
    ],
)
def test_a_window_is_compared_in_steps_up_to_half_of_the_reference(
    distinct: int, reference: int, expected: int, params: Params
) -> None:
    assert compared_rows(distinct, reference, params.monitor) == expected


def test_a_smallest_size_between_the_steps_is_a_step(params: Params) -> None:
    config = params.monitor.model_copy(update={"min_window_rows": 43})
    assert compared_rows(46, 1000, config) == 43


def test_a_level_that_no_window_can_reach_is_an_error_with_the_number_of_drawn_windows_needed() -> None:
    check_resolution(0.05, statistics=3, samples=99)
    with pytest.raises(ConfigurationError, match=r"monitor\.null_samples \(99\).*Set it to 4,000 or more"):
        check_resolution(0.001, statistics=3, samples=99)
