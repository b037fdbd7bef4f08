"""Features of the wide branch: words, word n-grams of two and three words, and the character n-grams of words.

Shapes: N texts, V vocabulary entries, R slots for word n-grams, G character n-grams, K weight columns (see
`weight_columns`).
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sparse

from atnet.text.encoded_split import EncodedSplit

MAX_N = 2
"""Words of the longest word n-gram, except for large training splits."""
MAX_N_LARGE_SPLIT, LARGE_SPLIT_TOKENS = 3, 1_000_000
"""Trigrams help only where they are frequent enough, which holds for splits with at least this many tokens."""
NGRAM_BASE = 1_000_003
"""Word n-grams are numbered in this base: a prime above every vocabulary size, so that n-gram ids are unique. The ids
of trigrams fit in 64 bits."""
MIN_CHAR_N, MAX_CHAR_N = 2, 5
"""Lengths of the character n-grams; the spaces around a word count as characters."""
MIN_DOCUMENT_FREQUENCY = 2
"""Training texts in which a word or n-gram must occur to get a weight."""
SLOTS_PER_NGRAM = 4
MAX_TABLE_BYTES = 2**26
"""Size limit of the n-gram table, ids included (64 MiB); with many classes fewer n-grams fit."""
MIN_SLOTS = 2**10
CHUNK_TEXTS = 2048
MAX_KEY_BITS = 63
RESERVED_IDS = 2
"""Token ids of padding and the unknown word, which have no characters."""


@dataclass(frozen=True, slots=True)
class NgramHashTable:
    """A slot for each frequent word n-gram; when several fall on one slot, the most frequent gets it."""

    ngram_ids: np.ndarray
    """(R,) int64, the id of the n-gram in each slot, -1 for an empty slot."""

    def __len__(self) -> int:
        return len(self.ngram_ids)

    @property
    def max_n(self) -> int:
        """Words of the longest n-gram in the table, at least two."""
        return max(2, len(ngram_tokens(int(self.ngram_ids.max(initial=0)))))

    def slots(self, ngram_ids: np.ndarray) -> np.ndarray:
        """Return the slot of each n-gram, -1 for an n-gram that is not in the table."""
        slots = ngram_ids % len(self)
        return np.where(self.ngram_ids[slots] == ngram_ids, slots, -1)


def ngram_hash_table(split: EncodedSplit, columns: int) -> NgramHashTable:
    """Build the table of a split's frequent n-grams; its size is a power of two, about four slots for each n-gram.

    Args:
        columns: weights stored for each slot; the more there are, the fewer slots fit.
    """
    max_n = MAX_N_LARGE_SPLIT if split.lengths.sum() >= LARGE_SPLIT_TOKENS else MAX_N
    counts_by_chunk = [
        np.unique(_distinct_per_text(*word_ngram_ids(tokens, texts, max_n))[0], return_counts=True)
        for tokens, texts in _chunks(split)
    ]
    ngram_ids, frequency = _sum_counts(*(np.concatenate(arrays) for arrays in zip(*counts_by_chunk, strict=True)))
    frequent = frequency >= MIN_DOCUMENT_FREQUENCY
    ngram_ids, frequency = ngram_ids[frequent], frequency[frequent]
    wanted = math.ceil(math.log2(max(SLOTS_PER_NGRAM * len(ngram_ids), MIN_SLOTS)))
    allowed = math.floor(math.log2(max(MAX_TABLE_BYTES // (8 + 4 * columns), MIN_SLOTS)))
    table = np.full(1 << min(wanted, allowed), -1, np.int64)
    rarest_first = ngram_ids[np.argsort(frequency, kind="stable")]
    table[rarest_first % len(table)] = rarest_first
    return NgramHashTable(table)


def document_term_matrix(split: EncodedSplit, vocabulary_size: int, table: NgramHashTable) -> sparse.csr_array:
    """Mark the words and n-grams that occur in each text: (N, V + R) of ones."""
    columns, counts = [], np.zeros(len(split), np.int64)
    for tokens, texts in _chunks(split):
        ngram_ids, ngram_texts = word_ngram_ids(tokens, texts, table.max_n)
        slots = table.slots(ngram_ids)
        in_table = slots >= 0
        features, feature_texts = _distinct_per_text(
            np.concatenate([tokens, vocabulary_size + slots[in_table]]), np.concatenate([texts, ngram_texts[in_table]])
        )
        columns.append(features.astype(np.int32))
        counts += np.bincount(feature_texts, minlength=len(split))
    indices = np.concatenate(columns)
    # Products read 32-bit positions in half the memory.
    indptr = np.append(0, counts.cumsum()).astype(np.int32 if len(indices) <= np.iinfo(np.int32).max else np.int64)
    shape = (len(split), vocabulary_size + len(table))
    return sparse.csr_array((np.ones(len(indices), np.float32), indices, indptr), shape=shape)


def count_distinct_ngrams(split: EncodedSplit, max_n: int) -> np.ndarray:
    """Count the distinct words and n-grams of each text, those without a weight included: (N,) float32."""
    counts = np.zeros(len(split), np.int64)
    for tokens, texts in _chunks(split):
        for ids, id_texts in ((tokens, texts), word_ngram_ids(tokens, texts, max_n)):
            counts += np.bincount(_distinct_per_text(ids, id_texts)[1], minlength=len(split))
    return counts.astype(np.float32)


def word_ngram_ids(tokens: np.ndarray, texts: np.ndarray, max_n: int) -> tuple[np.ndarray, np.ndarray]:
    """Compute the ids of all n-grams of 2 to `max_n` adjacent tokens of a text.

    Args:
        tokens: int64, the tokens of all texts one after another.
        texts: the text of each token.

    Returns:
        The n-gram ids, and the text of each.
    """
    ids, id_texts = [], []
    longer = tokens
    for n in range(2, max_n + 1):
        longer = longer[:-1] * NGRAM_BASE + tokens[n - 1 :]
        within_text = texts[: len(longer)] == texts[n - 1 :]
        ids.append(longer[within_text])
        id_texts.append(texts[: len(longer)][within_text])
    return np.concatenate(ids), np.concatenate(id_texts)


def ngram_tokens(ngram_id: int) -> tuple[int, ...]:
    """Return the tokens of an n-gram id."""
    prefix, last = divmod(ngram_id, NGRAM_BASE)
    return (last,) if prefix == 0 else (*ngram_tokens(prefix), last)


def char_ngram_matrix(words: Sequence[str]) -> sparse.csr_array:
    """Mark the character n-grams of each vocabulary entry: (V, G) of ones."""
    text = "".join(f" {word} " for word in words[RESERVED_IDS:])
    alphabet, characters = np.unique(np.frombuffer(text.encode("utf-32-le"), np.uint32), return_inverse=True)
    rows = np.repeat(np.arange(RESERVED_IDS, len(words)), [len(word) + 2 for word in words[RESERVED_IDS:]])
    row_at = np.append(rows, np.full(MAX_CHAR_N, -1))
    starts, ids, columns, column_rows, count = np.arange(len(rows)), characters, [], [], 0
    for length in range(2, MAX_CHAR_N + 1):
        inside = row_at[starts + length - 1] == rows[starts]
        starts, ids = starts[inside], ids[inside]
        # Ranks instead of the ids themselves keep the next ids below 64 bits in every alphabet.
        distinct, ids = np.unique(ids * len(alphabet) + characters[starts + length - 1], return_inverse=True)
        if length >= MIN_CHAR_N:
            ngrams, ngram_rows = _distinct_per_text(ids, rows[starts])
            columns.append(count + ngrams)
            column_rows.append(ngram_rows)
            count += len(distinct)
    places = (np.concatenate(column_rows).astype(np.int32), np.concatenate(columns).astype(np.int32))
    return sparse.csr_array((np.ones(len(places[0]), np.float32), places), shape=(len(words), max(count, 1)))


def char_ngrams(word: str) -> list[str]:
    """List the distinct character n-grams of a word with a space on either side, in order of first occurrence."""
    padded = f" {word} "
    lengths = range(MIN_CHAR_N, MAX_CHAR_N + 1)
    ngrams = (padded[start : start + length] for length in lengths for start in range(len(padded) - length + 1))
    return list(dict.fromkeys(ngrams))


def weight_columns(classes: int) -> int:
    """Return the number of weights per feature: one for two classes (the logit of the second), else one per class."""
    return 1 if classes == 2 else classes


def _chunks(split: EncodedSplit) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield the tokens of some texts at a time, with the text of each token."""
    # All texts at once would take ten times as much memory as their tokens.
    for start in range(0, len(split), CHUNK_TEXTS):
        texts = np.arange(start, min(start + CHUNK_TEXTS, len(split)))
        tokens = split.tokens[split.offsets[start] : split.offsets[texts[-1] + 1]]
        yield tokens.astype(np.int64), np.repeat(texts, split.lengths[texts])


def _sum_counts(values: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Add up the counts of equal values; the values are returned in ascending order."""
    if len(values) == 0:
        return values, counts
    order = np.argsort(values)
    values, counts = values[order], counts[order]
    first = np.flatnonzero(np.append(True, values[1:] != values[:-1]))
    return values[first], np.add.reduceat(counts, first)


def _distinct_per_text(ids: np.ndarray, texts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Keep each id once per text, ordered by text, then id."""
    # Text and id together as one integer sort several times as fast as two columns. Where they do not fit in 64 bits,
    # as with trigrams, the ranks of the ids do.
    if len(ids) and int(ids.max()).bit_length() + int(texts[-1]).bit_length() > MAX_KEY_BITS:
        values, ids = np.unique(ids, return_inverse=True)
    else:
        values = None
    bits = int(ids.max(initial=0)).bit_length()
    keys = np.sort((texts << bits) | ids)
    keys = keys[np.append(True, keys[1:] != keys[:-1])] if len(keys) else keys
    distinct = keys & ((1 << bits) - 1)
    return distinct if values is None else values[distinct], keys >> bits
