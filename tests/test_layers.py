"""Every layer: shapes, masking, configuration round trip, reduced precision, a step that moves its weights."""

from typing import Any

import keras
import numpy as np
import pytest

from atnet.layers import AttentionPooling, MaskedConv1D, TwoClassLogits

TEXTS, TOKENS, FEATURES = 3, 7, 5
LENGTHS = np.array([7, 4, 1])
MASK = np.arange(TOKENS)[None, :] < LENGTHS[:, None]

CASES: list[tuple[type[keras.layers.Layer], dict[str, Any], Any]] = [
    (MaskedConv1D, {"filters": 4, "kernel_size": 3}, (TEXTS, TOKENS, 4)),
    (AttentionPooling, {"mode": "seed"}, ((TEXTS, FEATURES), (TEXTS, TOKENS))),
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


@pytest.mark.parametrize(("kind", "settings", "shape"), CASES)
def test_one_step_moves_every_weight(kind, settings, shape, features):
    inputs = keras.Input((TOKENS, FEATURES))
    outputs = kind(**settings)(inputs)
    pooled = keras.layers.GlobalAveragePooling1D()(outputs) if kind is MaskedConv1D else outputs[0]
    model = keras.Model(inputs, pooled)
    model.compile(keras.optimizers.SGD(10.0), "mse")
    before = [weight.copy() for weight in model.get_weights()]
    model.train_on_batch(features, np.ones((TEXTS, pooled.shape[-1])))
    moved = [not np.array_equal(old, new) for old, new in zip(before, model.get_weights(), strict=True)]
    # The bias of a score moves all scores alike, and a softmax does not see that.
    assert all(moved) or (kind is AttentionPooling and moved == [True, False])


@pytest.mark.parametrize(("kind", "settings", "shape"), CASES)
def test_bfloat16_answers_nearly_as_float32(kind, settings, shape, features):
    exact, rough = kind(**settings), kind(**settings, dtype="mixed_bfloat16")
    expected = keras.tree.flatten(exact(features, mask=MASK))
    rough(features, mask=MASK)
    rough.set_weights(exact.get_weights())
    for first, second in zip(expected, keras.tree.flatten(rough(features, mask=MASK)), strict=True):
        np.testing.assert_allclose(first, keras.ops.cast(second, "float32"), atol=0.1)


@pytest.mark.parametrize(("kind", "settings", "shape"), [case for case in CASES if case[1].get("mode") != "seed"])
def test_what_stands_in_the_padding_changes_nothing(kind, settings, shape, features):
    layer = kind(**settings)
    other = np.where(MASK[..., None], features, 99.0).astype(np.float32)
    for first, second in zip(
        keras.tree.flatten(layer(features, mask=MASK)), keras.tree.flatten(layer(other, mask=MASK)), strict=True
    ):
        real = MASK[..., None] if first.shape == (TEXTS, TOKENS, 4) else np.ones(1)
        np.testing.assert_allclose(first * real, second * real, atol=1e-6)


@pytest.mark.parametrize("mode", ["rescaled", "pooled"])
def test_attention_is_shared_among_the_real_tokens_only(mode, features):
    _, weights = AttentionPooling(mode)(features, mask=MASK)
    weights = np.array(weights)
    np.testing.assert_allclose(weights.sum(axis=1), 1, rtol=1e-6)
    assert (weights[~MASK] == 0).all()
    assert (weights[MASK] > 0).all()


def test_the_two_logits_are_those_of_one_sigmoid():
    logit = np.array([[-2.0], [0.0], [3.0]], np.float32)
    probabilities = keras.ops.softmax(TwoClassLogits()(logit))
    np.testing.assert_allclose(probabilities[:, 1:], 1 / (1 + np.exp(-logit)), rtol=1e-6)
