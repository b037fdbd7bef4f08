"""From declared ranges to the settings of one trial."""

from collections.abc import Mapping
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from atnet.config import ChoicesConfig, Dimension, TrainConfig
from atnet.config.tune import SECTION, Value, number_kind
from atnet.errors import ConfigurationError

Settings = dict[str, Value]
"""Parameter `train.…` -> value."""
DIGITS = 3
"""Of a number that is drawn: more would only clutter params.yaml."""


def current_settings(space: Mapping[str, Dimension], train: TrainConfig) -> Settings:
    """Read the present value of every parameter that is varied."""
    return {name: getattr(train, name.removeprefix(SECTION)) for name in sorted(space)}


def distributions(space: Mapping[str, Dimension], current: Settings) -> dict[str, BaseDistribution]:
    """Say what may be drawn: what is declared, widened to the current value, so that the search can begin from it.

    Raises:
        ConfigurationError: if a current value lies in no range.
    """
    return {name: _distribution(name, space[name], current[name]) for name in sorted(space)}


def drawn_settings(drawn: Mapping[str, Any], within: Mapping[str, BaseDistribution]) -> Settings:
    """Round what was drawn to few digits, never past a bound."""
    return {name: _rounded(value, within[name]) for name, value in drawn.items()}


def with_settings(train: TrainConfig, settings: Mapping[str, Value]) -> TrainConfig:
    """Give section `train` with these values in it."""
    changes = {name.removeprefix(SECTION): value for name, value in settings.items()}
    return TrainConfig.model_validate({**train.model_dump(), **changes})


def _distribution(name: str, entry: Dimension, current: Value) -> BaseDistribution:
    if isinstance(entry, ChoicesConfig):
        others = [value for value in entry.choices if not _same(value, current)]
        known = len(others) < len(entry.choices)
        return CategoricalDistribution(entry.choices if known else [*entry.choices, current])
    if not isinstance(current, int | float):
        raise ConfigurationError(
            f"{name} is {current!r}, which lies in no range, so the search cannot begin from it. "
            f"In params.yaml give tune.space.{name} as {{ choices: [...] }}, or {name} a number."
        )
    low, high = min(entry.low, current), max(entry.high, current)
    if number_kind(name) is int:
        return IntDistribution(int(low), int(high), log=entry.log)
    # A current value of 0 cannot lie on a logarithmic scale.
    return FloatDistribution(low, high, log=entry.log and low > 0)


def _same(one: Value, other: Value) -> bool:
    # For Python True is 1.
    return one == other and isinstance(one, bool) == isinstance(other, bool)


def _rounded(value: Any, within: BaseDistribution) -> Value:
    if not isinstance(within, FloatDistribution):
        result: Value = value
        return result
    return min(max(float(f"{value:.{DIGITS}g}"), within.low), within.high)
