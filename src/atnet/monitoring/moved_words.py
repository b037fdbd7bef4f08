"""The words whose frequency differs most between window and reference."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

WORD = re.compile(r"\w+|[^\w\s]+")
MIN_TEXTS = 3
"""Texts that a word must occur in, window and reference together."""


@dataclass(frozen=True, slots=True)
class MovedWord:
    """A word and the share of texts in which it occurs."""

    word: str
    window: float
    reference: float
    z: float
    """Difference of the shares in standard errors; above 0: more frequent in the window."""


def moved_words(window: Sequence[str], reference: Sequence[str], count: int) -> list[MovedWord]:
    """List the words with the largest differences, in either direction.

    The words were selected for their difference, so z is not a test; it only ranks them.
    """
    inside, outside = _texts_with(window), _texts_with(reference)
    moved = [
        _moved(word, inside[word] / len(window), outside[word] / len(reference), len(window), len(reference))
        for word in inside.keys() | outside.keys()
        if inside[word] + outside[word] >= MIN_TEXTS
    ]
    return sorted(moved, key=lambda moved_word: (-abs(moved_word.z), moved_word.word))[:count]


def _texts_with(texts: Sequence[str]) -> Counter[str]:
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(set(WORD.findall(text.lower())))
    return counts


def _moved(word: str, window: float, reference: float, window_texts: int, reference_texts: int) -> MovedWord:
    pooled = (window * window_texts + reference * reference_texts) / (window_texts + reference_texts)
    error = float(np.sqrt(pooled * (1 - pooled) * (1 / window_texts + 1 / reference_texts)))
    return MovedWord(word, window, reference, (window - reference) / error if error > 0 else 0.0)
