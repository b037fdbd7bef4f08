"""The wide branch: its log-count ratios and the layer that adds them up."""

import keras
import numpy as np
import pytest

from atnet.dataset import EncodedSplit
from atnet.layers import INITIAL_TRUST, PAIR_FACTOR, WideNgrams
from atnet.wide import FEWEST_BUCKETS, bucket_count, log_count_ratios
from encoded import VOCABULARY, encoded_split

BUCKETS = FEWEST_BUCKETS


def split_of(texts, labels):
    return EncodedSplit(
        tokens=np.concatenate(texts).astype(np.int32),
        offsets=np.cumsum([0, *map(len, texts)]),
        labels=np.array(labels, np.int32),
        text_hashes=[str(row) for row in range(len(texts))],
        ratings=None,
        weights=None,
    )


def bucket(first, second, vocabulary_size):
    return vocabulary_size + (first * PAIR_FACTOR + second) % BUCKETS


def test_ratios_are_those_of_wang_and_manning():
    split = split_of([[2, 3, 3], [2], [4, 2]], [1, 1, 0])
    ratios = log_count_ratios(split, vocabulary_size=5, buckets=BUCKETS, classes=2)[:, 0]
    # In texts of class 1: token 2 twice, token 3 once (a text counts once), pairs (2, 3) and (3, 3) once.
    inside, outside = 2 + 1 + 1 + 1 + 5 + BUCKETS, 1 + 1 + 1 + 5 + BUCKETS
    assert ratios[2] == pytest.approx(np.log((2 + 1) / inside) - np.log((1 + 1) / outside), rel=1e-5)
    assert ratios[4] == pytest.approx(np.log(1 / inside) - np.log(2 / outside), rel=1e-5)
    assert ratios[bucket(3, 3, 5)] > 0 > ratios[bucket(4, 2, 5)]
    assert ratios[0] == ratios[1] == 0


def test_no_pair_reaches_over_the_end_of_a_text():
    split = split_of([[2, 3], [4, 2]], [1, 0])
    ratios = log_count_ratios(split, vocabulary_size=5, buckets=BUCKETS, classes=2)[:, 0]
    assert ratios[bucket(3, 4, 5)] == 0


def test_more_classes_have_a_column_each():
    split = encoded_split(60, classes=3)
    ratios = log_count_ratios(split, vocabulary_size=VOCABULARY, buckets=BUCKETS, classes=3)
    assert ratios.shape == (VOCABULARY + BUCKETS, 3)
    assert ratios[[2, 3, 4]].argmax(axis=1).tolist() == [0, 1, 2]


def test_many_classes_share_fewer_buckets():
    split = encoded_split(60, classes=3)
    assert bucket_count(split, vocabulary_size=VOCABULARY, classes=3) == FEWEST_BUCKETS
    assert bucket_count(encoded_split(4000, classes=2), vocabulary_size=VOCABULARY, classes=2) >= 2 * 900


def test_the_layer_adds_up_ratios_over_the_root_of_their_number():
    layer = WideNgrams(5, BUCKETS, 2)
    tokens = np.array([[2, 3, 3, 0]], np.int32)
    layer(tokens)
    ratios = np.random.default_rng(0).normal(size=(5 + BUCKETS, 1)).astype(np.float32)
    layer.ratios.assign(ratios)
    features = [2, 3, 3, bucket(2, 3, 5), bucket(3, 3, 5)]
    expected = INITIAL_TRUST * ratios[features, 0].sum() / np.sqrt(5)
    np.testing.assert_allclose(layer(tokens), [[-expected / 2, expected / 2]], rtol=1e-5)


@pytest.mark.parametrize("classes", [2, 4])
def test_padding_adds_nothing(classes):
    layer = WideNgrams(5, BUCKETS, classes)
    layer(np.ones((1, 2), np.int32))
    layer.ratios.assign(np.random.default_rng(0).normal(size=layer.ratios.shape))
    short, long = np.array([[2, 3]], np.int32), np.array([[2, 3, 0, 0, 0]], np.int32)
    np.testing.assert_allclose(layer(short), layer(long), rtol=1e-6)
    assert layer(short).shape == layer.compute_output_shape(short.shape) == (1, classes)


def test_the_layer_comes_back_from_its_configuration():
    layer = WideNgrams(5, BUCKETS, 4)
    again = keras.layers.deserialize(keras.layers.serialize(layer))
    assert again.get_config() == layer.get_config()
