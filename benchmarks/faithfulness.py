"""How faithful a ranking of words is to the model: deletion and insertion curves, comprehensiveness, sufficiency.

Letters in array names: N texts, F fractions of a text's words, C labels.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from atnet.inference import UNKNOWN_ID, softmax

FRACTIONS = np.linspace(0, 1, 21)
"""Fractions of a text's words at which the curves are measured."""
AOPC_FRACTIONS = np.array([0.01, 0.05, 0.10, 0.20, 0.50])
"""Fractions of a text's words over which comprehensiveness and sufficiency are averaged (DeYoung et al. 2020)."""

Ids = Sequence[list[int]]
Removal = Callable[[list[int], np.ndarray], list[int]]
"""Returns a text without the words that are not kept (T,)."""


@dataclass(frozen=True, slots=True)
class Faithfulness:
    """Scores of a ranking, (N,) each, in probability of the label predicted for the whole text."""

    deletion: np.ndarray
    """Area under the curve while the highest-ranked words are deleted first; low is good."""
    insertion: np.ndarray
    """Area under the curve while they are inserted first; high is good."""
    comprehensiveness: np.ndarray
    """Probability lost without the highest-ranked words, mean over AOPC_FRACTIONS; high is good."""
    sufficiency: np.ndarray
    """Probability lost with nothing but them; low is good."""

    @property
    def area_between(self) -> np.ndarray:
        """Return the area between the two curves."""
        area: np.ndarray = self.insertion - self.deletion
        return area


def removed(ids: list[int], keep: np.ndarray) -> list[int]:
    """Delete the words whose mask (T,) is false."""
    return [token for token, is_kept in zip(ids, keep, strict=True) if is_kept] or [UNKNOWN_ID]


def replaced(ids: list[int], keep: np.ndarray) -> list[int]:
    """Replace the words whose mask (T,) is false by the unknown word, so that the others keep their positions."""
    return [token if is_kept else UNKNOWN_ID for token, is_kept in zip(ids, keep, strict=True)]


def faithfulness(
    logits: Callable[[Ids], np.ndarray],
    temperature: float,
    ids: Ids,
    scores: Sequence[np.ndarray],
    removal: Removal = removed,
) -> Faithfulness:
    """Rank each text's words by its scores (T,), highest first; predict without the first words, and with only them."""
    best_N = logits(ids).argmax(axis=1)
    variants: dict[tuple[int, ...], int] = {}
    numbers = [_variant_numbers(text, score, removal, variants) for text, score in zip(ids, scores, strict=True)]
    probabilities = softmax(logits([list(variant) for variant in variants]) / temperature)
    scores_N = np.array([_score(probabilities[rows, label]) for rows, label in zip(numbers, best_N, strict=True)])
    return Faithfulness(*scores_N.T)


def interval(values_N: np.ndarray, rng: np.random.Generator, samples: int = 1000) -> tuple[float, float, float]:
    """Return the mean with its 95 % bootstrap interval over texts."""
    means = values_N[rng.integers(len(values_N), size=(samples, len(values_N)))].mean(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    return float(values_N.mean()), float(low), float(high)


def _variant_numbers(
    ids: list[int], scores: np.ndarray, removal: Removal, variants: dict[tuple[int, ...], int]
) -> np.ndarray:
    """Assign numbers to a text's variants: deletion curve, insertion curve, without and with the AOPC fractions."""
    rank = np.empty(len(ids), int)
    rank[np.argsort(-np.asarray(scores), kind="stable")] = np.arange(len(ids))
    curve = np.rint(FRACTIONS * len(ids)).astype(int)
    # At least one word, as in ERASER: a fraction of a short text is less than a word.
    bins = np.ceil(AOPC_FRACTIONS * len(ids)).astype(int)
    masks = [*(rank >= count for count in curve), *(rank < count for count in curve)]
    masks += [*(rank >= count for count in bins), *(rank < count for count in bins)]
    return np.array([variants.setdefault(tuple(removal(ids, mask)), len(variants)) for mask in masks])


def _score(values: np.ndarray) -> tuple[float, float, float, float]:
    """Score one text by the probabilities of its variants, in the order of `_variant_numbers`."""
    points, bins = len(FRACTIONS), len(AOPC_FRACTIONS)
    deletion, insertion, without, only = np.split(values, np.cumsum([points, points, bins]))
    whole = deletion[0]
    return (
        float(np.trapezoid(deletion, FRACTIONS)),
        float(np.trapezoid(insertion, FRACTIONS)),
        float((whole - without).mean()),
        float((whole - only).mean()),
    )
