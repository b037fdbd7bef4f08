"""Word 3-shingles of texts, their MinHash signatures folded into band keys, and the similarity of their sets.

Everything here depends on the single text alone, so batches of texts can be worked on anywhere and in any order.

Letters in array names: U distinct texts, W words of all texts, S shingles of all texts, K pairs, B bands.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from rensa import RMinHash

Ints = NDArray[np.int64]
Hashes = NDArray[np.uint64]

SHINGLE_WORDS = 3
RECALL = 0.99
"""Probability that a pair with exactly the required similarity becomes a candidate; it is higher for other pairs."""
MINHASH_SEED = 1
NOT_A_WORD = r"[^\p{L}\p{M}\p{N}]+"
UNSPACED = r"([\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}])"
"""Scripts written without spaces: each character counts as a word."""
MULTIPLIERS = np.array([0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB], dtype=np.uint64)
"""Odd multipliers that mix the bits of a 64-bit hash (from splitmix64)."""


@dataclass(frozen=True, slots=True)
class ShingleSets:
    """The distinct word shingles of each text, as 32-bit hashes."""

    values: NDArray[np.uint32]
    """Those of all texts, concatenated; ascending within a text."""
    sizes: NDArray[np.signedinteger]
    """(U,) shingles per text."""
    starts: Ints
    """(U,) position of each text's first shingle in `values`."""

    @classmethod
    def build(cls, values: NDArray[np.uint32], sizes: NDArray[np.signedinteger]) -> "ShingleSets":
        """Compute the starts from the sizes."""
        return cls(values=values, sizes=sizes, starts=sizes.cumsum() - sizes)

    def numbered(self, texts_K: Ints) -> Hashes:
        """Return the shingles of the texts `texts_K` with k in their upper 32 bits, ascending."""
        sizes = self.sizes[texts_K]
        pair_S = np.repeat(np.arange(len(texts_K)), sizes)
        offset_S = np.arange(sizes.sum()) - np.repeat(sizes.cumsum() - sizes, sizes)
        value_S = self.values[self.starts[texts_K][pair_S] + offset_S]
        numbered: Hashes = pair_S.astype(np.uint64) << np.uint64(32) | value_S
        return numbered


def largest_band(similarity: float, minhash_permutations: int) -> int:
    """Return the largest number of signature values per band that still has the required recall.

    Larger bands make fewer pairs candidates.
    """

    def recall(rows: int) -> float:
        return float(1 - (1 - similarity**rows) ** (minhash_permutations // rows))

    return max((rows for rows in range(1, minhash_permutations + 1) if recall(rows) >= RECALL), default=1)


def shingle_sets(texts: Sequence[str]) -> ShingleSets:
    """Hash every sequence of three words; punctuation is not a word, and the hash depends on the words alone."""
    spaced = pc.replace_substring_regex(pa.array(texts, pa.large_string()), UNSPACED, r" \1 ")
    cleaned = pc.utf8_trim(pc.replace_substring_regex(spaced, NOT_A_WORD, " "), " ")
    words = pc.split_pattern(cleaned, " ")
    encoded = words.flatten().dictionary_encode()
    names = encoded.dictionary.to_numpy(zero_copy_only=False)
    hash_W = pd.util.hash_array(names, categorize=False)[encoded.indices.to_numpy()]
    counts_U = np.asarray(pc.list_value_length(words), dtype=np.int64)
    text_W = np.repeat(np.arange(len(texts)), counts_U)
    first, second, third = hash_W[:-2], hash_W[1:-1], hash_W[2:]
    hash_S = (first * MULTIPLIERS[0] + second) * MULTIPLIERS[1] + third * MULTIPLIERS[2]
    same_text = text_W[: len(hash_S)] == text_W[SHINGLE_WORDS - 1 :][: len(hash_S)]
    text_S = text_W[: len(hash_S)][same_text].astype(np.uint64)
    numbered_S = np.sort(text_S << np.uint64(32) | hash_S[same_text] >> np.uint64(32))
    numbered_S = numbered_S[np.diff(numbered_S, prepend=~numbered_S[:1]) != 0]
    sizes_U = np.bincount((numbered_S >> np.uint64(32)).astype(np.int64), minlength=len(texts))
    return ShingleSets.build(numbered_S.astype(np.uint32), sizes_U)


def band_keys(sets: ShingleSets, *, rows: int, minhash_permutations: int) -> Hashes:
    """Fold the MinHash signature of each text into band keys (U, B); texts with equal keys share a bucket.

    A text without shingles gets zeros.
    """
    keys_UB = np.zeros((len(sets.sizes), minhash_permutations // rows), dtype=np.uint64)
    shingled_U = np.flatnonzero(sets.sizes)
    if len(shingled_U) == 0:
        return keys_UB
    hashes = sets.values.astype(np.uint64) * MULTIPLIERS[0]
    offsets = np.append(sets.starts[shingled_U], len(hashes))
    digests = RMinHash.digest_matrix_from_flat_token_hashes(
        hashes, offsets.astype(np.uint64), minhash_permutations, MINHASH_SEED
    )
    signature = np.array(digests.to_rows(), dtype=np.uint64)
    for column in range(rows):
        values = signature[:, column : keys_UB.shape[1] * rows : rows]
        keys_UB[shingled_U] = (keys_UB[shingled_U] ^ values) * MULTIPLIERS[1] + MULTIPLIERS[0]
    return keys_UB


def jaccard(sets: ShingleSets, left_K: Ints, right_K: Ints) -> NDArray[np.float64]:
    """Return the Jaccard similarity of each pair of texts, (K,)."""
    both = np.concatenate([sets.numbered(left_K), sets.numbered(right_K)])
    both.sort()
    shared = both[1:][both[1:] == both[:-1]] >> np.uint64(32)
    shared_K = np.bincount(shared.astype(np.int64), minlength=len(left_K))
    return shared_K / (sets.sizes[left_K] + sets.sizes[right_K] - shared_K)
