"""How faithful a ranking of words is to the model: curves and scores of taking words out and putting them in.

Letters in array names: N texts, S shares of a text's words, C labels.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from atnet.inference import UNKNOWN_ID, softmax

SHARES = np.linspace(0, 1, 21)
"""Of a text's words, at which the curves are measured."""
AOPC_SHARES = np.array([0.01, 0.05, 0.10, 0.20, 0.50])
"""Of a text's words, over which comprehensiveness and sufficiency are averaged (DeYoung et al. 2020)."""

Ids = Sequence[list[int]]
Without = Callable[[list[int], np.ndarray], list[int]]
"""Gives a text without the words that are not kept (T,)."""


@dataclass(frozen=True, slots=True)
class Faithfulness:
    """Scores of a ranking, (N,) each, in probability of the label that the whole text gets."""

    deletion: np.ndarray
    """Area under the curve while the highest-ranked words are taken out first; low is good."""
    insertion: np.ndarray
    """Area under the curve while they are put in first; high is good."""
    comprehensiveness: np.ndarray
    """What is lost without the highest-ranked words, mean over AOPC_SHARES; high is good."""
    sufficiency: np.ndarray
    """What is lost with nothing but them; low is good."""

    @property
    def between(self) -> np.ndarray:
        """The area between both curves."""
        area: np.ndarray = self.insertion - self.deletion
        return area


def removed(ids: list[int], kept: np.ndarray) -> list[int]:
    """Take words out; the others close up."""
    return [token for token, stays in zip(ids, kept, strict=True) if stays] or [UNKNOWN_ID]


def replaced(ids: list[int], kept: np.ndarray) -> list[int]:
    """Put the unknown word where words are taken out, so that the others keep their places."""
    return [token if stays else UNKNOWN_ID for token, stays in zip(ids, kept, strict=True)]


def faithfulness(
    logits: Callable[[Ids], np.ndarray],
    temperature: float,
    ids: Ids,
    scores: Sequence[np.ndarray],
    without: Without = removed,
) -> Faithfulness:
    """Rank each text's words by its scores (T,), highest first, and see what the model says without and with them."""
    best_N = logits(ids).argmax(axis=1)
    variants: dict[tuple[int, ...], int] = {}
    places = [_places(text, score, without, variants) for text, score in zip(ids, scores, strict=True)]
    answers = softmax(logits([list(one) for one in variants]) / temperature)
    found_N = np.array([_score(answers[found, label]) for found, label in zip(places, best_N, strict=True)])
    return Faithfulness(*found_N.T)


def interval(values_N: np.ndarray, rng: np.random.Generator, samples: int = 1000) -> tuple[float, float, float]:
    """Give the mean with its 95 % bootstrap interval over texts."""
    means = values_N[rng.integers(len(values_N), size=(samples, len(values_N)))].mean(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    return float(values_N.mean()), float(low), float(high)


def _places(ids: list[int], scores: np.ndarray, without: Without, variants: dict[tuple[int, ...], int]) -> np.ndarray:
    """Number the variants of a text: deletion curve, insertion curve, without and with the shares of AOPC."""
    rank = np.empty(len(ids), int)
    rank[np.argsort(-np.asarray(scores), kind="stable")] = np.arange(len(ids))
    curve = np.rint(SHARES * len(ids)).astype(int)
    # At least one word, as in ERASER: a share of a short text is less than a word.
    bins = np.ceil(AOPC_SHARES * len(ids)).astype(int)
    kept = [*(rank >= count for count in curve), *(rank < count for count in curve)]
    kept += [*(rank >= count for count in bins), *(rank < count for count in bins)]
    return np.array([variants.setdefault(tuple(without(ids, one)), len(variants)) for one in kept])


def _score(values: np.ndarray) -> tuple[float, float, float, float]:
    """Score one text by the probabilities of its variants, in the order of `_places`."""
    points, bins = len(SHARES), len(AOPC_SHARES)
    deletion, insertion, lost, kept = np.split(values, np.cumsum([points, points, bins]))
    whole = deletion[0]
    return (
        float(np.trapezoid(deletion, SHARES)),
        float(np.trapezoid(insertion, SHARES)),
        float((whole - lost).mean()),
        float((whole - kept).mean()),
    )
