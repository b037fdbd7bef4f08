"""The search space: what can be tuned, and how the settings of a trial are made."""

from typing import Any

import pytest
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from atnet.config import Params
from atnet.errors import ConfigurationError
from atnet.tuning.space import current_settings, distributions, round_settings, with_settings
from tests.settings import params_with


def number_range(low: float, high: float, log: bool = False) -> dict[str, Any]:
    return {"low": low, "high": high, "log": log}


def params_of(space: dict[str, Any], **train: Any) -> Params:
    return params_with({"tune": {"space": space}, "train": train})


@pytest.mark.parametrize(
    ("space", "message"),
    [
        (
            {"train.dropuot": number_range(0.1, 0.5)},
            r"train\.dropuot is not a parameter .*did you mean train\.dropout\?",
        ),
        ({"tokenize.kind": {"choices": ["word", "bpe"]}}, "does not repeat earlier stages"),
        ({"train.seed": number_range(1, 5)}, "the best of several seeds is luck"),
        ({"train.dropout": number_range(0.1, 1.5)}, r"train\.dropout: Input should be less than 1 \(found 1\.5\)"),
        ({"train.filters": number_range(8, 16.5)}, r"train\.filters: .*valid integer"),
        ({"train.filters": {"choices": [8, 0]}}, r"train\.filters: .*greater than or equal to 1 \(found 0\)"),
        ({"train.attention": {"choices": ["pooled", "poled"]}}, r"train\.attention: .*found 'poled'"),
        ({"train.wide": number_range(0, 1)}, r"train\.wide is not a number: write \{ choices"),
        ({"train.dropout": number_range(0.5, 0.5)}, "not below high"),
        ({"train.dropout": number_range(0.0, 0.5, log=True)}, "must start above 0"),
        ({"train.dropout": {"low": 0.1, "hgih": 0.2, "log": False}}, r"hgih: unknown key \(did you mean high\?\)"),
        ({"train.dropout": {"low": 0.1, "high": 0.2}}, "log: missing"),
        ({"train.dropout": 0.3}, r"write \{ low, high, log \} or \{ choices \}"),
        ({"train.embedding_dimensions": number_range(8, 64)}, "cannot be tuned while train.initialize_from_vectors"),
        ({}, "at least 1 item"),
    ],
)
def test_a_range_that_cannot_be_searched_is_refused_with_its_reason(space: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        params_of(space)


def test_embedding_dimensions_can_be_tuned_when_training_starts_from_random_initialization() -> None:
    space = {"train.embedding_dimensions": number_range(8, 64)}
    assert params_of(space, initialize_from_vectors=False).tune.space
    both = {**space, "train.initialize_from_vectors": {"choices": [True, False]}}
    with pytest.raises(ConfigurationError, match="initialize_from_vectors"):
        params_of(both, initialize_from_vectors=False)


def test_a_search_without_a_limit_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="both null: set at least one"):
        params_with({"tune": {"trials": None, "minutes": None}})


def optuna_space(space: dict[str, Any], **train: Any) -> dict[str, BaseDistribution]:
    params = params_of(space, **train)
    return distributions(params.tune.space, current_settings(params.tune.space, params.train))


def test_the_distribution_follows_the_type_of_the_parameter() -> None:
    space = {
        "train.filters": number_range(8, 64, log=True),
        "train.dropout": number_range(0, 0.5),
        "train.wide": {"choices": [True, False]},
    }
    assert optuna_space(space, filters=16, dropout=0.3) == {
        "train.filters": IntDistribution(8, 64, log=True),
        "train.dropout": FloatDistribution(0, 0.5),
        "train.wide": CategoricalDistribution([True, False]),
    }


def test_a_range_is_widened_to_the_current_value() -> None:
    space = {"train.dropout": number_range(0.1, 0.2), "train.filters": {"choices": [8, 16]}}
    assert optuna_space(space, dropout=0.4, filters=32) == {
        "train.dropout": FloatDistribution(0.1, 0.4),
        "train.filters": CategoricalDistribution([8, 16, 32]),
    }


def test_a_range_around_null_is_refused_before_the_first_trial() -> None:
    with pytest.raises(ConfigurationError, match="soft_target_slope is None, which is not a number"):
        optuna_space({"train.soft_target_slope": number_range(0.5, 2.0)}, soft_target_slope=None)


def test_sampled_numbers_are_rounded_but_never_beyond_a_bound() -> None:
    space: dict[str, BaseDistribution] = {
        "a": FloatDistribution(0.12345, 1),
        "b": FloatDistribution(0, 1),
        "c": IntDistribution(1, 9),
    }
    sampled = {"a": 0.12346, "b": 0.00123456, "c": 7}
    assert round_settings(sampled, space) == {"a": 0.12345, "b": 0.00123, "c": 7}


def test_settings_replace_the_values_of_section_train(params: Params) -> None:
    changed = with_settings(params.train, {"train.dropout": 0.11, "train.filters": 7})
    assert (changed.dropout, changed.filters, changed.seed) == (0.11, 7, params.train.seed)
