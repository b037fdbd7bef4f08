"""The first implementation of near duplicates, which keeps all texts and signatures in memory.

Tests compare the groups of `atnet.data.near_duplicates` with those of this one; nothing else uses it.

Whether a pair is found depends on its two texts alone, so more rows can merge groups but never divide one. The
exception is a bucket of more than WINDOW distinct texts, which takes very many texts with almost the same wording.

Letters in array names: U distinct texts, W words of all texts, S shingles of all texts, K pairs, B bands.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from rensa import RMinHash
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

Ints = NDArray[np.int64]
Hashes = NDArray[np.uint64]

SHINGLE_WORDS = 3
BATCH_TEXTS = 50_000
"""Texts that are shingled at once."""
WINDOW = 64
"""A text is compared with this many neighbors in its bucket; in smaller buckets with all."""
RECALL = 0.99
"""Probability that a pair with exactly the required similarity becomes a candidate; it is higher for other pairs."""
PAIR_SHINGLES = 8_000_000
"""Shingles that are compared at once."""
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
    sizes: Ints
    """(U,) shingles per text."""
    starts: Ints
    """(U,) position of each text's first shingle in `values`."""

    @classmethod
    def build(cls, values: NDArray[np.uint32], sizes: Ints) -> "ShingleSets":
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


def near_duplicate_leaders(texts: Sequence[str], *, similarity: float, minhash_permutations: int) -> Ints:
    """Group texts whose word 3-shingles have at least this Jaccard similarity, directly or through other texts.

    Texts of one or two words have no shingles and stay alone: two short texts that differ mean different things.

    Args:
        texts: U distinct texts, normalized.
        similarity: smallest Jaccard similarity of near duplicates.
        minhash_permutations: length of the MinHash signature.

    Returns:
        (U,) for each text the lowest position in its group.
    """
    if len(texts) == 0:
        return np.arange(0)
    rows = largest_band(similarity, minhash_permutations)
    batches = [texts[start : start + BATCH_TEXTS] for start in range(0, len(texts), BATCH_TEXTS)]
    sets = [shingle_sets(batch) for batch in batches]
    keys_UB = [band_keys(part, rows=rows, minhash_permutations=minhash_permutations) for part in sets]
    shingles, shingled_U = _concatenate(sets), np.flatnonzero(np.concatenate([part.sizes for part in sets]))
    leaders_U = np.arange(len(texts))
    for keys_U in np.concatenate(keys_UB)[shingled_U].T:
        for left_K, right_K in neighbors(keys_U):
            pairs = shingled_U[left_K], shingled_U[right_K]
            leaders_U = _merge_similar(leaders_U, pairs, shingles, similarity)
    return leaders_U


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


def neighbors(keys_U: Hashes) -> Iterator[tuple[Ints, Ints]]:
    """Yield the pairs of each bucket, nearest first, up to WINDOW positions apart."""
    order = np.argsort(keys_U, kind="stable")
    ordered = keys_U[order]
    for distance in range(1, min(WINDOW, len(order) - 1) + 1):
        same_bucket = np.flatnonzero(ordered[distance:] == ordered[:-distance])
        if len(same_bucket) == 0:
            return
        yield order[same_bucket], order[same_bucket + distance]


def jaccard(sets: ShingleSets, left_K: Ints, right_K: Ints) -> NDArray[np.float64]:
    """Return the Jaccard similarity of each pair of texts, (K,)."""
    both = np.concatenate([sets.numbered(left_K), sets.numbered(right_K)])
    both.sort()
    shared = both[1:][both[1:] == both[:-1]] >> np.uint64(32)
    shared_K = np.bincount(shared.astype(np.int64), minlength=len(left_K))
    return shared_K / (sets.sizes[left_K] + sets.sizes[right_K] - shared_K)


def _merge_similar(leaders_U: Ints, pairs: tuple[Ints, Ints], sets: ShingleSets, similarity: float) -> Ints:
    left, right = pairs
    shorter, longer = np.minimum(sets.sizes[left], sets.sizes[right]), np.maximum(sets.sizes[left], sets.sizes[right])
    # Skip pairs that are in one group already, and those whose lengths alone rule them out.
    open_K = np.flatnonzero((leaders_U[left] != leaders_U[right]) & (shorter >= similarity * longer))
    if len(open_K) == 0:
        return leaders_U
    left, right, size = left[open_K], right[open_K], (shorter + longer)[open_K]
    cuts = np.flatnonzero(np.diff(size.cumsum() // PAIR_SHINGLES)) + 1
    chunks = zip(np.split(left, cuts), np.split(right, cuts), strict=True)
    similar = np.concatenate([jaccard(sets, *chunk) >= similarity for chunk in chunks])
    return _merge_groups(leaders_U, left[similar], right[similar])


def _merge_groups(leaders_U: Ints, left_K: Ints, right_K: Ints) -> Ints:
    if len(left_K) == 0:
        return leaders_U
    nodes, edges = np.unique(np.concatenate([leaders_U[left_K], leaders_U[right_K]]), return_inverse=True)
    ends = edges[: len(left_K)], edges[len(left_K) :]
    graph = coo_array((np.ones(len(left_K), dtype=bool), ends), shape=(len(nodes), len(nodes)))
    _, component = connected_components(graph, directed=False)
    # Nodes ascend, so the first node of a component is its lowest.
    _, lowest = np.unique(component, return_index=True)
    new_leaders_U = np.arange(len(leaders_U))
    new_leaders_U[nodes] = nodes[lowest][component]
    return new_leaders_U[leaders_U]


def _concatenate(sets: list[ShingleSets]) -> ShingleSets:
    values = np.concatenate([part.values for part in sets])
    return ShingleSets.build(values, np.concatenate([part.sizes for part in sets]))
