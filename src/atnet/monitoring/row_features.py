"""The features by which two samples of texts are compared: one row of numbers per text.

Letters in array names: N texts, F hashed n-grams, P pooled features, C labels.
"""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
from sklearn.feature_extraction.text import HashingVectorizer

from atnet.inference import UNKNOWN_ID, softmax

TEXTS_AT_ONCE = 8192
"""Texts encoded at a time: an encoding takes far more memory than its ids."""
WORD_BUCKETS = CHARACTER_BUCKETS = 2**18
# Punctuation counts as words: emoticons, @ and # differ most between sources.
WORDS = HashingVectorizer(
    ngram_range=(1, 2),
    token_pattern=r"(?u)\w+|[^\w\s]+",
    n_features=WORD_BUCKETS,
    alternate_sign=False,
    binary=True,
    norm=None,
)
CHARACTERS = HashingVectorizer(
    analyzer="char_wb",
    ngram_range=(2, 4),
    n_features=CHARACTER_BUCKETS,
    alternate_sign=False,
    binary=True,
    norm=None,
)


@dataclass(frozen=True, slots=True)
class RowFeatures:
    """Features of N texts; those that need the text itself are None if only the predictions were logged."""

    ngrams: sp.csr_matrix | None
    """(N, F) 1 where an n-gram occurs in a text; the first WORD_BUCKETS columns are word n-grams, the others character
    n-grams."""
    pooled: np.ndarray | None
    """(N, P) pooled features of the network."""
    probabilities: np.ndarray
    """(N, C) in the order of the model's labels."""
    unknown: np.ndarray
    """(N,) share of the tokens that are not in the vocabulary."""
    tokens: np.ndarray
    """(N,) length in tokens."""

    def __len__(self) -> int:
        return len(self.tokens)

    def take(self, rows: np.ndarray) -> "RowFeatures":
        """Return the features of some rows, in their order."""
        return RowFeatures(
            ngrams=None if self.ngrams is None else self.ngrams[rows],
            pooled=None if self.pooled is None else self.pooled[rows],
            probabilities=self.probabilities[rows],
            unknown=self.unknown[rows],
            tokens=self.tokens[rows],
        )


def text_features(texts: Sequence[str], predictor: Any) -> RowFeatures:
    """Compute all features of texts with a `Predictor`."""
    ids = predictor.encode(texts)
    # The inference code of a version that was published long ago may not compute them.
    pooled = predictor.pooled(ids) if len(texts) and hasattr(predictor, "pooled") else None
    return RowFeatures(hash_ngrams(texts), pooled, _probabilities(ids, predictor), *_token_features(ids))


def prediction_features(texts: Sequence[str], predictor: Any) -> RowFeatures:
    """Compute only probabilities, lengths and unknown words, in parts, so that many texts need little memory."""
    parts = [
        _part(texts[start : start + TEXTS_AT_ONCE], predictor) for start in range(0, max(len(texts), 1), TEXTS_AT_ONCE)
    ]
    return functools.reduce(concatenate, parts)


def concatenate(first: RowFeatures, second: RowFeatures) -> RowFeatures:
    """Return the rows of the first, then those of the second; features that one of them lacks are omitted."""
    has_ngrams = first.ngrams is not None and second.ngrams is not None
    has_pooled = first.pooled is not None and second.pooled is not None
    return RowFeatures(
        ngrams=sp.vstack([first.ngrams, second.ngrams], format="csr") if has_ngrams else None,
        pooled=np.concatenate([first.pooled, second.pooled]) if has_pooled else None,
        probabilities=np.concatenate([first.probabilities, second.probabilities]),
        unknown=np.concatenate([first.unknown, second.unknown]),
        tokens=np.concatenate([first.tokens, second.tokens]),
    )


def hash_ngrams(texts: Sequence[str]) -> sp.csr_matrix:
    """Mark which word (1, 2) and character (2 to 4) n-grams occur in each text, (N, F) float64."""
    return sp.hstack([WORDS.transform(texts), CHARACTERS.transform(texts)], format="csr")


def _part(texts: Sequence[str], predictor: Any) -> RowFeatures:
    ids = predictor.encode(texts)
    return RowFeatures(None, None, _probabilities(ids, predictor), *_token_features(ids))


def _probabilities(ids: Sequence[Sequence[int]], predictor: Any) -> np.ndarray:
    """Compute (N, C) calibrated probabilities, as `Predictor.predict` does."""
    return softmax(predictor.logits(ids) / predictor.temperature)


def _token_features(ids: Sequence[Sequence[int]]) -> tuple[np.ndarray, np.ndarray]:
    """Return the share of unknown tokens and the length of each text."""
    unknown = [sum(token == UNKNOWN_ID for token in tokens) / len(tokens) for tokens in ids]
    return np.array(unknown, dtype=np.float64), np.array([len(tokens) for tokens in ids], dtype=np.int64)
