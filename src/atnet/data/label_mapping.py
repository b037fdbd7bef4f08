"""Compute the label of each row: from its rating, or from the label column and `validate.label_map`."""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from atnet.config import LabelFromRatingConfig, ValidateConfig
from atnet.errors import ConfigurationError
from atnet.schema import LABEL, RATING

NEUTRAL_BAND = "neutral_band"
"""The rule that excludes rows whose rating is too close to zero."""
LABEL_MAP = "label_map"
"""The rule that excludes rows whose label is mapped to null."""
INVISIBLE = dict.fromkeys(
    [0xAD, 0x200B, 0x200E, 0x200F, *range(0x202A, 0x202F), 0x2060, *range(0x2066, 0x206A), 0xFEFF]
)
"""Format characters that do not change how a word looks; joiners are not among them."""


@dataclass(frozen=True, slots=True)
class FoldedLabel:
    """A spelling of a label in the file that differs from the label only in invisible characters."""

    spelling: str
    label: str
    rows: int


@dataclass(frozen=True, slots=True)
class LabeledTable:
    """A canonical table with its final labels."""

    table: pd.DataFrame
    excluded_by: pd.Series
    """The rule that excludes each row; null for a row that is used."""
    folded: tuple[FoldedLabel, ...] = ()


def fold_label(label: str) -> str:
    """Normalize what is invisible in a label: Unicode form, white space, format characters."""
    return " ".join(unicodedata.normalize("NFC", label).translate(INVISIBLE).split())


def fold_label_settings(config: ValidateConfig) -> ValidateConfig:
    """Fold the labels in the settings as those of the rows are folded.

    Raises:
        ConfigurationError: if two keys of the label map become the same.
    """
    label_map = {
        fold_label(key): None if label is None else fold_label(label) for key, label in config.label_map.items()
    }
    if len(label_map) < len(config.label_map):
        raise ConfigurationError(
            "validate.label_map has keys that differ only in white space or Unicode form; keep one of them."
        )
    labels = None if config.labels is None else [fold_label(label) for label in config.labels]
    return config.model_copy(update={"label_map": label_map, "labels": labels})


def map_labels(table: pd.DataFrame, config: ValidateConfig) -> LabeledTable:
    """Compute the final label of each row of a batch; a row without one keeps null.

    Args:
        table: canonical columns; `rating` if labels come from it, else `label`.
        config: the rating rule or the label map, folded.
    """
    if config.label_from_rating is not None:
        return _labels_from_rating(table, config.label_from_rating)
    labels, folded = fold_labels(table[LABEL])
    renamed = {key: label for key, label in config.label_map.items() if label is not None}
    mapped = labels.map(renamed).fillna(labels) if renamed else labels
    excluded = labels.isin(config.label_map.keys() - renamed.keys())
    rules = _no_rule(table).mask(excluded, LABEL_MAP)
    return LabeledTable(table.assign(**{LABEL: mapped.mask(excluded, None)}), rules, folded)


def fold_labels(labels: pd.Series) -> tuple[pd.Series, tuple[FoldedLabel, ...]]:
    """Fold each label; one without a visible character becomes null. Report the spellings that changed."""
    counts = labels.value_counts()
    changed = {spelling: fold_label(spelling) for spelling in counts.index if spelling != fold_label(spelling)}
    if not changed:
        return labels, ()
    folded = labels.replace({spelling: label or None for spelling, label in changed.items()})
    return folded, tuple(
        FoldedLabel(spelling, label, int(counts[spelling])) for spelling, label in sorted(changed.items()) if label
    )


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
