"""Group texts that are equal or nearly equal: MinHash finds candidate pairs, their exact similarity decides.

Whether a pair is found depends on its two texts alone, so more rows can merge groups but never divide one. The
exception is a bucket of more than WINDOW distinct texts, which takes very many texts with almost the same wording.

Memory is 16 bytes per text and one band: shingles and band keys wait on disk, a file for each band, and one band is
sorted at a time (the order of work of locality-sensitive hashing in datatrove, github.com/huggingface/datatrove).

Letters in array names: U distinct texts, K pairs, B bands, R records of a band.
"""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from atnet.data.group_leaders import GroupLeaders
from atnet.data.shingles import Hashes, Ints, ShingleSets, band_keys, jaccard, largest_band, shingle_sets

WINDOW = 64
"""A text is compared with this many neighbors in its bucket; in smaller buckets with all."""
PAIR_SHINGLES = 2_000_000
"""Shingles that are compared at once."""
RECORD = np.dtype([("key", np.uint64), ("text", np.uint32)])
"""One text in one band."""
SHINGLE_BYTES = 4


@dataclass(frozen=True, slots=True)
class NumberedTexts:
    """Normalized texts and their numbers in the whole table."""

    texts: Sequence[str]
    numbers: Ints


@dataclass(frozen=True, slots=True)
class SignedTexts:
    """The shingles and band keys of numbered texts."""

    numbers: Ints
    sets: ShingleSets
    keys_UB: Hashes


def sign_texts(texts: NumberedTexts, *, rows: int, minhash_permutations: int) -> SignedTexts:
    """Compute shingles and band keys.

    Texts of one or two words have no shingles and stay alone: two short texts that differ mean different things.
    """
    sets = shingle_sets(texts.texts)
    return SignedTexts(texts.numbers, sets, band_keys(sets, rows=rows, minhash_permutations=minhash_permutations))


class NearDuplicateIndex:
    """Texts by their number, added in batches; their signatures wait in the files of a folder."""

    def __init__(self, folder: Path, *, texts: int, similarity: float, minhash_permutations: int) -> None:
        """Open the files.

        Args:
            folder: an empty folder, which the caller removes.
            texts: U, how many texts there will be.
            similarity: smallest Jaccard similarity of near duplicates.
            minhash_permutations: length of the MinHash signature.
        """
        self._similarity, self._permutations = similarity, minhash_permutations
        self._rows = largest_band(similarity, minhash_permutations)
        self._bands = [folder / f"band-{band:03d}" for band in range(minhash_permutations // self._rows)]
        self._shingles = folder / "shingles"
        self._sizes_U = np.zeros(texts, dtype=np.int32)
        self._starts_U = np.zeros(texts, dtype=np.int64)
        self._written = 0
        with contextlib.ExitStack() as stack:
            self._files = [stack.enter_context(path.open("wb")) for path in (self._shingles, *self._bands)]
            self._close = stack.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._close.close()

    @property
    def signature_function(self) -> Callable[[NumberedTexts], SignedTexts]:
        """Return the function that computes what `add_signed` writes; it can run in any process."""
        return partial(sign_texts, rows=self._rows, minhash_permutations=self._permutations)

    def add(self, texts: Sequence[str], numbers: Ints) -> None:
        """Sign a batch of normalized texts and add them, each number once."""
        self.add_signed(self.signature_function(NumberedTexts(texts, numbers)))

    def add_signed(self, signed: SignedTexts) -> None:
        """Write the shingles and band keys of a batch."""
        sets, numbers = signed.sets, signed.numbers
        self._starts_U[numbers] = sets.starts + self._written
        self._sizes_U[numbers] = sets.sizes
        self._written += len(sets.values)
        shingles, *bands = self._files
        shingles.write(sets.values.data)
        shingled = np.flatnonzero(sets.sizes)
        records = np.empty(len(shingled), dtype=RECORD)
        records["text"] = numbers[shingled]
        for band, file in enumerate(bands):
            records["key"] = signed.keys_UB[shingled, band]
            file.write(records.data)

    def leaders(self) -> NDArray[np.int32]:
        """Group the texts whose word 3-shingles are that similar, directly or through other texts.

        Returns:
            (U,) for each text the lowest number in its group.
        """
        self._close.close()
        groups = GroupLeaders(len(self._sizes_U))
        if self._written == 0:
            return groups.leaders()
        for path in self._bands:
            sets = ShingleSets(np.memmap(self._shingles, dtype=np.uint32, mode="r"), self._sizes_U, self._starts_U)
            for left_K, right_K in neighbors(np.fromfile(path, dtype=RECORD)):
                self._merge_similar(groups, left_K, right_K, sets)
            path.unlink()
        return groups.leaders()

    def _merge_similar(self, groups: GroupLeaders, left: Ints, right: Ints, sets: ShingleSets) -> None:
        sizes = np.stack([sets.sizes[left], sets.sizes[right]])
        # Skip pairs that are in one group already, and those whose lengths alone rule them out.
        possible = sizes.min(axis=0) >= self._similarity * sizes.max(axis=0)
        left, right, size = left[possible], right[possible], sizes.sum(axis=0)[possible]
        is_open = groups.find(left) != groups.find(right)
        left, right, size = left[is_open], right[is_open], size[is_open]
        cuts = np.flatnonzero(np.diff(size.cumsum() // PAIR_SHINGLES)) + 1
        for chunk in zip(np.split(left, cuts), np.split(right, cuts), strict=True):
            similar = jaccard(sets, *chunk) >= self._similarity
            groups.merge(chunk[0][similar], chunk[1][similar])


def spilled_bytes(texts: int, text_bytes: int, *, similarity: float, minhash_permutations: int) -> int:
    """Estimate an upper bound on the size of an index's files, for normalized texts of this total size."""
    bands = minhash_permutations // largest_band(similarity, minhash_permutations)
    # A shingle for each word; no word is shorter than three bytes on average, with its space.
    return texts * bands * RECORD.itemsize + text_bytes // 3 * SHINGLE_BYTES


def neighbors(records_R: NDArray[np.void]) -> Iterator[tuple[Ints, Ints]]:
    """Yield the pairs of texts in each bucket of a band, nearest first, up to WINDOW positions apart.

    Texts with equal keys share a bucket; in it they are in the order of their numbers.
    """
    order = np.argsort(records_R["key"])
    shared = order[_in_shared_bucket(records_R["key"][order])]
    keys, texts = records_R["key"][shared], records_R["text"][shared].astype(np.int64)
    order = np.lexsort((texts, keys))
    keys, texts = keys[order], texts[order]
    for distance in range(1, min(WINDOW, len(keys) - 1) + 1):
        same_bucket = np.flatnonzero(keys[distance:] == keys[:-distance])
        if len(same_bucket) == 0:
            return
        yield texts[same_bucket], texts[same_bucket + distance]


def _in_shared_bucket(keys_R: Hashes) -> NDArray[np.bool_]:
    """Mark the keys, which ascend, that occur more than once."""
    equal = keys_R[1:] == keys_R[:-1]
    return np.append(equal, False) | np.append(False, equal) if len(keys_R) else np.zeros(0, dtype=bool)
