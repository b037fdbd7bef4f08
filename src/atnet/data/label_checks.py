"""Check label settings against each other, and the labels of a table against what a classifier needs."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from atnet.config import ValidateConfig
from atnet.errors import ConfigurationError, DataContractError
from atnet.schema import LABEL, SPLIT


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
            "validate.label_map has no effect beside label_from_rating; set it to {}, or label_from_rating to null."
        )
    if allowed is None:
        return
    if len(set(allowed)) < 2:
        raise ConfigurationError(
            "validate.labels lists fewer than two labels; a classifier needs two. null allows all labels in the data."
        )
    assigned = [rule.negative, rule.positive] if rule is not None else sorted(set(config.label_map.values()))
    not_allowed = [label for label in assigned if label not in allowed]
    if not_allowed:
        key = "label_from_rating" if rule is not None else "label_map"
        raise ConfigurationError(f"validate.{key} assigns the label {not_allowed[0]!r}, which validate.labels omits.")


def check_labels(path: Path, labeled: pd.DataFrame, expected: Sequence[str]) -> None:
    """Check that a table has at least two labels, a row for each, and no label that is missing from train.

    Args:
        path: the data file, for the message.
        labeled: the rows that have a label.
        expected: every label that should occur.

    Raises:
        DataContractError: if it does not.
    """
    present = sorted(set(labeled[LABEL]).intersection(expected))
    if len(present) < 2:
        labels = f"only the label {present[0]!r}" if present else "no row with an allowed label"
        raise DataContractError(
            f"{path} has {labels}; a classifier needs two. "
            "Check data.columns, and label_map, label_from_rating and labels under validate in params.yaml."
        )
    if len(labeled) < len(expected):
        raise DataContractError(
            f"{path} has {len(labeled):,} labeled rows for {len(expected):,} labels. Add rows, or use fewer labels."
        )
    if SPLIT in labeled:
        _check_labels_of_train(path, labeled)


def _check_labels_of_train(path: Path, labeled: pd.DataFrame) -> None:
    in_train = set(labeled.loc[labeled[SPLIT] == "train", LABEL])
    for split in ("validation", "test"):
        missing = sorted(set(labeled.loc[labeled[SPLIT] == split, LABEL]) - in_train)
        if missing:
            raise DataContractError(
                f"{path}: the label {missing[0]!r} occurs in {split} but never in train. "
                "Move rows with this label to train, or map it to another label with validate.label_map."
            )
