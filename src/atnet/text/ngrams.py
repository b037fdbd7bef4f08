"""The features of the wide branch: words, runs of two and three words, and the character n-grams words are spelt with.

Shapes: N texts, V vocabulary entries, R slots for runs, G character n-grams, K columns (see `answer_columns`).
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sparse

from atnet.text.encoded_split import EncodedSplit

LONGEST_RUN = 2
"""Words of the longest run, but for large training splits."""
LONGEST_RUN_OF_MANY, MANY_TOKENS = 3, 1_000_000
"""Longer runs are worth their place only where they are met often enough; from so many tokens on they are."""
RUN_FACTOR = 1_000_003
"""A prime above every vocabulary size, so that different runs have different numbers; those of three fit in 64 bits."""
SHORTEST_GRAM, LONGEST_GRAM = 2, 5
"""Characters of the n-grams; the space on either side of a word counts as one."""
FEWEST_TEXTS = 2
"""Texts that a word, run or n-gram must stand in to have a weight of its own."""
SLOTS_PER_RUN = 4
LARGEST_TABLE = 2**26
"""Bytes a table may take, 64 MiB, the numbers of the runs included: with many classes fewer runs have a place."""
FEWEST_SLOTS = 2**10
TEXTS_AT_ONCE = 2048
RESERVED = 2
"""Padding and the unknown word, which are spelt with nothing."""


@dataclass(frozen=True, slots=True)
class NgramHashTable:
    """A place for each frequent run; of several that fall on one slot the most frequent has it."""

    numbers: np.ndarray
    """(R,) int64, the number of the run that has the slot, -1 where it is empty."""

    def __len__(self) -> int:
        return len(self.numbers)

    @property
    def longest(self) -> int:
        """Words of the longest run that has a slot, at least two."""
        return max(2, len(run_tokens(int(self.numbers.max(initial=0)))))

    def of(self, numbers: np.ndarray) -> np.ndarray:
        """Give the slot of each run number, -1 for a run that has none."""
        slots = numbers % len(self)
        return np.where(self.numbers[slots] == numbers, slots, -1)


def ngram_hash_table(split: EncodedSplit, columns: int) -> NgramHashTable:
    """Lay out the slots for the runs of a split: a power of two, four for each run where the table allows it."""
    longest = LONGEST_RUN_OF_MANY if split.lengths.sum() >= MANY_TOKENS else LONGEST_RUN
    parts = [
        np.unique(_distinct(*word_runs(tokens, texts, longest))[0], return_counts=True)
        for tokens, texts in _parts(split)
    ]
    known, texts_of = _summed(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True)))
    known, texts_of = known[texts_of >= FEWEST_TEXTS], texts_of[texts_of >= FEWEST_TEXTS]
    wanted = math.ceil(math.log2(max(SLOTS_PER_RUN * len(known), FEWEST_SLOTS)))
    allowed = math.floor(math.log2(max(LARGEST_TABLE // (8 + 4 * columns), FEWEST_SLOTS)))
    table = np.full(1 << min(wanted, allowed), -1, np.int64)
    rarest_first = np.argsort(texts_of, kind="stable")
    table[known[rarest_first] % len(table)] = known[rarest_first]
    return NgramHashTable(table)


def present_ngrams(split: EncodedSplit, vocabulary_size: int, slots: NgramHashTable) -> sparse.csr_array:
    """Mark which words and runs stand in each text: (N, V + R) of ones."""
    columns, counts = [], np.zeros(len(split), np.int64)
    for tokens, texts in _parts(split):
        numbers, run_texts = word_runs(tokens, texts, slots.longest)
        places = slots.of(numbers)
        found = places >= 0
        features, where = _distinct(
            np.concatenate([tokens, vocabulary_size + places[found]]), np.concatenate([texts, run_texts[found]])
        )
        columns.append(features.astype(np.int32))
        counts += np.bincount(where, minlength=len(split))
    indices = np.concatenate(columns)
    ends = np.append(0, counts.cumsum())
    shape = (len(split), vocabulary_size + len(slots))
    return sparse.csr_array((np.ones(len(indices), np.float32), indices, ends), shape=shape)


def distinct_ngrams(split: EncodedSplit, longest: int) -> np.ndarray:
    """Count the different words and runs of each text, whether they have a weight or not: (N,) float32."""
    counts = np.zeros(len(split), np.int64)
    for tokens, texts in _parts(split):
        for values, where in ((tokens, texts), word_runs(tokens, texts, longest)):
            counts += np.bincount(_distinct(values, where)[1], minlength=len(split))
    return counts.astype(np.float32)


def word_runs(tokens: np.ndarray, texts: np.ndarray, longest: int) -> tuple[np.ndarray, np.ndarray]:
    """Number all runs of two to `longest` tokens side by side in one text, and say in which text each stands.

    Args:
        tokens: int64, those of all texts one after another.
        texts: for each token, its text.
    """
    numbers, where = [], []
    longer = tokens
    for length in range(2, longest + 1):
        longer = longer[:-1] * RUN_FACTOR + tokens[length - 1 :]
        inside = texts[: len(longer)] == texts[length - 1 :]
        numbers.append(longer[inside])
        where.append(texts[: len(longer)][inside])
    return np.concatenate(numbers), np.concatenate(where)


def run_tokens(number: int) -> tuple[int, ...]:
    """Give the tokens of a run by its number."""
    earlier, last = divmod(number, RUN_FACTOR)
    return (last,) if earlier == 0 else (*run_tokens(earlier), last)


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


def _parts(split: EncodedSplit) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Give the tokens and the text of each, some texts at a time: all at once would take ten times their memory."""
    for start in range(0, len(split), TEXTS_AT_ONCE):
        texts = np.arange(start, min(start + TEXTS_AT_ONCE, len(split)))
        tokens = split.tokens[split.offsets[start] : split.offsets[texts[-1] + 1]]
        yield tokens.astype(np.int64), np.repeat(texts, split.lengths[texts])


def _summed(values: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Add up the counts of equal values; the values come ordered."""
    order = np.argsort(values)
    values, counts = values[order], counts[order]
    first = np.flatnonzero(np.append(True, values[1:] != values[:-1])) if len(values) else np.zeros(0, int)
    return values[first], np.add.reduceat(counts, first) if len(values) else counts


def _distinct(values: np.ndarray, texts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Keep each value once per text, ordered by text."""
    order = np.lexsort((values, texts))
    values, texts = values[order], texts[order]
    first = np.ones(len(values), bool)
    first[1:] = (values[1:] != values[:-1]) | (texts[1:] != texts[:-1])
    return values[first], texts[first]
