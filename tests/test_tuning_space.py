"""What may be searched, and how a trial's settings come from it."""

import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from atnet.errors import ConfigurationError
from atnet.tuning.space import current_settings, distributions, drawn_settings, with_settings
from tests.settings import params_with


def ends(low, high, log=False):
    return {"low": low, "high": high, "log": log}


def space_of(space, **train):
    return params_with({"tune": {"space": space}, "train": train})


@pytest.mark.parametrize(
    ("space", "told"),
    [
        ({"train.dropuot": ends(0.1, 0.5)}, r"train\.dropuot is no parameter .*did you mean train\.dropout\?"),
        ({"tokenize.kind": {"choices": ["word", "bpe"]}}, "tokens and vectors are not remade in a trial"),
        ({"train.seed": ends(1, 5)}, "a seed is chance"),
        ({"train.dropout": ends(0.1, 1.5)}, r"train\.dropout: Input should be less than 1 \(found 1\.5\)"),
        ({"train.filters": ends(8, 16.5)}, r"train\.filters: .*valid integer"),
        ({"train.filters": {"choices": [8, 0]}}, r"train\.filters: .*greater than or equal to 1 \(found 0\)"),
        ({"train.attention": {"choices": ["pooled", "poled"]}}, r"train\.attention: .*found 'poled'"),
        ({"train.wide": ends(0, 1)}, r"train\.wide holds no number: give \{ choices"),
        ({"train.dropout": ends(0.5, 0.5)}, "not below high"),
        ({"train.dropout": ends(0.0, 0.5, log=True)}, "begins above 0"),
        ({"train.dropout": {"low": 0.1, "hgih": 0.2, "log": False}}, r"hgih: unknown key \(did you mean high\?\)"),
        ({"train.dropout": {"low": 0.1, "high": 0.2}}, "log: missing"),
        ({"train.dropout": 0.3}, r"give \{ low, high, log \} or \{ choices \}"),
        ({"train.embedding_dimensions": ends(8, 64)}, "cannot be searched while train.initialize_from_vectors"),
        ({}, "at least 1 item"),
    ],
)
def test_a_range_that_cannot_be_searched_is_refused_with_its_reason(space, told):
    with pytest.raises(ConfigurationError, match=told):
        space_of(space)


def test_the_width_may_be_searched_where_training_starts_from_chance():
    space = {"train.embedding_dimensions": ends(8, 64)}
    assert space_of(space, initialize_from_vectors=False).tune.space
    both = {**space, "train.initialize_from_vectors": {"choices": [True, False]}}
    with pytest.raises(ConfigurationError, match="initialize_from_vectors"):
        space_of(both, initialize_from_vectors=False)


def test_a_search_without_an_end_is_refused():
    with pytest.raises(ConfigurationError, match="give the search an end"):
        params_with({"tune": {"trials": None, "minutes": None}})


def drawable(space, **train):
    params = space_of(space, **train)
    return distributions(params.tune.space, current_settings(params.tune.space, params.train))


def test_the_kind_of_a_range_follows_the_parameter():
    space = {
        "train.filters": ends(8, 64, log=True),
        "train.dropout": ends(0, 0.5),
        "train.wide": {"choices": [True, False]},
    }
    assert drawable(space, filters=16, dropout=0.3) == {
        "train.filters": IntDistribution(8, 64, log=True),
        "train.dropout": FloatDistribution(0, 0.5),
        "train.wide": CategoricalDistribution([True, False]),
    }


def test_a_range_is_widened_to_the_current_value():
    space = {"train.dropout": ends(0.1, 0.2), "train.filters": {"choices": [8, 16]}}
    assert drawable(space, dropout=0.4, filters=32) == {
        "train.dropout": FloatDistribution(0.1, 0.4),
        "train.filters": CategoricalDistribution([8, 16, 32]),
    }


def test_a_range_around_null_is_refused_before_the_first_trial():
    with pytest.raises(ConfigurationError, match="soft_target_slope is None, which lies in no range"):
        drawable({"train.soft_target_slope": ends(0.5, 2.0)}, soft_target_slope=None)


def test_drawn_numbers_are_rounded_but_never_past_a_bound():
    within = {"a": FloatDistribution(0.12345, 1), "b": FloatDistribution(0, 1), "c": IntDistribution(1, 9)}
    assert drawn_settings({"a": 0.12346, "b": 0.00123456, "c": 7}, within) == {"a": 0.12345, "b": 0.00123, "c": 7}


def test_settings_take_their_place_in_section_train(params):
    changed = with_settings(params.train, {"train.dropout": 0.11, "train.filters": 7})
    assert (changed.dropout, changed.filters, changed.seed) == (0.11, 7, params.train.seed)
