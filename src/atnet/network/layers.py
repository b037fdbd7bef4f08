"""AtNet's layers.

Shapes: B texts, T tokens, D embedding values, F filters, C labels. A mask is (B, T), true where a token stands and
false where there is padding; None means that every position counts.
"""

from typing import Any, Literal

import keras
import tensorflow as tf
from keras import ops

AttentionMode = Literal["published", "rescaled", "pooled"]


@keras.saving.register_keras_serializable(package="atnet")
class PaddingMask(keras.layers.Layer):
    """Tell tokens from padding, which is id 0: (B, T) integers -> the mask, (B, T) booleans."""

    def call(self, inputs: Any) -> Any:
        return ops.not_equal(inputs, 0)

    def compute_output_spec(self, inputs: Any) -> keras.KerasTensor:
        return keras.KerasTensor(inputs.shape, dtype="bool")


@keras.saving.register_keras_serializable(package="atnet")
class WordEmbedding(keras.layers.Embedding):
    """Look up the vectors of tokens: (B, T) integers -> (B, T, D) float32.

    Keras reads the whole table first, which costs a copy of it in every training step; here only the rows asked for
    are read.
    """

    def call(self, inputs: Any) -> Any:
        return tf.gather(self.embeddings.value, inputs)


@keras.saving.register_keras_serializable(package="atnet")
class MaskedDropout(keras.layers.Layer):
    """Set the features of padding to zero, and in training some features of each text at all its tokens.

    (B, T, D) -> (B, T, D). What is kept in training is scaled up, so that the expected sum stays the same. Whole
    features (Tompson et al. 2015) do as well here as single values, and take B x D random numbers, not B x T x D.
    """

    def __init__(self, rate: float, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.supports_masking = True
        self.rate, self.seed = rate, seed
        self.seed_generator = keras.random.SeedGenerator(seed)
        self.built = True

    def call(self, inputs: Any, mask: Any = None, training: bool = False) -> Any:
        # Both in one factor: over all values of a batch each product costs as much as a part of the convolution.
        factor = 1.0 if mask is None else ops.cast(mask, inputs.dtype)[..., None]
        if training and self.rate > 0:
            kept = ops.ones_like(inputs[:, :1, :])
            factor = factor * keras.random.dropout(kept, self.rate, seed=self.seed_generator)
        return inputs * factor

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> None:
        return None

    def compute_output_spec(self, inputs: Any, **_: Any) -> keras.KerasTensor:
        return keras.KerasTensor(inputs.shape, dtype=self.compute_dtype)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "rate": self.rate, "seed": self.seed}


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
        if self.mode == "pooled":
            summed = ops.matmul(ops.cast(weights, inputs.dtype)[:, None, :], inputs)[:, 0, :]
            return ops.concatenate([summed, _masked_maximum(inputs, mask)], axis=-1), weights
        weighted = inputs * ops.cast(weights, inputs.dtype)[..., None]
        if self.mode == "rescaled":
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
class FrequentTokens(keras.layers.Layer):
    """Take every token from id `limit` on for the unknown word, id 1: (B, T) -> (B, T).

    Token ids are ordered by frequency, so these are the words too rare to have learned a vector.
    """

    def __init__(self, limit: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.limit = limit

    def call(self, inputs: Any) -> Any:
        return ops.where(inputs < self.limit, inputs, ops.ones_like(inputs))

    def compute_output_spec(self, inputs: Any) -> keras.KerasTensor:
        return keras.KerasTensor(inputs.shape, dtype=inputs.dtype)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "limit": self.limit}


def _masked_maximum(features: Any, mask: Any) -> Any:
    if mask is not None:
        features = ops.where(mask[..., None], features, ops.cast(-1e9, features.dtype))
    return ops.max(features, axis=1)


def _lengths(features: Any, mask: Any) -> Any:
    """Number of real tokens of each text, (B, 1, 1)."""
    # Counted in float32: bfloat16 cannot tell 257 from 256.
    counted = ops.ones_like(features[..., 0], dtype="float32") if mask is None else ops.cast(mask, "float32")
    return ops.cast(ops.sum(counted, axis=1), features.dtype)[:, None, None]
