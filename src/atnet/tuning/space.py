"""The search space: Optuna distributions from `tune.space`, and the settings of one trial."""

from collections.abc import Mapping
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from atnet.config import ChoicesConfig, Dimension, TrainConfig
from atnet.config.tune import SECTION, ParamValue, numeric_type
from atnet.errors import ConfigurationError

Settings = dict[str, ParamValue]
"""Parameter `train.…` -> value."""
SIGNIFICANT_DIGITS = 3
"""Of a sampled number; more would only clutter params.yaml."""


def current_settings(space: Mapping[str, Dimension], train: TrainConfig) -> Settings:
    """Read the current value of every parameter in the space."""
    return {name: getattr(train, name.removeprefix(SECTION)) for name in sorted(space)}


def distributions(space: Mapping[str, Dimension], current: Settings) -> dict[str, BaseDistribution]:
    """Build the distributions, widened to the current values, so that the study can start from them.

    Raises:
        ConfigurationError: if a current value cannot be part of its range.
    """
    return {name: _distribution(name, space[name], current[name]) for name in sorted(space)}


def round_settings(sampled: Mapping[str, Any], space: Mapping[str, BaseDistribution]) -> Settings:
    """Round sampled numbers to a few digits, never beyond a bound."""
    return {name: _rounded(value, space[name]) for name, value in sampled.items()}


def with_settings(train: TrainConfig, settings: Mapping[str, ParamValue]) -> TrainConfig:
    """Return section `train` with these values, for a single worker: trials run at the same time already."""
    changes = {name.removeprefix(SECTION): value for name, value in settings.items()}
    return TrainConfig.model_validate({**train.model_dump(), "workers": 1, **changes})


def _distribution(name: str, entry: Dimension, current: ParamValue) -> BaseDistribution:
    if isinstance(entry, ChoicesConfig):
        is_choice = any(_is_same(value, current) for value in entry.choices)
        return CategoricalDistribution(entry.choices if is_choice else [*entry.choices, current])
    if not isinstance(current, int | float):
        raise ConfigurationError(
            f"{name} is {current!r}, which is not a number, so a range cannot start from it. "
            f"In params.yaml, write tune.space.{name} as {{ choices: [...] }}, or set {name} to a number."
        )
    low, high = min(entry.low, current), max(entry.high, current)
    if numeric_type(name) is int:
        return IntDistribution(int(low), int(high), log=entry.log)
    # A logarithmic scale cannot hold a current value of 0.
    return FloatDistribution(low, high, log=entry.log and low > 0)


def _is_same(first: ParamValue, second: ParamValue) -> bool:
    # In Python, True equals 1.
    return first == second and isinstance(first, bool) == isinstance(second, bool)


def _rounded(value: Any, distribution: BaseDistribution) -> ParamValue:
    if not isinstance(distribution, FloatDistribution):
        result: ParamValue = value
        return result
    return min(max(float(f"{value:.{SIGNIFICANT_DIGITS}g}"), distribution.low), distribution.high)
