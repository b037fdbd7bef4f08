"""Word vectors fitted on co-occurrence counts."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pytest

from atnet.config import Params
from atnet.text.encoded_split import EncodedSplit
from atnet.text.word_vectors import all_cooccurrences, cooccurrences, frequent_tokens, positive_pmi, word_vectors
from tests.encoded import VOCABULARY, encoded_split


def split_of_texts(texts: Sequence[Sequence[int]]) -> EncodedSplit:
    """Return a split of the given token ids."""
    return EncodedSplit(
        tokens=np.concatenate(texts).astype(np.int32),
        offsets=np.cumsum([0, *map(len, texts)]),
        labels=np.zeros(len(texts), np.int32),
        text_hashes=pa.array([f"{row:016x}" for row in range(len(texts))]),
        ratings=None,
        weights=None,
    )


def test_closer_neighbors_count_more() -> None:
    counts = cooccurrences(split_of_texts([[2, 3, 4], [2, 4]]), window=2, vocabulary_size=5)
    assert counts[2, 3] == counts[3, 2] == counts[3, 4] == 1
    assert counts[2, 4] == 1 + 0.5
    assert counts[3, 3] == 0


def test_counts_of_two_parts_add_up_to_those_of_the_whole() -> None:
    first, second = [[2, 3, 4], [4, 4]], [[3, 2], [2, 2, 3]]
    parts = [cooccurrences(split_of_texts(part), window=3, vocabulary_size=5) for part in (first, second)]
    whole = cooccurrences(split_of_texts(first + second), window=3, vocabulary_size=5)
    assert np.array_equal((parts[0] + parts[1]).toarray(), whole.toarray())


def test_counts_in_blocks_are_those_of_the_whole_split(monkeypatch: pytest.MonkeyPatch, params: Params) -> None:
    split = encoded_split(300)
    whole = all_cooccurrences([split], window=params.vectors.window, vocabulary_size=20)
    size = frequent_tokens(split, params.vectors)
    monkeypatch.setattr("atnet.text.word_vectors.BLOCK_TOKENS", 100)
    blocks = all_cooccurrences([split], window=params.vectors.window, vocabulary_size=20)
    np.testing.assert_allclose(blocks.toarray(), whole.toarray(), rtol=1e-5)
    assert frequent_tokens(split, params.vectors) == size


def test_words_with_the_same_contexts_have_similar_vectors(params: Params) -> None:
    rng = np.random.default_rng(0)
    # 2 and 3 occur among 10 to 19, 4 and 5 among 20 to 29.
    texts = [
        [int(rng.choice([2, 3] if low == 10 else [4, 5])), *rng.integers(low, low + 10, size=4)]
        for low in rng.choice([10, 20], size=600)
    ]
    vectors = word_vectors(split_of_texts(texts), params.vectors, dimensions=8)
    unit = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)
    assert unit[2] @ unit[3] > 0.8 > 0.3 > unit[2] @ unit[4]


def test_vectors_have_the_configured_standard_deviation_and_are_reproducible(params: Params) -> None:
    split = encoded_split(200)
    first, second = (word_vectors(split, params.vectors, dimensions=16) for _ in range(2))
    assert np.array_equal(first, second)
    assert first.shape == (VOCABULARY, 16)
    assert first[np.abs(first).sum(axis=1) > 0].std() == pytest.approx(params.vectors.init_std, rel=1e-4)
    assert not first[0].any()


def test_a_vocabulary_smaller_than_the_dimensions_gives_finite_vectors(params: Params) -> None:
    vectors = word_vectors(split_of_texts([[2, 3], [3, 2]]), params.vectors, dimensions=16)
    assert vectors.shape == (4, 16)
    assert np.isfinite(vectors).all()


def test_texts_of_one_word_give_zero_vectors(params: Params) -> None:
    split = split_of_texts([[2], [3]])
    assert positive_pmi(cooccurrences(split, window=5, vocabulary_size=4)).nnz == 0
    assert not word_vectors(split, params.vectors, dimensions=2).any()
