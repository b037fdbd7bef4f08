"""The words a model looks at most, and a map of its word vectors.

Letters in array names: W words, E words with a vector, D embedding values, C labels.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from atnet.inference import UNKNOWN_ID, Predictor
from atnet.report.explanations.ngram_contributions import against_mean, enough_texts

ATTENDED_WORDS = 15
MAPPED_WORDS = 150


@dataclass(frozen=True, slots=True)
class AttendedWord:
    """A word that gets more attention than an equal share."""

    word: str
    ratio: float
    """Mean over its occurrences of the attention it got times the tokens of the text: 1 is an equal share."""
    texts: int
    label: str
    """For which the network speaks most when the word stands alone."""
    says: float
    """How much: logits against the mean of the other labels, more than for an unknown word."""


@dataclass(frozen=True, slots=True)
class WordMap:
    """The most frequent words in the plane in which their vectors differ most."""

    words: list[str]
    places_W2: np.ndarray
    explained: tuple[float, float]
    """Share of the vectors' variance along both directions."""
    says_WC: np.ndarray
    """What the network says of each word alone, for each label against the mean of the others."""


def attended_words(
    predictor: Predictor, ids: Sequence[Sequence[int]], attention: Sequence[np.ndarray], limit: int = ATTENDED_WORDS
) -> list[AttendedWord]:
    """Rank the words of encoded texts by the attention (T,) they got in each."""
    tokens = np.concatenate([np.asarray(one, np.int64) for one in ids])
    ratios = np.concatenate([weights * len(weights) for weights in attention])
    counts, sums = np.bincount(tokens), np.bincount(tokens, ratios)
    holding = np.bincount(np.concatenate([np.unique(one) for one in ids]).astype(np.int64), minlength=len(counts))
    listed = np.flatnonzero(holding >= enough_texts(len(ids)))
    listed = listed[listed != UNKNOWN_ID]
    best = listed[np.argsort(-sums[listed] / counts[listed], kind="stable")][:limit].tolist()
    says_WC = _said_alone(predictor, best)
    names = predictor.decode([[token] for token in best])
    return [
        AttendedWord(
            name, sums[token] / counts[token], int(holding[token]), predictor.labels[says.argmax()], says.max()
        )
        for token, name, says in zip(best, names, says_WC, strict=True)
    ]


def map_words(
    predictor: Predictor, ids: Sequence[Sequence[int]], vectors_ED: np.ndarray, limit: int = MAPPED_WORDS
) -> WordMap | None:
    """Lay the most frequent words of encoded texts out by their vectors; None for fewer than three.

    Principal components of the centred vectors, by singular values.
    """
    counts = np.bincount(np.concatenate([np.asarray(one, np.int64) for one in ids]), minlength=len(vectors_ED))
    counts[: UNKNOWN_ID + 1] = 0
    counts[len(vectors_ED) :] = 0
    frequent = [int(token) for token in np.argsort(-counts, kind="stable")[: 2 * limit] if counts[token]]
    named = zip(frequent, predictor.decode([[token] for token in frequent]), strict=True)
    chosen = [(token, name) for token, name in named if any(sign.isalpha() for sign in name)][:limit]
    if len(chosen) < 3:
        return None
    tokens = [token for token, _ in chosen]
    places_W2, explained = _plane(vectors_ED[tokens].astype(np.float64))
    return WordMap([name for _, name in chosen], places_W2, explained, _said_alone(predictor, tokens))


def _plane(vectors_WD: np.ndarray) -> tuple[np.ndarray, tuple[float, float]]:
    centred = vectors_WD - vectors_WD.mean(axis=0)
    left, sizes, _ = np.linalg.svd(centred, full_matrices=False)
    places = left[:, :2] * sizes[:2]
    # The sign of a direction is free; the point that lies farthest out is put on the positive side.
    places *= np.where(places[np.abs(places).argmax(axis=0), [0, 1]] < 0, -1, 1)
    shares = sizes**2 / max(float((sizes**2).sum()), 1e-12)
    return places, (float(shares[0]), float(shares[1]))


def _said_alone(predictor: Predictor, tokens: Sequence[int]) -> np.ndarray:
    logits = predictor.logits([[UNKNOWN_ID], *([token] for token in tokens)]).astype(np.float64)
    return against_mean(logits[1:] - logits[0])
