"""Hyperparameter search on validation over ordered values; a range is extended while its best value is at an end."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

Value = TypeVar("Value")
Quality = tuple[float, ...]
"""Compared from left to right; larger is better."""


@dataclass(frozen=True, slots=True)
class Choice(Generic[Value]):
    """The best value and the quality of every evaluated value."""

    value: Value
    qualities: Mapping[Value, Quality]
    at_border: bool
    """The best value is at an end of the range, so a better one may lie beyond it."""


def extending_search(
    values: Sequence[float], quality: Callable[[float], Quality], *, extensions: int = 4
) -> Choice[float]:
    """Try all values and, while the best is at an end, one more beyond it; of equally good values take the smallest."""
    qualities = {value: quality(value) for value in sorted(values)}
    for _ in range(extensions):
        best, ordered = _first_best(qualities), sorted(qualities)
        if ordered[0] < best < ordered[-1]:
            break
        beyond = neighbor(best, up=best == ordered[-1])
        qualities[beyond] = quality(beyond)
    best = _first_best(qualities)
    return Choice(best, qualities, best in (min(qualities), max(qualities)))


def hill_climb(values: Sequence[Value], start: Value, quality: Callable[[Value], Quality]) -> Choice[Value]:
    """Move along the ordered values from `start` for as long as a step improves the quality."""
    qualities = {start: quality(start)}
    for direction in (1, -1):
        place = values.index(start)
        while 0 <= place + direction < len(values):
            current, following = values[place], values[place + direction]
            qualities[following] = quality(following)
            if qualities[following] <= qualities[current]:
                break
            place += direction
        if place != values.index(start):
            break
    # `start` comes first, so an equally good value does not replace it.
    best = max([start, *qualities], key=lambda value: qualities[value])
    return Choice(best, qualities, best in (values[0], values[-1]))


def neighbor(value: float, *, up: bool) -> float:
    """Return the next value of the series ..., 0.1, 0.3, 1, 3, 10, ..."""
    exponent = round(2 * math.log10(value)) + (1 if up else -1)
    return float(f"{10 ** (exponent / 2):.0e}")


def _first_best(qualities: Mapping[float, Quality]) -> float:
    return max(sorted(qualities), key=lambda value: qualities[value])
