"""The tables in a model's weights file: its word vectors, and the n-gram weights of the wide branch.

Letters in array names: E words with a vector, D embedding dimensions, V vocabulary entries, S slots of the n-gram hash
table, K columns (one for two labels, else one per label), F n-grams.
"""

from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from atnet.storage import reading
from atnet.text.ngrams import NgramHashTable

EMBEDDING_PATH = "layers/word_embedding/vars/0"
WIDE_PATH = "layers/wide_ngrams/vars"
BLEND_PATH = "layers/blend_logits/vars"
"""Where Keras stores these layers in a weights file."""


@dataclass(frozen=True, slots=True)
class WideWeights:
    """The weights of the wide branch, multiplied by its blending weight."""

    word_weights_VK: np.ndarray
    ngram_weights_SK: np.ndarray
    ngram_ids_S: np.ndarray
    """Id of the word n-gram in each slot, -1 for an empty one."""
    char_ngram_weights_VK: np.ndarray
    """For each word, the sum of the weights of its character n-grams."""
    char_ngram_counts_V: np.ndarray
    """For each word, how many character n-grams it has."""

    @property
    def max_n(self) -> int:
        """Return the number of words in the longest n-gram."""
        return NgramHashTable(self.ngram_ids_S).max_n

    def ngram_weights(self, ids_F: np.ndarray) -> np.ndarray:
        """Return the weights of word n-grams by their ids, (F, K); zero for one that has no slot."""
        slots_F = NgramHashTable(self.ngram_ids_S).slots(ids_F)
        weights_FK: np.ndarray = np.where((slots_F >= 0)[:, None], self.ngram_weights_SK[slots_F], 0)
        return weights_FK


@dataclass(frozen=True, slots=True)
class LearnedWeights:
    """The tables of one model; None for what it does not have."""

    vectors_ED: np.ndarray | None
    """Vectors of the E most frequent words; to the network, all others are the unknown word."""
    wide: WideWeights | None

    @classmethod
    def load(cls, weights: Path) -> "LearnedWeights":
        """Read a weights file without Keras, which takes ten seconds to import.

        Raises:
            DataFileError: if it is damaged.
        """
        if not weights.exists():
            return cls(None, None)
        with reading(weights, OSError, RuntimeError), h5py.File(weights) as file:
            vectors = np.asarray(file[EMBEDDING_PATH]) if EMBEDDING_PATH in file else None
            return cls(vectors, _wide_weights(file) if WIDE_PATH in file and BLEND_PATH in file else None)


def _wide_weights(file: h5py.File) -> WideWeights:
    words, ngrams, ngram_ids, char_ngrams, char_counts = (np.asarray(file[WIDE_PATH][str(index)]) for index in range(5))
    blend = np.asarray(file[BLEND_PATH]["0"])[1]
    return WideWeights(words * blend, ngrams * blend, ngram_ids, char_ngrams * blend, char_counts)
