"""AtNet's layers.

Shapes: B texts, T tokens, D embedding values, F filters, C labels. A mask is (B, T), true where a token stands and
false where there is padding; None means that every position counts.
"""

from typing import Any, Literal

import keras
from keras import ops

AttentionMode = Literal["seed", "rescaled", "pooled"]

TRUST = "trust"
"""Name of the trained weight of WideNgrams, which learns faster than the rest."""
INITIAL_TRUST = 0.2
PAIR_FACTOR = 1_000_003
"""A prime above every vocabulary size, so that different pairs have different numbers before hashing."""


@keras.saving.register_keras_serializable(package="atnet")
class PaddingMask(keras.layers.Layer):
    """Tell tokens from padding, which is id 0: (B, T) integers -> the mask, (B, T) booleans."""

    def call(self, inputs: Any) -> Any:
        return ops.not_equal(inputs, 0)

    def compute_output_spec(self, inputs: Any) -> keras.KerasTensor:
        return keras.KerasTensor(inputs.shape, dtype="bool")


@keras.saving.register_keras_serializable(package="atnet")
class MaskedConv1D(keras.layers.Layer):
    """Convolve over tokens as if the text ended where its padding begins.

    (B, T, D) -> (B, T, F), same padding. Padding positions are set to zero before the convolution, so that
    they do not leak into the real tokens beside them.
    """

    def __init__(self, filters: int, kernel_size: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.supports_masking = True
        self.convolution = keras.layers.Conv1D(
            filters, kernel_size, padding="same", activation="relu", dtype=self.dtype_policy, name="convolution"
        )

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        self.convolution.build(input_shape)

    def call(self, inputs: Any, mask: Any = None) -> Any:
        return self.convolution(_without_padding(inputs, mask))

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return (*input_shape[:-1], self.convolution.filters)

    def get_config(self) -> dict[str, Any]:
        convolution = self.convolution
        return {
            **super().get_config(),
            "filters": convolution.filters,
            "kernel_size": convolution.kernel_size[0],
        }


@keras.saving.register_keras_serializable(package="atnet")
class AttentionPooling(keras.layers.Layer):
    """Weigh the tokens of a text and pool them to one vector.

    (B, T, F) -> the pooled text (B, F) or, in mode `pooled`, (B, 2F); and the weights (B, T), which sum to 1.
    The score of a token is Dense(1, tanh) of its features, the weights are the softmax of the scores over the text.

    Modes:
        seed: AtNet as published: weights times features, then the maximum over all positions. No mask is used.
        rescaled: the same over real tokens only, the weights multiplied by their number, so that what the
            maximum sees does not shrink with the length of the text.
        pooled: the weighted sum, joined to the maximum of the unweighted features; real tokens only.
    """

    def __init__(self, mode: AttentionMode, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.supports_masking = True
        self.mode = mode
        self.score = keras.layers.Dense(1, activation="tanh", dtype=self.dtype_policy, name="score")

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        self.score.build(input_shape)

    def call(self, inputs: Any, mask: Any = None) -> tuple[Any, Any]:
        weights = self._weights(inputs, mask)
        weighted = inputs * ops.cast(weights, inputs.dtype)[..., None]
        if self.mode == "pooled":
            pooled = ops.concatenate([ops.sum(weighted, axis=1), _masked_maximum(inputs, mask)], axis=-1)
        elif self.mode == "rescaled":
            pooled = _masked_maximum(weighted * _lengths(inputs, mask), mask)
        else:
            pooled = ops.max(weighted, axis=1)
        return pooled, weights

    def _weights(self, inputs: Any, mask: Any) -> Any:
        # The softmax runs in float32: eight bits of mantissa do not make weights that sum to 1.
        scores = ops.cast(ops.squeeze(self.score(inputs), axis=-1), "float32")
        if mask is not None:
            scores = ops.where(mask, scores, -1e9)
        return ops.softmax(scores, axis=-1)

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> tuple[None, None]:
        return None, None

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[tuple[int | None, ...], ...]:
        batch, tokens, features = input_shape
        width = features * 2 if self.mode == "pooled" and features is not None else features
        return (batch, width), (batch, tokens)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "mode": self.mode}


@keras.saving.register_keras_serializable(package="atnet")
class TwoClassLogits(keras.layers.Layer):
    """Give the single logit z of a sigmoid as the two logits (0, z), whose softmax is (1 - sigmoid(z), sigmoid(z)).

    (B, 1) -> (B, 2).
    """

    def call(self, inputs: Any) -> Any:
        return ops.concatenate([ops.zeros_like(inputs), inputs], axis=-1)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return (input_shape[0], 2)


@keras.saving.register_keras_serializable(package="atnet")
class WideNgrams(keras.layers.Layer):
    """Add up what the words and word pairs of a text say for each class, without regard to order.

    (B, T) tokens -> logits (B, C). A feature is a token or a hashed pair of neighbours; its say is its naive-Bayes
    log-count ratio r, which is fixed, times a trained trust w: the sum of w * r over the text's n features, divided by
    the root of n. NB-SVM (Wang & Manning 2012) as a layer. Two classes share one column of opposite signs.
    """

    def __init__(self, vocabulary_size: int, buckets: int, classes: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.vocabulary_size, self.buckets, self.classes = vocabulary_size, buckets, classes

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        shape = (self.vocabulary_size + self.buckets, ratio_columns(self.classes))
        self.ratios = self.add_weight(name="ratios", shape=shape, initializer="zeros", trainable=False)
        self.trust = self.add_weight(name=TRUST, shape=shape, initializer=keras.initializers.Constant(INITIAL_TRUST))

    def call(self, inputs: Any) -> Any:
        features, present = ngram_features(inputs, self.vocabulary_size, self.buckets)
        says = ops.take(self.ratios, features, axis=0) * ops.take(self.trust, features, axis=0)
        present = ops.cast(present, "float32")
        total = ops.sum(says * present[..., None], axis=1)
        scaled = total / ops.sqrt(ops.maximum(ops.sum(present, axis=1, keepdims=True), 1.0))
        return scaled if self.classes > 2 else ops.concatenate([-scaled / 2, scaled / 2], axis=-1)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return (input_shape[0], self.classes)

    def get_config(self) -> dict[str, Any]:
        sizes = {"vocabulary_size": self.vocabulary_size, "buckets": self.buckets, "classes": self.classes}
        return {**super().get_config(), **sizes}


def ngram_features(tokens: Any, vocabulary_size: int, buckets: int) -> tuple[Any, Any]:
    """Number the tokens and pairs of neighbours of each text: ids (B, 2T - 1) int64 and which are present."""
    # In int64: the product overflows in int32, and then ONNX Runtime and TensorFlow differ.
    tokens = ops.cast(tokens, "int64")
    first, second = tokens[:, :-1], tokens[:, 1:]
    pairs = vocabulary_size + (first * PAIR_FACTOR + second) % buckets
    present = ops.concatenate([tokens > 0, (first > 0) & (second > 0)], axis=1)
    return ops.concatenate([tokens, pairs], axis=1), present


def ratio_columns(classes: int) -> int:
    """Columns of log-count ratios: one for two classes, else one per class against the rest."""
    return 1 if classes == 2 else classes


def _without_padding(features: Any, mask: Any) -> Any:
    return features if mask is None else features * ops.cast(mask, features.dtype)[..., None]


def _masked_maximum(features: Any, mask: Any) -> Any:
    if mask is not None:
        features = ops.where(mask[..., None], features, ops.cast(-1e9, features.dtype))
    return ops.max(features, axis=1)


def _lengths(features: Any, mask: Any) -> Any:
    """Number of real tokens of each text, (B, 1, 1)."""
    # Counted in float32: bfloat16 cannot tell 257 from 256.
    counted = ops.ones_like(features[..., 0], dtype="float32") if mask is None else ops.cast(mask, "float32")
    return ops.cast(ops.sum(counted, axis=1), features.dtype)[:, None, None]
