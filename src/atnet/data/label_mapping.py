"""Compute the label of each row: from its rating, or from the label column and `validate.label_map`."""

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from atnet.config import LabelFromRatingConfig, ValidateConfig
from atnet.schema import LABEL, RATING

NEUTRAL_BAND = "neutral_band"
"""The rule that excludes rows whose rating is too close to zero."""


@dataclass(frozen=True, slots=True)
class LabeledTable:
    """A canonical table with its final labels."""

    table: pd.DataFrame
    excluded_by: pd.Series
    """The rule that excludes each row; null for a row that is used."""


def map_labels(table: pd.DataFrame, config: ValidateConfig) -> LabeledTable:
    """Compute the final label of each row of a batch; a row without one keeps null.

    Args:
        table: canonical columns; `rating` if labels come from it, else `label`.
        config: the rating rule or the label map.
    """
    if config.label_from_rating is not None:
        return _labels_from_rating(table, config.label_from_rating)
    labels = table[LABEL]
    mapped = labels.map(config.label_map).fillna(labels) if config.label_map else labels
    return LabeledTable(table.assign(**{LABEL: mapped}), _no_rule(table))


def expected_labels(config: ValidateConfig, present: Sequence[str]) -> list[str]:
    """Return the labels that the table should have, sorted.

    Args:
        config: the allowed labels, or the rating rule.
        present: labels of the table; the answer if neither is configured.
    """
    rule = config.label_from_rating
    if config.labels is not None:
        return sorted(set(config.labels))
    return sorted([rule.negative, rule.positive] if rule is not None else set(present))


def _labels_from_rating(table: pd.DataFrame, rule: LabelFromRatingConfig) -> LabeledTable:
    rating = table[RATING]
    label = pd.Series(None, index=table.index, dtype="str")
    label = label.mask(rating < -rule.neutral_band, rule.negative).mask(rating > rule.neutral_band, rule.positive)
    neutral = rating.abs() <= rule.neutral_band
    return LabeledTable(table.assign(**{LABEL: label}), _no_rule(table).mask(neutral, NEUTRAL_BAND))


def _no_rule(table: pd.DataFrame) -> pd.Series:
    return pd.Series(None, index=table.index, dtype="str")
