"""The features of the wide branch: words, pairs of neighbours, and the character n-grams that words are spelt with.

Shapes: N texts, V vocabulary entries, P slots for pairs, G character n-grams, K columns (see `answer_columns`).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sparse

from atnet.dataset import EncodedSplit

PAIR_FACTOR = 1_000_003
"""A prime above every vocabulary size, so that different pairs have different numbers."""
SHORTEST_GRAM, LONGEST_GRAM = 2, 5
"""Characters of the n-grams; the space on either side of a word counts as one."""
FEWEST_TEXTS = 2
"""Texts that a word, pair or n-gram must stand in to have a weight of its own."""
SLOTS_PER_PAIR = 4
LARGEST_TABLE = 2**23
"""Values a table may hold, 32 MiB: with many classes fewer pairs have a place."""
FEWEST_SLOTS = 2**10
RESERVED = 2
"""Padding and the unknown word, which are spelt with nothing."""


@dataclass(frozen=True, slots=True)
class PairSlots:
    """A place for each frequent pair; of several that fall on one slot the most frequent has it."""

    numbers: np.ndarray
    """(P,) int64, the number of the pair that has the slot, -1 where it is empty."""

    def __len__(self) -> int:
        return len(self.numbers)

    def of(self, numbers: np.ndarray) -> np.ndarray:
        """Give the slot of each pair number, -1 for a pair that has none."""
        slots = numbers % len(self)
        return np.where(self.numbers[slots] == numbers, slots, -1)


def pair_slots(split: EncodedSplit, columns: int) -> PairSlots:
    """Lay out the slots for the pairs of a split: a power of two, four for each pair where the table allows it."""
    known, texts_of = np.unique(_distinct(*_pairs(split))[0], return_counts=True)
    known, texts_of = known[texts_of >= FEWEST_TEXTS], texts_of[texts_of >= FEWEST_TEXTS]
    wanted = math.ceil(math.log2(max(SLOTS_PER_PAIR * len(known), FEWEST_SLOTS)))
    allowed = math.floor(math.log2(max(LARGEST_TABLE // columns, FEWEST_SLOTS)))
    table = np.full(1 << min(wanted, allowed), -1, np.int64)
    rarest_first = np.argsort(texts_of, kind="stable")
    table[known[rarest_first] % len(table)] = known[rarest_first]
    return PairSlots(table)


def present_ngrams(split: EncodedSplit, vocabulary_size: int, slots: PairSlots) -> sparse.csr_array:
    """Mark which words and pairs stand in each text: (N, V + P) of ones."""
    numbers, pair_texts = _pairs(split)
    places = slots.of(numbers)
    found = places >= 0
    tokens, texts = _tokens(split)
    features, texts = _distinct(
        np.concatenate([tokens, vocabulary_size + places[found]]), np.concatenate([texts, pair_texts[found]])
    )
    shape = (len(split), vocabulary_size + len(slots))
    return sparse.csr_array((np.ones(len(texts), np.float32), (texts, features)), shape=shape)


def distinct_ngrams(split: EncodedSplit) -> np.ndarray:
    """Count the different words and pairs of each text, whether they have a weight or not: (N,) float32."""
    counts = np.zeros(len(split), np.int64)
    for values, texts in (_tokens(split), _pairs(split)):
        counts += np.bincount(_distinct(values, texts)[1], minlength=len(split))
    return counts.astype(np.float32)


def spelling(words: Sequence[str]) -> sparse.csr_array:
    """Say which character n-grams each word of the vocabulary is spelt with: (V, G) of ones."""
    known: dict[str, int] = {}
    rows, columns = [], []
    for row, word in enumerate(words[RESERVED:], start=RESERVED):
        for gram in character_ngrams(word):
            rows.append(row)
            columns.append(known.setdefault(gram, len(known)))
    ones = np.ones(len(rows), np.float32)
    return sparse.csr_array((ones, (rows, columns)), shape=(len(words), max(len(known), 1)))


def character_ngrams(word: str) -> list[str]:
    """Give the different n-grams of a word between two spaces, in the order of their first standing."""
    spaced = f" {word} "
    lengths = range(SHORTEST_GRAM, LONGEST_GRAM + 1)
    grams = (spaced[start : start + length] for length in lengths for start in range(len(spaced) - length + 1))
    return list(dict.fromkeys(grams))


def answer_columns(classes: int) -> int:
    """Columns of a weight: one for two classes, where it speaks for the second, else one per class."""
    return 1 if classes == 2 else classes


def _tokens(split: EncodedSplit) -> tuple[np.ndarray, np.ndarray]:
    tokens = split.tokens[split.offsets[0] : split.offsets[-1]].astype(np.int64)
    return tokens, np.repeat(np.arange(len(split)), split.lengths)


def _pairs(split: EncodedSplit) -> tuple[np.ndarray, np.ndarray]:
    """Number all pairs of neighbours, and say in which text each stands."""
    tokens, texts = _tokens(split)
    inside = texts[:-1] == texts[1:]
    return tokens[:-1][inside] * PAIR_FACTOR + tokens[1:][inside], texts[:-1][inside]


def _distinct(values: np.ndarray, texts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Keep each value once per text, ordered by text."""
    order = np.lexsort((values, texts))
    values, texts = values[order], texts[order]
    first = np.ones(len(values), bool)
    first[1:] = (values[1:] != values[:-1]) | (texts[1:] != texts[:-1])
    return values[first], texts[first]
