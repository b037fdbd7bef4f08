"""Selective accuracy: how many texts a model with a reject option answers, and how many of the answers are right.

Letters in array names: N rows, B resamples.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from atnet.evaluation.bootstrap import Interval, interval
from atnet.evaluation.metrics import Floats, Ints, safe_divide


@dataclass(frozen=True, slots=True)
class RejectOption:
    """The confidence below which a model abstains, as stored in its inference configuration."""

    target_accuracy: float
    min_confidence: float

    @classmethod
    def of_config(cls, inference_config: Mapping[str, Any]) -> "RejectOption | None":
        """Return the reject option of a model's inference_config.json; None if it answers every text."""
        option = inference_config.get("reject_option")
        return None if option is None else cls(float(option["target_accuracy"]), float(option["min_confidence"]))


@dataclass(frozen=True, slots=True)
class SelectiveScores:
    """Scores of a model that answers only where it is confident enough."""

    option: RejectOption
    rows: int
    answered: int
    right: int
    """Right answers."""
    coverage: Interval
    """Share of the rows that are answered."""
    accuracy: Interval
    """Share of the answers that are right; NaN without an answer."""


def selective_scores(
    actual_N: Ints,
    probabilities_NC: Floats,
    option: RejectOption,
    *,
    samples: int,
    confidence: float,
    rng: np.random.Generator,
) -> SelectiveScores:
    """Compute coverage and accuracy of the answers, each with its bootstrap interval."""
    answered_N = probabilities_NC.max(axis=1) >= option.min_confidence
    right_N = answered_N & (probabilities_NC.argmax(axis=1) == actual_N)
    rows, answered, right = len(actual_N), int(answered_N.sum()), int(right_N.sum())
    # Drawing rows with replacement is equivalent to drawing how many are right, wrong and not answered.
    draws_B3 = rng.multinomial(rows, np.array([right, answered - right, rows - answered]) / rows, size=samples)
    answered_B = draws_B3[:, :2].sum(axis=1)
    accuracy_B = np.where(answered_B > 0, safe_divide(draws_B3[:, 0], answered_B), np.nan)
    return SelectiveScores(
        option=option,
        rows=rows,
        answered=answered,
        right=right,
        coverage=interval(answered / rows, answered_B / rows, confidence),
        accuracy=interval(right / answered if answered else np.nan, accuracy_B, confidence),
    )
