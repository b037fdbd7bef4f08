"""A fair search on validation: along ordered values, widened wherever the best one stands at an end."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

Value = TypeVar("Value")
Quality = tuple[float, ...]
"""Compared from the left; larger is better."""


@dataclass(frozen=True, slots=True)
class Choice(Generic[Value]):
    """The best value and all that were tried."""

    value: Value
    tried: Mapping[Value, Quality]
    at_border: bool
    """The best still stands at an end: no better one was looked for beyond it."""


def choose_wider(values: Sequence[float], quality: Callable[[float], Quality], *, widest: int = 4) -> Choice[float]:
    """Try all values, the smallest of the best wins; while it stands at an end, try a further one, `widest` times."""
    tried = {value: quality(value) for value in sorted(values)}
    for _ in range(widest):
        best, ordered = _first_best(tried), sorted(tried)
        if ordered[0] < best < ordered[-1]:
            break
        beyond = neighbor(best, up=best == ordered[-1])
        tried[beyond] = quality(beyond)
    best = _first_best(tried)
    return Choice(best, tried, best in (min(tried), max(tried)))


def climb(ladder: Sequence[Value], start: Value, quality: Callable[[Value], Quality]) -> Choice[Value]:
    """Go along the ladder from `start` to the side that is better, until a step brings nothing."""
    tried = {start: quality(start)}
    for direction in (1, -1):
        place = ladder.index(start)
        while 0 <= place + direction < len(ladder):
            here, there = ladder[place], ladder[place + direction]
            tried[there] = quality(there)
            if tried[there] <= tried[here]:
                break
            place += direction
        if place != ladder.index(start):
            break
    best = _best(tried, start)
    return Choice(best, tried, best in (ladder[0], ladder[-1]))


def neighbor(value: float, *, up: bool) -> float:
    """Give the next of ..., 0.1, 0.3, 1, 3, 10, ..."""
    place = round(2 * math.log10(value)) + (1 if up else -1)
    return float(f"{10 ** (place / 2):.0e}")


def _first_best(tried: Mapping[float, Quality]) -> float:
    return max(sorted(tried), key=lambda value: tried[value])


def _best(tried: Mapping[Value, Quality], start: Value) -> Value:
    # `start` stands first, so it stays where another is only as good.
    return max([start, *tried], key=lambda value: tried[value])
