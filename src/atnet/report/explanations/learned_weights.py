"""What the network has learned as tables: its word vectors, and the wide branch's words, runs and spelling.

Letters in array names: E words with a vector, D embedding values, V vocabulary entries, R slots for runs, K columns
(one where there are two labels, else one per label).
"""

from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from atnet.storage import reading
from atnet.text.ngrams import NgramHashTable

EMBEDDING, WIDE, BOTH = "layers/word_embedding/vars/0", "layers/wide_ngrams/vars", "layers/blend_logits/vars"
"""Where Keras keeps them in a weights file."""


@dataclass(frozen=True, slots=True)
class WideWeights:
    """What `WideNgrams` holds, its weight beside the network multiplied in."""

    words_VK: np.ndarray
    runs_RK: np.ndarray
    numbers_R: np.ndarray
    """The number of the run that has the slot, -1 for none."""
    spelling_VK: np.ndarray
    """The sum of what a word's character n-grams say."""
    letters_V: np.ndarray
    """The number of those n-grams."""

    @property
    def longest(self) -> int:
        """Words of the longest run."""
        return NgramHashTable(self.numbers_R).max_n

    def of_runs(self, numbers_F: np.ndarray) -> np.ndarray:
        """Give what runs say by their numbers, (F, K); zero for a run that has no slot."""
        slots_F = NgramHashTable(self.numbers_R).slots(numbers_F)
        said: np.ndarray = np.where((slots_F >= 0)[:, None], self.runs_RK[slots_F], 0)
        return said


@dataclass(frozen=True, slots=True)
class LearnedWeights:
    """The tables of one model; None for what it does not have."""

    vectors_ED: np.ndarray | None
    """Of the E most frequent words; the network takes the others for the unknown word."""
    wide: WideWeights | None

    @classmethod
    def load(cls, weights: Path) -> "LearnedWeights":
        """Read a weights file without Keras, which would take ten seconds to load.

        Raises:
            DataFileError: if it is damaged.
        """
        if not weights.exists():
            return cls(None, None)
        with reading(weights, OSError, RuntimeError), h5py.File(weights) as file:
            vectors = np.asarray(file[EMBEDDING]) if EMBEDDING in file else None
            return cls(vectors, _wide(file) if WIDE in file and BOTH in file else None)


def _wide(file: h5py.File) -> WideWeights:
    words, runs, numbers, spelling, letters = (np.asarray(file[WIDE][str(place)]) for place in range(5))
    weight = np.asarray(file[BOTH]["0"])[1]
    return WideWeights(words * weight, runs * weight, numbers, spelling * weight, letters)
