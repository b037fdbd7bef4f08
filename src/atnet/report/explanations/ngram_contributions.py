"""The words, and runs of two and three words, by which the wide branch decides.

Letters in array names: N texts, F features (the W distinct words, then the distinct runs), O occurrences of them, once
for each text, C labels, K columns of the tables.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from atnet.inference import UNKNOWN_ID, Predictor
from atnet.report.explanations.learned_weights import WideWeights
from atnet.text.ngrams import ngram_tokens, word_ngram_ids

MINIMUM_TEXTS, MINIMUM_SHARE = 3, 0.005
"""What stands in fewer texts is not listed: it is chance which of the rare ones are there."""
LISTED = 5


@dataclass(frozen=True, slots=True)
class Say:
    """What a word or run adds for a label, over the texts that hold it."""

    words: str
    mean: float
    """Logits for the label against the mean of the others, per text."""
    texts: int


@dataclass(frozen=True, slots=True)
class Ngrams:
    """The words and runs of some texts, with what the wide branch says of each.

    What one says in a text is its weight times the scale of its occurrence, to which a word adds its spelling's weight
    times the spelling's scale. Weights are logits for each label against the mean of the others.
    """

    features: list[tuple[int, ...]]
    """Token ids of each feature: one, two or three."""
    weights_FC: np.ndarray
    spelling_WC: np.ndarray
    text_O: np.ndarray
    feature_O: np.ndarray
    scale_O: np.ndarray
    """1 / sqrt(features of the text)."""
    spelling_scale_O: np.ndarray
    """1 / sqrt(character n-grams of the text's words)."""

    @property
    def unknown_F(self) -> NDArray[np.bool_]:
        """Features with an unknown word in them, which stands for many: they cannot be named."""
        return np.array([UNKNOWN_ID in feature for feature in self.features])

    def sums(self, label: int, chosen_O: NDArray[np.bool_]) -> np.ndarray:
        """Add up what each feature says for a label in the chosen occurrences: (F,)."""
        features_O, count, words = self.feature_O[chosen_O], len(self.features), len(self.spelling_WC)
        sums_F: np.ndarray = np.bincount(features_O, self.scale_O[chosen_O], count) * self.weights_FC[:, label]
        scales_F = np.bincount(features_O, self.spelling_scale_O[chosen_O], count)
        sums_F[:words] += scales_F[:words] * self.spelling_WC[:, label]
        return sums_F

    def ranked(self, label: int, rows_N: NDArray[np.bool_], limit: int = LISTED) -> list[tuple[int, float, int]]:
        """List what speaks most for a label in the chosen texts: feature, mean contribution, texts that hold it."""
        chosen_O = rows_N[self.text_O]
        texts_F = np.bincount(self.feature_O[chosen_O], minlength=len(self.features))
        means_F = self.sums(label, chosen_O) / np.maximum(texts_F, 1)
        enough_F = texts_F >= enough_texts(int(rows_N.sum()))
        listed = np.flatnonzero(enough_F & (means_F > 0) & ~self.unknown_F)
        best = listed[np.argsort(-means_F[listed], kind="stable")][:limit]
        return [(int(one), float(means_F[one]), int(texts_F[one])) for one in best]

    def says(self, predictor: Predictor, label: int, rows_N: NDArray[np.bool_], limit: int = LISTED) -> list[Say]:
        """Name what `ranked` lists."""
        found = self.ranked(label, rows_N, limit)
        words = predictor.decode([self.features[feature] for feature, _, _ in found])
        return [Say(name, mean, texts) for name, (_, mean, texts) in zip(words, found, strict=True)]


def count_ngrams(tables: WideWeights, ids: Sequence[Sequence[int]]) -> Ngrams:
    """Find the different words and runs of encoded texts and look up what `WideNgrams` says of each."""
    tokens = np.concatenate([np.asarray(one, np.int64) for one in ids])
    texts = np.repeat(np.arange(len(ids)), [len(one) for one in ids])
    words, word_O, word_texts = _distinct(tokens, texts)
    runs, run_O, run_texts = _distinct(*word_ngram_ids(tokens, texts, tables.longest))
    text_O = np.concatenate([word_texts, run_texts])
    features_N = np.bincount(text_O, minlength=len(ids))
    letters_N = np.bincount(word_texts, tables.letters_V[words][word_O], minlength=len(ids))
    return Ngrams(
        features=[*((word,) for word in words.tolist()), *map(ngram_tokens, runs.tolist())],
        weights_FC=_of_labels(np.concatenate([tables.words_VK[words], tables.of_runs(runs)])),
        spelling_WC=_of_labels(tables.spelling_VK[words]),
        text_O=text_O,
        feature_O=np.concatenate([word_O, len(words) + run_O]),
        scale_O=1 / np.sqrt(features_N)[text_O],
        spelling_scale_O=1 / np.sqrt(np.maximum(letters_N, 1))[text_O],
    )


def enough_texts(texts: int) -> int:
    """Say in how many of some texts a word must stand to be listed."""
    return max(MINIMUM_TEXTS, math.ceil(MINIMUM_SHARE * texts))


def against_mean(says_FC: np.ndarray) -> np.ndarray:
    """Turn what is said for each label into what is said for it against the mean of the others."""
    classes = says_FC.shape[1]
    against: np.ndarray = (says_FC - says_FC.mean(axis=1, keepdims=True)) * classes / (classes - 1)
    return against


def _of_labels(says_FK: np.ndarray) -> np.ndarray:
    """Turn the columns of a table into what is said for each label against the mean of the others."""
    # One column is what speaks for the second of two labels, and against the first.
    return np.concatenate([-says_FK, says_FK], axis=1) if says_FK.shape[1] == 1 else against_mean(says_FK)


def _distinct(values: np.ndarray, texts: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """List the values, and of each occurrence, once for each text, the value's place in the list and the text."""
    known, places = np.unique(values, return_inverse=True)
    found = np.unique(texts * len(known) + places)
    return known, found % len(known), found // len(known)
