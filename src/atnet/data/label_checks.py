"""Check label settings against each other and against the file, and the labels against what a classifier needs."""

import difflib
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from atnet.config import ColumnsConfig, ValidateConfig
from atnet.errors import ConfigurationError, DataContractError

MAX_LISTED = 10
"""Labels listed in a message."""
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.IGNORECASE)
MISSING_WORDS = frozenset({"na", "n/a", "#n/a", "nan", "none", "null", "nil", "<na>", "\\n", "missing", "-", "?"})
"""Spellings of a missing value in other formats than this file's."""


@dataclass(frozen=True, slots=True)
class LabelOccurrences:
    """Where the final labels of a file occur, those of invalid rows included; without labels of a teacher only."""

    rows: Mapping[str, int]
    """Rows of each label."""
    by_split: Mapping[str, Set[str]]
    """The labels of each official split; empty without a split column."""


def check_label_settings(config: ValidateConfig) -> None:
    """Check that the label settings do not contradict each other.

    Raises:
        ConfigurationError: with the keys that do.
    """
    rule, allowed = config.label_from_rating, config.labels
    if rule is not None and rule.negative == rule.positive:
        raise ConfigurationError("validate.label_from_rating: negative and positive are the same label; set two.")
    if rule is not None and config.label_map:
        raise ConfigurationError(
            "validate.label_map has no effect if label_from_rating is set; set it to {}, or label_from_rating to null."
        )
    if allowed is None:
        return
    if len(set(allowed)) < 2:
        raise ConfigurationError(
            "validate.labels lists fewer than two labels; a classifier needs two. null allows all labels in the data."
        )
    assigned = (
        [rule.negative, rule.positive]
        if rule is not None
        else sorted({label for label in config.label_map.values() if label is not None})
    )
    not_allowed = [label for label in assigned if label not in allowed]
    if not_allowed:
        key = "label_from_rating" if rule is not None else "label_map"
        raise ConfigurationError(f"validate.{key} assigns the label {not_allowed[0]!r}, which validate.labels omits.")


def check_label_source(columns: ColumnsConfig, config: ValidateConfig) -> None:
    """Check that labels come from one place only.

    Raises:
        ConfigurationError: if a label column is set that the rating rule would switch off.
    """
    if config.label_from_rating is not None and columns.label is not None:
        raise ConfigurationError(
            f"validate.label_from_rating makes the labels from the ratings, so data.columns.label ({columns.label}) "
            "would be ignored. Set validate.label_from_rating: null to use the label column, or "
            "data.columns.label: null."
        )


def check_label_map(labels: Mapping[str, int], label_map: Mapping[str, str | None]) -> None:
    """Check that every key of the label map occurs in the file.

    Args:
        labels: rows of each folded label of the file, the most frequent first.
        label_map: the folded map.

    Raises:
        DataContractError: with each key that no row has, and the closest label of the file.
    """
    unmatched = unmatched_keys(labels, label_map)
    if unmatched:
        keys = ", ".join(f"{key!r}{did_you_mean(key, list(labels))}" for key in unmatched)
        raise DataContractError(
            f"validate.label_map: no row has the label {keys}. The labels of the file are {listed_labels(labels)}. "
            "Fix the key, or remove it."
        )


def unmatched_keys(labels: Mapping[str, int], label_map: Mapping[str, str | None]) -> list[str]:
    """Return the keys of the label map that no row has."""
    return [key for key in label_map if key not in labels]


def label_warnings(labels: Mapping[str, int], config: ValidateConfig) -> Iterator[str]:
    """Yield what is probably wrong with the labels, where there are two possible meanings.

    Args:
        labels: rows of each final label, invalid rows included.
        config: the folded settings.
    """
    groups = label_variants(list(labels))
    for group in groups[:MAX_LISTED]:
        group.sort(key=lambda label: -labels[label])
        spellings = ", ".join(f"{label!r} ({labels[label]:,} rows)" for label in group)
        mapping = ", ".join(f"{label!r}: {group[0]!r}" for label in group[1:])
        yield (
            f"the labels {spellings} are probably one label in several spellings. "
            f"If they are, set validate.label_map: {{{mapping}}}."
        )
    if len(groups) > MAX_LISTED:
        yield f"{len(groups) - MAX_LISTED:,} more labels occur in several spellings."
    for label, rows in labels.items():
        if label.casefold() in MISSING_WORDS:
            yield (
                f"{rows:,} rows have the label {label!r}, a word and not a missing value. If they have no label, "
                "empty those cells, or leave the word out of validate.labels."
            )
    if config.labels is None:
        return
    for label in sorted(set(config.labels)):
        if label not in labels:
            yield f"no row has the label {label!r} of validate.labels{did_you_mean(label, list(labels))}."
    if config.label_in_set == "off":
        yield "validate.labels does not restrict the labels, because validate.label_in_set is off."


def label_variants(labels: Sequence[str]) -> list[list[str]]:
    """Return groups of labels that differ only in case, compatibility characters or number form (1, 1.0, 01)."""
    groups: dict[object, list[str]] = defaultdict(list)
    for label in sorted(labels):
        groups[_meaning(label)].append(label)
    return [group for group in groups.values() if len(group) > 1]


def check_labels(path: Path, labels: LabelOccurrences, expected: Sequence[str]) -> None:
    """Check that a file has at least two labels, a row for each, and no label that is missing from train.

    Args:
        path: the data file, for the message.
        labels: of the rows that have one.
        expected: every label that should occur.

    Raises:
        DataContractError: if it does not.
    """
    present = sorted(set(labels.rows).intersection(expected))
    if len(present) < 2:
        description = f"only the label {present[0]!r}" if present else "no row with an allowed label"
        raise DataContractError(
            f"{path} has {description}; a classifier needs two. "
            "Check data.columns, and label_map, label_from_rating and labels under validate in params.yaml."
        )
    labeled = sum(labels.rows.values())
    if labeled < len(expected):
        raise DataContractError(
            f"{path} has {labeled:,} labeled rows for {len(expected):,} labels. Add rows, or use fewer labels."
        )
    _check_labels_of_train(path, labels.by_split)


def did_you_mean(label: str, labels: Sequence[str]) -> str:
    """Return a hint for a message: the label that was probably meant, or nothing."""
    same = [other for other in labels if _meaning(other) == _meaning(label)]
    closest = same or difflib.get_close_matches(label, labels, n=1, cutoff=0.5)
    return f" (did you mean {closest[0]!r}?)" if closest else ""


def listed_labels(counts: Mapping[str, int]) -> str:
    """Return labels with their rows for a message."""
    names = ", ".join(f"{label!r} ({rows:,} rows)" for label, rows in list(counts.items())[:MAX_LISTED])
    return names + (", …" if len(counts) > MAX_LISTED else "")


def _check_labels_of_train(path: Path, by_split: Mapping[str, Set[str]]) -> None:
    for split in ("validation", "test"):
        missing = sorted(by_split.get(split, set()) - by_split.get("train", set()))
        if missing:
            raise DataContractError(
                f"{path}: the label {missing[0]!r} occurs in {split} but never in train. "
                "Move rows with this label to train, or map it to another label with validate.label_map."
            )


def _meaning(label: str) -> object:
    text = unicodedata.normalize("NFKC", label).casefold()
    return Decimal(text).normalize() if NUMBER.fullmatch(text) else text
