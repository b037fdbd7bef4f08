"""Word vectors from co-occurrence."""

import numpy as np
import pytest

from atnet.text.word_vectors import cooccurrences, positive_information, word_vectors
from tests.encoded import VOCABULARY, encoded_split, split_of_texts


def test_nearer_neighbours_count_for_more():
    counts = cooccurrences(split_of_texts([[2, 3, 4], [2, 4]], [0, 1]), window=2, vocabulary_size=5)
    assert counts[2, 3] == counts[3, 2] == counts[3, 4] == 1
    assert counts[2, 4] == 1 + 0.5
    assert counts[3, 3] == 0


def test_counts_of_parts_add_up_to_those_of_the_whole():
    first, second = [[2, 3, 4], [4, 4]], [[3, 2], [2, 2, 3]]
    parts = [cooccurrences(split_of_texts(part, [0, 1]), window=3, vocabulary_size=5) for part in (first, second)]
    whole = cooccurrences(split_of_texts(first + second, [0, 1, 0, 1]), window=3, vocabulary_size=5)
    assert np.array_equal((parts[0] + parts[1]).toarray(), whole.toarray())


def test_words_that_keep_the_same_company_lie_together(params):
    rng = np.random.default_rng(0)
    # 2 and 3 stand among 10..19, 4 and 5 among 20..29.
    texts = [
        [int(rng.choice([2, 3] if side == 10 else [4, 5])), *rng.integers(side, side + 10, size=4)]
        for side in rng.choice([10, 20], size=600)
    ]
    vectors = word_vectors(split_of_texts(texts, [0] * 600), params.vectors, dimensions=8)
    unit = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)
    assert unit[2] @ unit[3] > 0.8 > 0.3 > unit[2] @ unit[4]


def test_vectors_have_the_spread_asked_for_and_repeat_themselves(params):
    split = encoded_split(200)
    first, second = (word_vectors(split, params.vectors, dimensions=16) for _ in range(2))
    assert np.array_equal(first, second)
    assert first.shape == (VOCABULARY, 16)
    assert first[np.abs(first).sum(axis=1) > 0].std() == pytest.approx(params.vectors.init_std, rel=1e-4)
    assert not first[0].any()


def test_a_vocabulary_smaller_than_the_vectors_leaves_zeros(params):
    vectors = word_vectors(split_of_texts([[2, 3], [3, 2]], [0, 1]), params.vectors, dimensions=16)
    assert vectors.shape == (4, 16)
    assert np.isfinite(vectors).all()


def test_texts_of_one_word_give_no_information(params):
    split = split_of_texts([[2], [3]], [0, 1])
    assert positive_information(cooccurrences(split, window=5, vocabulary_size=4)).nnz == 0
    assert not word_vectors(split, params.vectors, dimensions=2).any()
