"""Every layer: shapes, masking, configuration round trip, reduced precision, a step that moves its weights."""

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from atnet.network.layers import AttentionPooling, MaskedDropout, TwoClassLogits, WordEmbedding

TEXTS, TOKENS, FEATURES = 3, 7, 5
LENGTHS = np.array([7, 4, 1])
MASK = np.arange(TOKENS)[None, :] < LENGTHS[:, None]

CASES: list[tuple[type[keras.layers.Layer], dict[str, Any], Any]] = [
    (MaskedDropout, {"rate": 0.5}, (TEXTS, TOKENS, FEATURES)),
    (AttentionPooling, {"mode": "published"}, ((TEXTS, FEATURES), (TEXTS, TOKENS))),
    (AttentionPooling, {"mode": "rescaled"}, ((TEXTS, FEATURES), (TEXTS, TOKENS))),
    (AttentionPooling, {"mode": "pooled"}, ((TEXTS, 2 * FEATURES), (TEXTS, TOKENS))),
]


@pytest.fixture
def features() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(TEXTS, TOKENS, FEATURES)).astype(np.float32)


@pytest.mark.parametrize(("kind", "settings", "shape"), CASES)
def test_a_layer_gives_the_shapes_it_announces(kind, settings, shape, features):
    layer = kind(**settings)
    outputs = layer(features, mask=MASK)
    shapes = tuple(output.shape for output in outputs) if isinstance(outputs, tuple) else tuple(outputs.shape)
    assert shapes == shape
    assert layer.compute_output_shape(features.shape) == shape


@pytest.mark.parametrize(("kind", "settings", "shape"), CASES)
def test_a_layer_comes_back_from_its_configuration(kind, settings, shape, features):
    layer = kind(**settings)
    outputs = layer(features, mask=MASK)
    again = keras.layers.deserialize(keras.layers.serialize(layer))
    again(features, mask=MASK)
    again.set_weights(layer.get_weights())
    for first, second in zip(keras.tree.flatten(outputs), keras.tree.flatten(again(features, mask=MASK)), strict=True):
        np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize(("kind", "settings", "shape"), [case for case in CASES if case[0] is AttentionPooling])
def test_one_step_moves_every_weight(kind, settings, shape, features):
    inputs = keras.Input((TOKENS, FEATURES))
    pooled = kind(**settings)(inputs)[0]
    model = keras.Model(inputs, pooled)
    model.compile(keras.optimizers.SGD(10.0), "mse")
    before = [weight.copy() for weight in model.get_weights()]
    model.train_on_batch(features, np.ones((TEXTS, pooled.shape[-1])))
    moved = [not np.array_equal(old, new) for old, new in zip(before, model.get_weights(), strict=True)]
    # The bias of a score moves all scores alike, and a softmax does not see that.
    assert moved in ([True, True], [True, False])


@pytest.mark.parametrize(("kind", "settings", "shape"), CASES)
def test_bfloat16_answers_nearly_as_float32(kind, settings, shape, features):
    exact, rough = kind(**settings), kind(**settings, dtype="mixed_bfloat16")
    expected = keras.tree.flatten(exact(features, mask=MASK))
    rough(features, mask=MASK)
    rough.set_weights(exact.get_weights())
    for first, second in zip(expected, keras.tree.flatten(rough(features, mask=MASK)), strict=True):
        np.testing.assert_allclose(first, keras.ops.cast(second, "float32"), atol=0.1)


@pytest.mark.parametrize(("kind", "settings", "shape"), [case for case in CASES if case[1].get("mode") != "published"])
def test_what_stands_in_the_padding_changes_nothing(kind, settings, shape, features):
    layer = kind(**settings)
    other = np.where(MASK[..., None], features, 99.0).astype(np.float32)
    for first, second in zip(
        keras.tree.flatten(layer(features, mask=MASK)), keras.tree.flatten(layer(other, mask=MASK)), strict=True
    ):
        np.testing.assert_allclose(first, second, atol=1e-6)


@pytest.mark.parametrize("mode", ["rescaled", "pooled"])
def test_attention_is_shared_among_the_real_tokens_only(mode, features):
    _, weights = AttentionPooling(mode)(features, mask=MASK)
    weights = np.array(weights)
    np.testing.assert_allclose(weights.sum(axis=1), 1, rtol=1e-6)
    assert (weights[~MASK] == 0).all()
    assert (weights[MASK] > 0).all()


def test_dropout_takes_whole_features_of_a_text_and_keeps_the_mean():
    ones = np.ones((200, 6, 10), np.float32)
    mask = np.arange(6)[None, :] < np.full((200, 1), 4)
    dropped = np.array(MaskedDropout(0.25, seed=3)(ones, mask=mask, training=True))
    assert (dropped[:, 4:] == 0).all()
    assert (dropped[:, :4] == dropped[:, :1]).all()
    np.testing.assert_allclose(np.unique(dropped[:, :4]), [0, 1 / 0.75], rtol=1e-6)
    assert dropped[:, :4].mean() == pytest.approx(1, abs=0.05)


def test_dropout_draws_anew_at_every_call_and_the_same_from_one_seed():
    ones = np.ones((4, 6, 8), np.float32)
    layer, again = MaskedDropout(0.5, seed=3), MaskedDropout(0.5, seed=3)
    first, second = np.array(layer(ones, training=True)), np.array(layer(ones, training=True))
    assert (first != second).any()
    np.testing.assert_array_equal(first, again(ones, training=True))


def test_without_training_dropout_only_clears_the_padding(features):
    np.testing.assert_array_equal(MaskedDropout(0.5)(features, mask=MASK), features * MASK[..., None])
    np.testing.assert_array_equal(MaskedDropout(0.5)(features), features)


def test_an_embedding_gives_a_gradient_of_the_rows_that_occurred_only():
    layer = WordEmbedding(10, 3)
    with tf.GradientTape() as tape:
        looked_up = layer(np.array([[1, 4, 1]], np.int32))
    gradient = tape.gradient(looked_up, layer.trainable_variables[0].value)
    assert isinstance(gradient, tf.IndexedSlices)
    assert sorted(gradient.indices.numpy()) == [1, 1, 4]
    np.testing.assert_array_equal(looked_up[0], layer.get_weights()[0][[1, 4, 1]])


@pytest.mark.parametrize("layer", [WordEmbedding(10, 3), MaskedDropout(0.25, seed=3), TwoClassLogits()])
def test_the_other_layers_come_back_from_their_configuration(layer):
    assert keras.layers.deserialize(keras.layers.serialize(layer)).get_config() == layer.get_config()


def test_the_two_logits_are_those_of_one_sigmoid():
    logit = np.array([[-2.0], [0.0], [3.0]], np.float32)
    probabilities = keras.ops.softmax(TwoClassLogits()(logit))
    np.testing.assert_allclose(probabilities[:, 1:], 1 / (1 + np.exp(-logit)), rtol=1e-6)
