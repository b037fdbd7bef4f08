"""The test texts a reviewer should read: confident errors, uncertain predictions, and a mix to explain.

Letters in array names: N rows, C classes.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from atnet.evaluation.metrics import Floats, Ints, row_blocks
from atnet.evaluation.predictions import SplitPredictions
from atnet.schema import ID, RATING, TEXT

MAX_CHARACTERS = 320
"""Characters shown of a listed text."""
MIN_WORDS = 3
"""In a shorter text the distribution of attention is not informative."""
LONG_QUANTILE = 0.95
"""Length quantile of a long sample; the longest text is often not representative."""


@dataclass(frozen=True, slots=True)
class ListedText:
    """A text with the model's two most probable labels."""

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
    """Texts of one label that were predicted as another."""

    actual: str
    predicted: str
    count: int
    share: float
    """Share of the actual label's texts."""


@dataclass(frozen=True, slots=True)
class Sample:
    """A row and the reason why it was selected."""

    row: int
    why: str


def most_wrong(actual_N: Ints, probabilities_NC: Floats, limit: int) -> list[int]:
    """Return wrongly predicted rows, the most confident first; equally confident ones in row order."""
    wrong_N = probabilities_NC.argmax(axis=1) != actual_N
    order = np.argsort(-probabilities_NC.max(axis=1), kind="stable")
    return [int(row) for row in order[wrong_N[order]][:limit]]


def least_certain(probabilities_NC: Floats, limit: int) -> list[int]:
    """Return the rows with the smallest margin between the two most probable labels, the smallest first."""
    return [int(row) for row in np.argsort(margins(probabilities_NC), kind="stable")[:limit]]


def margins(probabilities_NC: Floats) -> Floats:
    """Compute the difference between the two highest probabilities, shape (N,)."""
    top_two = [np.sort(probabilities_NC[rows], axis=1)[:, -2:] for rows in row_blocks(len(probabilities_NC))]
    return np.concatenate([block[:, 1] - block[:, 0] for block in top_two])


def attention_samples(actual_N: Ints, probabilities_NC: Floats, words_N: Ints, limit: int) -> list[Sample]:
    """Select up to `limit` distinct rows, one of each of five kinds in turn."""
    # At most `limit` candidates of a kind are skipped: those that another kind has already selected.
    candidates = {
        "confident and right": _right_by_class(actual_N, probabilities_NC),
        "confident and wrong": iter(most_wrong(actual_N, probabilities_NC, limit)),
        "uncertain": iter(least_certain(probabilities_NC, limit)),
        "long": _by_distance(words_N, np.quantile(words_N, LONG_QUANTILE), np.ones(len(words_N), dtype=bool)),
        "short": _by_distance(words_N, MIN_WORDS, words_N >= MIN_WORDS),
    }
    order = list(candidates)
    selected: dict[int, str] = {}
    while candidates and len(selected) < limit:
        for reason in list(candidates):
            row = next((row for row in candidates[reason] if row not in selected), None)
            if row is None:
                del candidates[reason]
            elif len(selected) < limit:
                selected[row] = reason
    samples = [Sample(row, reason) for row, reason in selected.items()]
    return sorted(samples, key=lambda sample: order.index(sample.why))


def listed_text(row: int, table: pd.DataFrame, predictions: SplitPredictions) -> ListedText:
    """Collect what the report shows about one row, with its text truncated to a readable length.

    Args:
        row: its position in the test split.
        table: rows of the test split, indexed by their position.
        predictions: of the whole test split.
    """
    values, probability_C = table.loc[row], predictions.probabilities[row]
    # A stable sort, because argmax also returns the first of equally probable labels.
    first, second = np.argsort(-probability_C, kind="stable")[:2].tolist()
    text, rating = str(values[TEXT]), values.get(RATING)
    return ListedText(
        id=str(values[ID]),
        text=text[:MAX_CHARACTERS],
        cut=len(text) > MAX_CHARACTERS,
        actual=predictions.labels[predictions.actual[row]],
        predicted=predictions.labels[first],
        confidence=float(probability_C[first]),
        second=predictions.labels[second],
        second_confidence=float(probability_C[second]),
        rating=None if rating is None or pd.isna(rating) else float(rating),
    )


def confused_pairs(confusion_CC: Ints, labels: Sequence[str], limit: int) -> list[ConfusedPair]:
    """List the off-diagonal cells of the confusion matrix, the largest first; equal ones by class."""
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
    """Yield the most confident correct row of each class in turn, then the second of each, and so on."""
    right_N = probabilities_NC.argmax(axis=1) == actual_N
    order = np.argsort(-probabilities_NC.max(axis=1), kind="stable")
    ranked = [order[right_N[order] & (actual_N[order] == c)] for c in range(probabilities_NC.shape[1])]
    for position in range(max(len(rows) for rows in ranked)):
        yield from (int(rows[position]) for rows in ranked if position < len(rows))


def _by_distance(words_N: Ints, target: float, allowed_N: NDArray[np.bool_]) -> Iterator[int]:
    order = np.argsort(abs(words_N - target), kind="stable")
    yield from (int(row) for row in order[allowed_N[order]])
