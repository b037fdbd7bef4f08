"""Make the label of each row: from its rating, or from the label column by a map."""

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from atnet.config import LabelFromRatingConfig, ValidateConfig
from atnet.errors import ConfigurationError
from atnet.schema import LABEL, RATING

NEUTRAL_BAND = "neutral_band"
"""The rule by which a rating too near to zero is left out."""


@dataclass(frozen=True, slots=True)
class MappedTable:
    """A canonical table with its final labels, and for each row the rule that leaves it out (null: none does)."""

    table: pd.DataFrame
    left_out: pd.Series


def check_label_settings(config: ValidateConfig) -> None:
    """Refuse settings that contradict each other.

    Raises:
        ConfigurationError: naming the keys.
    """
    rule, allowed = config.label_from_rating, config.labels
    if rule is not None and rule.negative == rule.positive:
        raise ConfigurationError("validate.label_from_rating: negative and positive are the same label; name two.")
    if rule is not None and config.label_map:
        raise ConfigurationError(
            "validate.label_map does nothing beside label_from_rating; set it to {} or the other to null."
        )
    if allowed is None:
        return
    if len(set(allowed)) < 2:
        raise ConfigurationError(
            "validate.labels names fewer than two labels; a classifier needs two. null: those found."
        )
    made = [rule.negative, rule.positive] if rule is not None else sorted(set(config.label_map.values()))
    strange = [label for label in made if label not in allowed]
    if strange:
        key = "label_from_rating" if rule is not None else "label_map"
        raise ConfigurationError(
            f"validate.{key} makes the label {strange[0]!r}, which validate.labels does not allow."
        )


def map_labels(table: pd.DataFrame, config: ValidateConfig) -> MappedTable:
    """Put the final label into each row of a batch; a row without one keeps null.

    Args:
        table: canonical columns; `rating` where labels come from it, else `label`.
        config: the rule or the map.
    """
    if config.label_from_rating is not None:
        return _from_rating(table, config.label_from_rating)
    found = table[LABEL]
    mapped = found.map(config.label_map).fillna(found) if config.label_map else found
    return MappedTable(table.assign(**{LABEL: mapped}), _rules(table))


def expected_labels(config: ValidateConfig, found: Sequence[str]) -> list[str]:
    """List the labels that the table should hold, sorted."""
    rule = config.label_from_rating
    if config.labels is not None:
        return sorted(set(config.labels))
    return sorted([rule.negative, rule.positive] if rule is not None else set(found))


def _from_rating(table: pd.DataFrame, rule: LabelFromRatingConfig) -> MappedTable:
    rating = table[RATING]
    label = pd.Series(None, index=table.index, dtype="str")
    label = label.mask(rating < -rule.neutral_band, rule.negative).mask(rating > rule.neutral_band, rule.positive)
    neutral = rating.abs() <= rule.neutral_band
    return MappedTable(table.assign(**{LABEL: label}), _rules(table).mask(neutral, NEUTRAL_BAND))


def _rules(table: pd.DataFrame) -> pd.Series:
    return pd.Series(None, index=table.index, dtype="str")
