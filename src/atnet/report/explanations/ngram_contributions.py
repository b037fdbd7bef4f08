"""What words and word n-grams contribute to the logits through the wide branch.

Letters in array names: N texts, F features (the W distinct words, then the distinct n-grams), O occurrences (one per
feature and text), C labels, K columns of the weight tables.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from atnet.inference import UNKNOWN_ID, Predictor
from atnet.report.explanations.learned_weights import WideWeights
from atnet.text.ngrams import ngram_tokens, word_ngram_ids

MIN_TEXTS, MIN_TEXT_FRACTION = 3, 0.005
"""A feature that occurs in fewer texts is not listed: which of the rare ones occur is chance."""
TOP_FEATURES = 5


@dataclass(frozen=True, slots=True)
class Contribution:
    """What a word or word n-gram contributes to a label, over the texts in which it occurs."""

    ngram: str
    mean: float
    """Mean contribution per text, in logits relative to the mean of the other labels."""
    texts: int


@dataclass(frozen=True, slots=True)
class NgramContributions:
    """The words and word n-grams of some texts, with their weights in the wide branch.

    In a text, a feature contributes its weight times the scale of its occurrence. A word also contributes the weights
    of its character n-grams times their own scale. All weights are relative to the mean of the other labels.
    """

    features: list[tuple[int, ...]]
    """Token ids of each feature: one, two or three."""
    weights_FC: np.ndarray
    char_weights_WC: np.ndarray
    text_O: np.ndarray
    feature_O: np.ndarray
    scale_O: np.ndarray
    """1 / sqrt(features of the text)."""
    char_scale_O: np.ndarray
    """1 / sqrt(character n-grams of the text's words)."""

    @property
    def has_unknown_F(self) -> NDArray[np.bool_]:
        """Return which features contain an unknown word; it represents many words, so they cannot be named."""
        return np.array([UNKNOWN_ID in feature for feature in self.features])

    def totals(self, label: int, chosen_O: NDArray[np.bool_]) -> np.ndarray:
        """Sum each feature's contributions to a label over the chosen occurrences: (F,)."""
        features_O, features, words = self.feature_O[chosen_O], len(self.features), len(self.char_weights_WC)
        total_F: np.ndarray = np.bincount(features_O, self.scale_O[chosen_O], features) * self.weights_FC[:, label]
        char_scale_F = np.bincount(features_O, self.char_scale_O[chosen_O], features)
        total_F[:words] += char_scale_F[:words] * self.char_weights_WC[:, label]
        return total_F

    def top(
        self, predictor: Predictor, label: int, rows_N: NDArray[np.bool_], limit: int = TOP_FEATURES
    ) -> list[Contribution]:
        """List the features with the largest positive mean contribution to a label in the chosen texts."""
        chosen_O = rows_N[self.text_O]
        texts_F = np.bincount(self.feature_O[chosen_O], minlength=len(self.features))
        means_F = self.totals(label, chosen_O) / np.maximum(texts_F, 1)
        frequent_F = texts_F >= min_texts(int(rows_N.sum()))
        candidates = np.flatnonzero(frequent_F & (means_F > 0) & ~self.has_unknown_F)
        best = candidates[np.argsort(-means_F[candidates], kind="stable")][:limit].tolist()
        names = predictor.decode([self.features[feature] for feature in best])
        return [
            Contribution(name, float(means_F[feature]), int(texts_F[feature]))
            for name, feature in zip(names, best, strict=True)
        ]


def ngram_contributions(weights: WideWeights, ids: Sequence[Sequence[int]]) -> NgramContributions:
    """Collect the distinct words and word n-grams of encoded texts and look up their weights."""
    tokens = np.concatenate([np.asarray(text, np.int64) for text in ids])
    texts = np.repeat(np.arange(len(ids)), [len(text) for text in ids])
    words, word_O, word_texts = _distinct_per_text(tokens, texts)
    ngrams, ngram_O, ngram_texts = _distinct_per_text(*word_ngram_ids(tokens, texts, weights.max_n))
    text_O = np.concatenate([word_texts, ngram_texts])
    features_N = np.bincount(text_O, minlength=len(ids))
    char_ngrams_N = np.bincount(word_texts, weights.char_ngram_counts_V[words][word_O], minlength=len(ids))
    weights_FK = np.concatenate([weights.word_weights_VK[words], weights.ngram_weights(ngrams)])
    return NgramContributions(
        features=[*((word,) for word in words.tolist()), *map(ngram_tokens, ngrams.tolist())],
        weights_FC=_per_label(weights_FK),
        char_weights_WC=_per_label(weights.char_ngram_weights_VK[words]),
        text_O=text_O,
        feature_O=np.concatenate([word_O, len(words) + ngram_O]),
        scale_O=1 / np.sqrt(features_N)[text_O],
        char_scale_O=1 / np.sqrt(np.maximum(char_ngrams_N, 1))[text_O],
    )


def min_texts(texts: int) -> int:
    """Return in how many of some texts a feature must occur to be listed."""
    return max(MIN_TEXTS, math.ceil(MIN_TEXT_FRACTION * texts))


def center_on_other_classes(logits_FC: np.ndarray) -> np.ndarray:
    """Subtract from each label's logits the mean of the other labels' logits."""
    classes = logits_FC.shape[1]
    centered: np.ndarray = (logits_FC - logits_FC.mean(axis=1, keepdims=True)) * classes / (classes - 1)
    return centered


def _per_label(weights_FK: np.ndarray) -> np.ndarray:
    # A single column is the weight for the second of two labels, and against the first.
    if weights_FK.shape[1] == 1:
        return np.concatenate([-weights_FK, weights_FK], axis=1)
    return center_on_other_classes(weights_FK)


def _distinct_per_text(values: np.ndarray, texts: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the distinct values, and for each occurrence, one per value and text, its value's index and its text."""
    distinct, indices = np.unique(values, return_inverse=True)
    occurrences = np.unique(texts * len(distinct) + indices)
    return distinct, occurrences % len(distinct), occurrences // len(distinct)
