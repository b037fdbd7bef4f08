"""Encoded splits and batches of them."""

from pathlib import Path

import numpy as np
import pytest

from atnet.errors import DataFileError
from atnet.text.encoded_split import EncodedSplit, class_targets, ordered_batches, row_weights, training_batches
from tests.encoded import encoded_split, write_split


@pytest.mark.parametrize("bucketed", [True, False])
def test_each_text_occurs_once_per_epoch(bucketed: bool) -> None:
    lengths = np.random.default_rng(0).integers(1, 100, 1000)
    batches = list(training_batches(lengths, batch_size=32, bucketed=bucketed, rng=np.random.default_rng(1)))
    assert sorted(np.concatenate(batches)) == list(range(1000))
    assert {len(batch) for batch in batches} == {32, 1000 % 32}


def test_bucketed_batches_contain_texts_of_similar_length() -> None:
    lengths = np.random.default_rng(0).integers(1, 100, 6400)

    def padding(bucketed: bool) -> int:
        batches = training_batches(lengths, batch_size=64, bucketed=bucketed, rng=np.random.default_rng(1))
        return int(sum(lengths[rows].max() * len(rows) - lengths[rows].sum() for rows in batches))

    assert padding(True) < 0.1 * padding(False)


def test_the_order_depends_only_on_the_seed() -> None:
    lengths = np.random.default_rng(0).integers(1, 100, 500)

    def order(seed: int) -> list[int]:
        batches = training_batches(lengths, batch_size=32, bucketed=True, rng=np.random.default_rng(seed))
        batch_order: list[int] = np.concatenate(list(batches)).tolist()
        return batch_order

    assert order(1) == order(1)
    assert order(1) != order(2)


def test_ordered_batches_contain_every_text() -> None:
    lengths = np.array([5, 1, 3, 2])
    assert [batch.tolist() for batch in ordered_batches(lengths, 3)] == [[1, 3, 2], [0]]


def test_a_batch_contains_the_texts_padded_with_zeros() -> None:
    split = encoded_split(3)
    batch = split.padded(np.array([2, 0]))
    for row, text in zip(batch, (2, 0), strict=True):
        length = split.lengths[text]
        assert row[:length].tolist() == split.tokens[split.offsets[text] : split.offsets[text + 1]].tolist()
        assert not row[length:].any()


def test_a_split_is_loaded_without_a_copy(tmp_path: Path) -> None:
    written = encoded_split(10)
    write_split(tmp_path / "train.arrow", written)
    read = EncodedSplit.load(tmp_path / "train.arrow")
    np.testing.assert_array_equal(read.tokens, written.tokens)
    np.testing.assert_array_equal(read.lengths, written.lengths)
    assert not read.tokens.flags.owndata


def test_a_damaged_split_is_reported(tmp_path: Path) -> None:
    path = tmp_path / "train.arrow"
    path.write_bytes(b"ARROW1 no longer")
    with pytest.raises(DataFileError, match=r"train.arrow is damaged"):
        EncodedSplit.load(path)
    with pytest.raises(DataFileError, match=r"other.arrow is missing"):
        EncodedSplit.load(tmp_path / "other.arrow")


def test_ratings_become_soft_targets() -> None:
    split = encoded_split(4, ratings=[-3.0, 2.0, -1.0, np.nan])
    targets = class_targets(split, classes=2, soft_target_slope=1.0)
    np.testing.assert_allclose(targets[:3, 1], 1 / (1 + np.exp([3.0, -2.0, 1.0])), rtol=1e-6)
    np.testing.assert_allclose(targets.sum(axis=1), 1, rtol=1e-6)
    assert targets[3].tolist() == [0, 1]


def test_a_rating_that_contradicts_its_label_does_not_soften_it() -> None:
    stars = encoded_split(4, ratings=[1.0, 5.0, 2.0, 4.0])
    targets = class_targets(stars, classes=2, soft_target_slope=1.0)
    assert targets.argmax(axis=1).tolist() == stars.labels.tolist()
    assert targets[[0, 2]].tolist() == [[1, 0], [1, 0]]


def test_targets_are_hard_without_ratings_or_with_more_classes() -> None:
    assert class_targets(encoded_split(4), classes=2, soft_target_slope=1.0).tolist() == [[1, 0], [0, 1]] * 2
    rated = encoded_split(6, classes=3, ratings=[1.0] * 6)
    assert class_targets(rated, classes=3, soft_target_slope=1.0).tolist() == np.eye(3).tolist() * 2


def test_balanced_weights_have_the_same_sum_for_each_class() -> None:
    split = encoded_split(9, classes=2)
    weights = row_weights(split, classes=2, balanced=True)
    assert weights[split.labels == 0].sum() == pytest.approx(weights[split.labels == 1].sum())
    assert weights.mean() == pytest.approx(1)


def rated_split(rows: int) -> EncodedSplit:
    return encoded_split(rows, ratings=np.linspace(-1, 1, rows))


def test_taken_texts_are_the_given_ones() -> None:
    split = rated_split(20)
    taken = split.taken(np.array([7, 3]))
    assert taken.padded(np.arange(2)).tolist() == split.padded(np.array([7, 3])).tolist()
    for column in ("labels", "ratings", "text_hashes"):
        assert list(getattr(taken, column)) == [getattr(split, column)[row] for row in (7, 3)]
    assert taken.weights is None


@pytest.mark.parametrize("tokens", [1, 50, 10_000])
def test_blocks_are_consecutive_texts_below_the_token_limit(tokens: int) -> None:
    split = rated_split(60)
    blocks = list(split.blocks(tokens))
    assert all(len(block) == 1 or block.lengths.sum() <= tokens for block in blocks)
    assert len(blocks) == (60 if tokens == 1 else len(blocks))
    assert len(blocks) > 1 or tokens == 10_000
    for column in ("lengths", "labels", "text_hashes", "ratings"):
        assert [value for block in blocks for value in getattr(block, column)] == list(getattr(split, column))
    assert [text for block in blocks for text in texts_of(block)] == texts_of(split)


def texts_of(split: EncodedSplit) -> list[list[int]]:
    bounds = zip(split.offsets[:-1].tolist(), split.offsets[1:].tolist(), strict=True)
    return [split.tokens[start:end].tolist() for start, end in bounds]


def test_a_sample_has_as_many_whole_texts_as_the_token_limit_allows() -> None:
    split = encoded_split(500)
    sample = split.sampled(1000)
    assert 1000 - split.lengths.max() < sample.lengths.sum() <= 1000
    hashes = sample.text_hashes.to_pylist()
    assert hashes == split.sampled(1000).text_hashes.to_pylist() == sorted(hashes)
    assert 0.4 < sample.labels.mean() < 0.6
    assert split.sampled(None) is split.sampled(int(split.lengths.sum())) is split
    assert len(split.sampled(1)) == 1
