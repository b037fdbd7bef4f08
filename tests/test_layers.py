"""The contract that every layer must meet, in one harness, and what is specific to single layers."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from atnet.network.layers import (
    AttentionPooling,
    FrequentTokens,
    MaskedDropout,
    PaddingMask,
    TwoClassLogits,
    WordEmbedding,
)
from atnet.network.model import architecture_json, rebuild
from atnet.wide.ngram_layers import BlendLogits, WideNgrams

TEXTS, TOKENS, FEATURES, VOCABULARY = 3, 7, 5, 30
LENGTHS = np.array([7, 4, 1])
MASK = np.arange(TOKENS)[None, :] < LENGTHS[:, None]
RNG = np.random.default_rng(0)
FEATURE_BATCH = RNG.normal(size=(TEXTS, TOKENS, FEATURES)).astype(np.float32)
TOKEN_BATCH = (RNG.integers(1, VOCABULARY, size=(TEXTS, TOKENS)) * MASK).astype(np.int32)
LOGIT_BATCH = np.array([[-4.0], [6.0], [0.5]], np.float32)


@dataclass(frozen=True)
class LayerCase:
    """A layer, a batch of inputs and what the contract demands for them."""

    name: str
    make: Callable[..., keras.layers.Layer]
    inputs: tuple[np.ndarray, ...]
    shapes: tuple[tuple[int, ...], ...]
    """Of the outputs."""
    masked: bool = False
    """Whether the layer takes a mask."""
    trained: tuple[str, ...] = ()
    """Names of the weights that a training step must change."""
    computes_in: str | None = "bfloat16"
    """The outputs' type under mixed_bfloat16; None where an output stays an integer, boolean or float32."""

    def __str__(self) -> str:
        return self.name

    def call(self, layer: keras.layers.Layer, *inputs: Any, **options: Any) -> list[Any]:
        """Call the layer and return its outputs as a list."""
        batch = list(inputs or self.inputs)
        outputs = layer(batch if len(batch) > 1 else batch[0], **({"mask": MASK} if self.masked else {}), **options)
        return list(keras.tree.flatten(outputs))

    def model(self, layer: keras.layers.Layer) -> keras.Model:
        """Build a model of this layer alone, with the mask as its last input."""
        arrays = [*self.inputs, *([MASK] if self.masked else [])]
        inputs = [keras.Input(array.shape[1:], dtype=array.dtype.name) for array in arrays]
        batch = inputs[: len(self.inputs)]
        options = {"mask": inputs[-1]} if self.masked else {}
        return keras.Model(inputs, layer(batch if len(batch) > 1 else batch[0], **options))

    def outputs(self, model: keras.Model) -> list[np.ndarray]:
        """Run the model of this layer."""
        arrays = [*self.inputs, *([MASK] if self.masked else [])]
        return [np.array(output) for output in keras.tree.flatten(model(arrays))]


CASES = [
    LayerCase("PaddingMask", PaddingMask, (TOKEN_BATCH,), ((TEXTS, TOKENS),), computes_in=None),
    LayerCase(
        "FrequentTokens",
        lambda **options: FrequentTokens(9, **options),
        (TOKEN_BATCH,),
        ((TEXTS, TOKENS),),
        computes_in=None,
    ),
    LayerCase(
        "WordEmbedding",
        lambda **options: WordEmbedding(VOCABULARY, FEATURES, **options),
        (TOKEN_BATCH,),
        ((TEXTS, TOKENS, FEATURES),),
        trained=("embeddings",),
        computes_in=None,
    ),
    LayerCase(
        "MaskedDropout",
        lambda **options: MaskedDropout(0.5, seed=3, **options),
        (FEATURE_BATCH,),
        ((TEXTS, TOKENS, FEATURES),),
        masked=True,
    ),
    *(
        LayerCase(
            f"AttentionPooling {mode}",
            lambda mode=mode, **options: AttentionPooling(mode, **options),
            (FEATURE_BATCH,),
            ((TEXTS, width), (TEXTS, TOKENS)),
            masked=True,
            # Not the bias: it shifts all scores of a text equally, which a softmax ignores, except through the tanh.
            trained=("kernel",),
            computes_in=None,
        )
        for mode, width in (("published", FEATURES), ("rescaled", FEATURES), ("pooled", 2 * FEATURES))
    ),
    LayerCase("TwoClassLogits", TwoClassLogits, (LOGIT_BATCH,), ((TEXTS, 2),)),
    *(
        LayerCase(
            f"WideNgrams {classes} classes, {max_n}-grams",
            lambda classes=classes, max_n=max_n, **options: WideNgrams(VOCABULARY, 64, classes, max_n, **options),
            (TOKEN_BATCH,),
            ((TEXTS, TOKENS, classes),),
            computes_in=None,
        )
        for classes, max_n in ((2, 2), (4, 3))
    ),
    LayerCase(
        "BlendLogits",
        BlendLogits,
        (RNG.normal(size=(TEXTS, 2)).astype(np.float32), RNG.normal(size=(TEXTS, TOKENS, 2)).astype(np.float32)),
        ((TEXTS, 2), (TEXTS, TOKENS, 2)),
    ),
]
every_layer = pytest.mark.parametrize("case", CASES, ids=str)


def randomize(layer: keras.layers.Layer) -> None:
    """Assign random values to every floating-point weight; some are zero before they are assigned."""
    rng = np.random.default_rng(1)
    for weight in layer.weights:
        if weight.dtype == "float32":
            weight.assign(rng.normal(size=weight.shape))


@every_layer
def test_outputs_have_the_announced_shapes(case: LayerCase) -> None:
    layer = case.make()
    assert tuple(tuple(output.shape) for output in case.call(layer)) == case.shapes
    specs = keras.tree.flatten(case.model(case.make()).outputs)
    assert tuple((TEXTS, *spec.shape[1:]) for spec in specs) == case.shapes
    symbolic = [spec.dtype for spec in specs]
    assert symbolic == [keras.backend.standardize_dtype(output.dtype) for output in case.call(layer)]


# The published architecture attends to padding.
@pytest.mark.parametrize("case", [case for case in CASES if case.name != "AttentionPooling published"], ids=str)
def test_padding_does_not_change_the_outputs_of_a_text(case: LayerCase) -> None:
    layer = case.make()
    case.call(layer)
    randomize(layer)
    outputs = case.call(layer)
    if case.masked:
        noise = np.where(MASK[..., None], case.inputs[0], 99.0).astype(np.float32)
        for expected, output in zip(outputs, case.call(layer, noise), strict=True):
            np.testing.assert_allclose(expected, output, atol=1e-6)
    elif case.inputs[0] is TOKEN_BATCH:
        wider = np.pad(TOKEN_BATCH, ((0, 0), (0, 4)))
        for expected, output in zip(outputs, case.call(layer, wider), strict=True):
            np.testing.assert_allclose(
                np.asarray(expected, np.float32), np.asarray(output, np.float32)[:, :TOKENS], atol=1e-6
            )


@every_layer
def test_a_layer_is_rebuilt_from_its_config(case: LayerCase) -> None:
    layer = case.make()
    case.call(layer)
    randomize(layer)
    restored = keras.layers.deserialize(keras.layers.serialize(layer))
    assert restored.get_config() == layer.get_config()
    case.call(restored)
    restored.set_weights(layer.get_weights())
    for expected, output in zip(case.call(layer), case.call(restored), strict=True):
        np.testing.assert_array_equal(expected, output)


@every_layer
def test_a_saved_layer_is_loaded_with_its_weights(case: LayerCase, tmp_path: Path) -> None:
    model = case.model(case.make(name="under_test"))
    randomize(model.get_layer("under_test"))
    model.save_weights(tmp_path / "model.weights.h5")
    loaded = rebuild(architecture_json(model))
    loaded.load_weights(tmp_path / "model.weights.h5")
    for expected, output in zip(case.outputs(model), case.outputs(loaded), strict=True):
        np.testing.assert_array_equal(expected, output)


def training_model(case: LayerCase) -> tuple[keras.Model, list[np.ndarray]]:
    """Build a classifier with the layer and a dense head, and its inputs."""
    keras.utils.set_random_seed(1)
    body = case.model(case.make(name="under_test"))
    # Without it, a layer that is zero until its weights are assigned would pass no signal on to the head.
    randomize(body.get_layer("under_test"))
    features = [keras.layers.Flatten()(keras.ops.cast(output, "float32")) for output in body.outputs[:1]]
    model = keras.Model(body.inputs, keras.layers.Dense(1, activation="sigmoid")(features[0]))
    model.compile(keras.optimizers.Adam(0.1), "binary_crossentropy")
    return model, [*case.inputs, *([MASK] if case.masked else [])]


@pytest.mark.slow
@every_layer
def test_one_training_step_changes_every_trained_weight_and_no_other(case: LayerCase) -> None:
    model, inputs = training_model(case)
    layer = model.get_layer("under_test")
    before = {weight.path: np.array(weight) for weight in layer.weights}
    loss = model.train_on_batch(inputs, np.array([[0.0], [1.0], [0.0]]))
    assert np.isfinite(loss)
    changed = {weight.name for weight in layer.weights if not np.array_equal(before[weight.path], np.array(weight))}
    trainable = {weight.name for weight in layer.trainable_weights}
    assert set(case.trained) <= changed <= trainable


@pytest.mark.slow
@every_layer
def test_a_model_with_the_layer_overfits_one_batch(case: LayerCase) -> None:
    model, inputs = training_model(case)
    targets = np.array([[0.0], [1.0], [0.0]])
    for _ in range(120):
        loss = model.train_on_batch(inputs, targets)
    # Three rows guessed at their mean have a loss of 0.64.
    assert loss < 0.25


@every_layer
def test_mixed_bfloat16_computes_nearly_the_same_outputs(case: LayerCase) -> None:
    exact, mixed = case.make(), case.make(dtype="mixed_bfloat16")
    case.call(exact)
    case.call(mixed)
    randomize(exact)
    mixed.set_weights(exact.get_weights())
    assert {weight.dtype for weight in mixed.weights} <= {"float32", "int64", "uint32"}
    for expected, output in zip(case.call(exact), case.call(mixed), strict=True):
        if case.computes_in is not None:
            assert keras.backend.standardize_dtype(output.dtype) == case.computes_in
        np.testing.assert_allclose(
            np.asarray(expected, np.float32), np.asarray(keras.ops.cast(output, "float32")), atol=0.1, rtol=0.02
        )


@pytest.mark.parametrize("mode", ["rescaled", "pooled"])
def test_attention_sums_to_one_over_the_real_tokens(mode: Any) -> None:
    attention = np.array(AttentionPooling(mode)(FEATURE_BATCH, mask=MASK)[1])
    np.testing.assert_allclose(attention.sum(axis=1), 1, rtol=1e-6)
    assert (attention[~MASK] == 0).all()
    assert (attention[MASK] > 0).all()


def test_dropout_drops_whole_features_of_a_text_and_preserves_the_mean() -> None:
    ones = np.ones((200, 6, 10), np.float32)
    mask = np.arange(6)[None, :] < np.full((200, 1), 4)
    dropped = np.array(MaskedDropout(0.25, seed=3)(ones, mask=mask, training=True))
    assert (dropped[:, 4:] == 0).all()
    assert (dropped[:, :4] == dropped[:, :1]).all()
    np.testing.assert_allclose(np.unique(dropped[:, :4]), [0, 1 / 0.75], rtol=1e-6)
    assert dropped[:, :4].mean() == pytest.approx(1, abs=0.05)


def test_dropout_differs_between_calls_and_repeats_with_the_same_seed() -> None:
    ones = np.ones((4, 6, 8), np.float32)
    layer, repeated = MaskedDropout(0.5, seed=3), MaskedDropout(0.5, seed=3)
    first, second = np.array(layer(ones, training=True)), np.array(layer(ones, training=True))
    assert (first != second).any()
    np.testing.assert_array_equal(first, repeated(ones, training=True))


def test_outside_training_dropout_only_clears_the_padding() -> None:
    np.testing.assert_array_equal(MaskedDropout(0.5)(FEATURE_BATCH, mask=MASK), FEATURE_BATCH * MASK[..., None])
    np.testing.assert_array_equal(MaskedDropout(0.5)(FEATURE_BATCH), FEATURE_BATCH)


def test_the_gradient_of_an_embedding_has_only_the_rows_that_occur() -> None:
    layer = WordEmbedding(10, 3)
    with tf.GradientTape() as tape:
        vectors = layer(np.array([[1, 4, 1]], np.int32))
    gradient = tape.gradient(vectors, layer.trainable_variables[0].value)
    assert isinstance(gradient, tf.IndexedSlices)
    assert sorted(gradient.indices.numpy()) == [1, 1, 4]
    np.testing.assert_array_equal(vectors[0], layer.get_weights()[0][[1, 4, 1]])


def test_two_class_logits_have_the_probabilities_of_one_sigmoid() -> None:
    probabilities = keras.ops.softmax(TwoClassLogits()(LOGIT_BATCH))
    np.testing.assert_allclose(probabilities[:, 1:], 1 / (1 + np.exp(-LOGIT_BATCH)), rtol=1e-6)


def test_a_rare_token_becomes_the_unknown_word() -> None:
    assert FrequentTokens(4)(np.array([[0, 1, 3, 4, 90]], np.int32)).numpy().tolist() == [[0, 1, 3, 1, 1]]
