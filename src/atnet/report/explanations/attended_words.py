"""The words that get the most attention, and a map of the word vectors.

Letters in array names: W words, E words with a vector, D embedding dimensions, C labels.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from atnet.inference import UNKNOWN_ID, Predictor
from atnet.report.explanations.ngram_contributions import center_on_other_classes, min_texts

ATTENDED_WORDS = 15
MAPPED_WORDS = 150
MIN_MAPPED_WORDS = 3


@dataclass(frozen=True, slots=True)
class AttendedWord:
    """A word with the attention it gets and what it contributes on its own."""

    word: str
    attention_ratio: float
    """Mean over its occurrences of its attention weight times the tokens of the text: 1 is uniform attention."""
    texts: int
    label: str
    """The label to which a text of this word alone contributes most."""
    contribution: float
    """Logits for that label relative to the mean of the other labels and to an unknown word."""


@dataclass(frozen=True, slots=True)
class WordMap:
    """The most frequent words, projected on the first two principal components of their vectors."""

    words: list[str]
    positions_W2: np.ndarray
    explained_variance: tuple[float, float]
    """Share of the vectors' variance along each component."""
    contributions_WC: np.ndarray
    """Logits of a text of each word alone, relative to the mean of the other labels and to an unknown word."""


def attended_words(
    predictor: Predictor, ids: Sequence[Sequence[int]], attention: Sequence[np.ndarray], limit: int = ATTENDED_WORDS
) -> list[AttendedWord]:
    """Rank the words of encoded texts by the attention weights (T,) of each text."""
    tokens = np.concatenate([np.asarray(text, np.int64) for text in ids])
    ratios = np.concatenate([weights * len(weights) for weights in attention])
    counts, sums = np.bincount(tokens), np.bincount(tokens, ratios)
    texts = np.bincount(np.concatenate([np.unique(text) for text in ids]).astype(np.int64), minlength=len(counts))
    candidates = np.flatnonzero(texts >= min_texts(len(ids)))
    candidates = candidates[candidates != UNKNOWN_ID]
    best = candidates[np.argsort(-sums[candidates] / counts[candidates], kind="stable")][:limit].tolist()
    contributions_WC = _single_word_contributions(predictor, best)
    names = predictor.decode([[token] for token in best])
    return [
        AttendedWord(
            word=name,
            attention_ratio=sums[token] / counts[token],
            texts=int(texts[token]),
            label=predictor.labels[contributions_C.argmax()],
            contribution=contributions_C.max(),
        )
        for token, name, contributions_C in zip(best, names, contributions_WC, strict=True)
    ]


def map_words(
    predictor: Predictor, ids: Sequence[Sequence[int]], vectors_ED: np.ndarray, limit: int = MAPPED_WORDS
) -> WordMap | None:
    """Project the most frequent words of encoded texts on a plane; None if there are fewer than three."""
    counts = np.bincount(np.concatenate([np.asarray(text, np.int64) for text in ids]), minlength=len(vectors_ED))
    counts[: UNKNOWN_ID + 1] = 0
    counts[len(vectors_ED) :] = 0
    frequent = [int(token) for token in np.argsort(-counts, kind="stable")[: 2 * limit] if counts[token]]
    named = zip(frequent, predictor.decode([[token] for token in frequent]), strict=True)
    chosen = [(token, name) for token, name in named if any(char.isalpha() for char in name)][:limit]
    if len(chosen) < MIN_MAPPED_WORDS:
        return None
    tokens = [token for token, _ in chosen]
    positions_W2, explained = _principal_components(vectors_ED[tokens].astype(np.float64))
    names = [name for _, name in chosen]
    return WordMap(names, positions_W2, explained, _single_word_contributions(predictor, tokens))


def _principal_components(vectors_WD: np.ndarray) -> tuple[np.ndarray, tuple[float, float]]:
    """Project vectors on their first two principal components, by singular value decomposition."""
    centered = vectors_WD - vectors_WD.mean(axis=0)
    left, singular_values, _ = np.linalg.svd(centered, full_matrices=False)
    positions = left[:, :2] * singular_values[:2]
    # The sign of a component is arbitrary; the point farthest from the center is put on the positive side.
    positions *= np.where(positions[np.abs(positions).argmax(axis=0), [0, 1]] < 0, -1, 1)
    shares = singular_values**2 / max(float((singular_values**2).sum()), 1e-12)
    return positions, (float(shares[0]), float(shares[1]))


def _single_word_contributions(predictor: Predictor, tokens: Sequence[int]) -> np.ndarray:
    logits = predictor.logits([[UNKNOWN_ID], *([token] for token in tokens)]).astype(np.float64)
    return center_on_other_classes(logits[1:] - logits[0])
