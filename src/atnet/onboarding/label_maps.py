"""Propose a label map where the meaning of the values is obvious: 0/1, yes/no, sim/não, stars."""

from collections.abc import Mapping
from dataclasses import dataclass

from atnet.data.label_checks import label_variants
from atnet.onboarding.column_roles import LABEL_NAMES
from atnet.onboarding.options import LabelMap, Stars

MAX_STARS = 5
NAMES = ("negative", "neutral", "positive")
"""As in the behavior suites."""
NO_WORDS = frozenset({"0", "no", "n", "false", "f", "não", "nao", "falso", "neg", "-1"})
YES_WORDS = frozenset({"1", "yes", "y", "true", "t", "sim", "s", "si", "sí", "verdadeiro", "pos"})
SELF_EXPLANATORY = frozenset({"no", "yes", "não", "sim", "false", "true"})
"""Answers that stay as they are if the column's name is not the question."""


@dataclass(frozen=True, slots=True)
class LabelProposal:
    """The label map, and why."""

    label_map: LabelMap
    reason: str
    """Empty if the values stay as they are."""


def propose_label_map(counts: Mapping[str, int], *, column: str, stars: Stars) -> LabelProposal:
    """Propose names for values whose meaning is not obvious, and one spelling where there are several.

    Args:
        counts: rows of each value of the label column, the most frequent first.
        column: name of the label column.
        stars: how one to five stars become labels.
    """
    values = {value.strip(): value for value in counts}
    ratings = _star_numbers(list(values))
    if ratings is not None:
        return _star_map({values[value]: number for value, number in ratings.items()}, stars)
    lower = {value.casefold() for value in values}
    yes_or_no = lower <= NO_WORDS | YES_WORDS and bool(lower & NO_WORDS) and bool(lower & YES_WORDS)
    if yes_or_no and not (lower <= SELF_EXPLANATORY and len(values) == 2 and column.strip().lower() in LABEL_NAMES):
        return _yes_no_map(list(counts), column)
    return _one_spelling(counts)


def _star_numbers(values: list[str]) -> dict[str, int] | None:
    """Return the stars of each value if the values are 1 to 5, at least three of them."""
    try:
        numbers = {value: float(value) for value in values}
    except ValueError:
        return None
    allowed = set(range(1, MAX_STARS + 1))
    is_stars = len(numbers) >= 3 and set(numbers.values()) <= allowed and {1.0, 5.0} & set(numbers.values())
    return {value: int(number) for value, number in numbers.items()} if is_stars else None


def _star_map(numbers: Mapping[str, int], stars: Stars) -> LabelProposal:
    if stars == "each":
        return LabelProposal({}, "each number of stars is a label, as you specified")
    negative, neutral, positive = NAMES
    middle = neutral if stars == "three" else None
    label_map = {value: negative if n < 3 else positive if n > 3 else middle for value, n in sorted(numbers.items())}
    rest = f"3 is {neutral}" if middle else "rows with 3 are left out"
    others = "--stars two, three, or each: every number is a label"
    return LabelProposal(
        dict(label_map),
        f"stars: 1 and 2 are {negative}, 4 and 5 {positive}, {rest} ({others})",
    )


def _yes_no_map(values: list[str], column: str) -> LabelProposal:
    negative, _, positive = NAMES
    column = column.strip()
    if column.lower() not in LABEL_NAMES:
        negative, positive = f"not {column}", column
    label_map: LabelMap = {
        value: positive if value.strip().casefold() in YES_WORDS else negative for value in sorted(values)
    }
    shown = ", ".join(f"{value} is {label}" for value, label in label_map.items())
    return LabelProposal(label_map, f"{shown} (--label-map none keeps the values)")


def _one_spelling(counts: Mapping[str, int]) -> LabelProposal:
    """Map spellings that differ in case or number form to the most frequent one."""
    label_map: LabelMap = {}
    for group in label_variants(list(counts)):
        first, *others = sorted(group, key=lambda value: -counts[value])
        label_map |= dict.fromkeys(others, first)
    shown = ", ".join(f"{value!r} counts as {label!r}" for value, label in label_map.items())
    return LabelProposal(label_map, f"{shown} (--label-map none keeps them apart)" if label_map else "")
