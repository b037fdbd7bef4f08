"""Which test texts a reviewer should read: the most wrong, the most unsure, and a mix to look at attention.

Letters in array names: N rows, C classes.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from atnet.evaluation.metrics import Floats, Ints
from atnet.evaluation.predictions import SplitPredictions
from atnet.schema import ID, RATING, TEXT

SHOWN_CHARACTERS = 320
"""Of a listed text; the rest is cut off."""
SHORTEST_WORDS = 3
"""A shorter text says nothing about where attention went."""
LONG_QUANTILE = 0.95
"""Length of a long sample; the longest of all is often not a normal text."""


@dataclass(frozen=True, slots=True)
class ListedText:
    """A text with the model's two best labels."""

    id: str
    text: str
    cut: bool
    actual: str
    predicted: str
    confidence: float
    second: str
    second_confidence: float
    rating: float | None


@dataclass(frozen=True, slots=True)
class ConfusedPair:
    """Texts of one label that were given another."""

    actual: str
    predicted: str
    count: int
    share: float
    """Of the actual label's texts."""


@dataclass(frozen=True, slots=True)
class Sample:
    """A row and why it was chosen."""

    row: int
    why: str


def most_wrong(actual_N: Ints, probabilities_NC: Floats, limit: int) -> list[int]:
    """Rows with a wrong label, the surest first; equally sure ones in the rows' order."""
    wrong_N = probabilities_NC.argmax(axis=1) != actual_N
    order = np.argsort(-probabilities_NC.max(axis=1), kind="stable")
    return [int(row) for row in order[wrong_N[order]][:limit]]


def most_unsure(probabilities_NC: Floats, limit: int) -> list[int]:
    """Rows whose two best labels are closest, the closest first."""
    return [int(row) for row in np.argsort(margins(probabilities_NC), kind="stable")[:limit]]


def margins(probabilities_NC: Floats) -> Floats:
    """Distance between the two highest probabilities, shape (N,)."""
    two = np.sort(probabilities_NC, axis=1)[:, -2:]
    return np.asarray(two[:, 1] - two[:, 0])


def attention_samples(actual_N: Ints, probabilities_NC: Floats, words_N: Ints, limit: int) -> list[Sample]:
    """Take rows of five kinds in turn until there are `limit`, none twice."""
    kinds = {
        "sure and right": _right_by_class(actual_N, probabilities_NC),
        "sure and wrong": iter(most_wrong(actual_N, probabilities_NC, len(actual_N))),
        "unsure": iter(most_unsure(probabilities_NC, len(actual_N))),
        "long": _by_distance(words_N, np.quantile(words_N, LONG_QUANTILE), np.ones(len(words_N), dtype=bool)),
        "short": _by_distance(words_N, SHORTEST_WORDS, words_N >= SHORTEST_WORDS),
    }
    chosen: dict[int, str] = {}
    while kinds and len(chosen) < limit:
        for why in list(kinds):
            row = next((row for row in kinds[why] if row not in chosen), None)
            if row is None:
                del kinds[why]
            elif len(chosen) < limit:
                chosen[row] = why
    order = ("sure and right", "sure and wrong", "unsure", "long", "short")
    return sorted((Sample(row, why) for row, why in chosen.items()), key=lambda sample: order.index(sample.why))


def listed_text(row: int, table: pd.DataFrame, answers: SplitPredictions) -> ListedText:
    """Gather what is told about one row, its text cut to a readable length."""
    found, probability_C = table.iloc[row], answers.probabilities[row]
    # Not [-2]: equally probable labels must come in the order in which argmax takes them.
    first, second = np.argsort(-probability_C, kind="stable")[:2].tolist()
    text, rating = str(found[TEXT]), found.get(RATING)
    return ListedText(
        id=str(found[ID]),
        text=text[:SHOWN_CHARACTERS],
        cut=len(text) > SHOWN_CHARACTERS,
        actual=answers.labels[answers.actual[row]],
        predicted=answers.labels[first],
        confidence=float(probability_C[first]),
        second=answers.labels[second],
        second_confidence=float(probability_C[second]),
        rating=None if rating is None or pd.isna(rating) else float(rating),
    )


def confused_pairs(confusion_CC: Ints, labels: Sequence[str], limit: int) -> list[ConfusedPair]:
    """Name the wrong cells of the confusion matrix, the fullest first; equally full ones by class."""
    support_C = confusion_CC.sum(axis=1)
    cells = [
        (-int(count), actual, predicted)
        for (actual, predicted), count in np.ndenumerate(confusion_CC)
        if actual != predicted and count > 0
    ]
    return [
        ConfusedPair(labels[actual], labels[predicted], -count, -count / int(support_C[actual]))
        for count, actual, predicted in sorted(cells)[:limit]
    ]


def _right_by_class(actual_N: Ints, probabilities_NC: Floats) -> Iterator[int]:
    """Give the surest right row of each class in turn, then the second surest of each."""
    right_N = probabilities_NC.argmax(axis=1) == actual_N
    order = np.argsort(-probabilities_NC.max(axis=1), kind="stable")
    ranked = [order[right_N[order] & (actual_N[order] == c)] for c in range(probabilities_NC.shape[1])]
    for place in range(max(len(rows) for rows in ranked)):
        yield from (int(rows[place]) for rows in ranked if place < len(rows))


def _by_distance(words_N: Ints, target: float, allowed_N: NDArray[np.bool_]) -> Iterator[int]:
    order = np.argsort(abs(words_N - target), kind="stable")
    yield from (int(row) for row in order[allowed_N[order]])
