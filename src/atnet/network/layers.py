"""AtNet's layers.

Shapes: B texts, T tokens, D embedding dimensions, F filters, C labels. A mask is (B, T), true at tokens and false at
padding; without a mask every position counts.
"""

from typing import Any, Literal

import keras
import tensorflow as tf
from keras import ops

AttentionMode = Literal["published", "rescaled", "pooled"]


@keras.saving.register_keras_serializable(package="atnet")
class PaddingMask(keras.layers.Layer):
    """Compute the mask of tokens: (B, T) integers, where 0 is padding -> (B, T) booleans."""

    def call(self, inputs: Any) -> Any:
        return ops.not_equal(inputs, 0)

    def compute_output_spec(self, inputs: Any) -> keras.KerasTensor:
        return keras.KerasTensor(inputs.shape, dtype="bool")


@keras.saving.register_keras_serializable(package="atnet")
class WordEmbedding(keras.layers.Embedding):
    """Look up word vectors: (B, T) integers -> (B, T, D) float32.

    Keras reads the whole table first, which costs a copy of it in every training step; this layer reads only the rows
    of the batch.
    """

    def call(self, inputs: Any) -> Any:
        return tf.gather(self.embeddings.value, inputs)


@keras.saving.register_keras_serializable(package="atnet")
class StaticEmbedding(WordEmbedding):
    """A `WordEmbedding` that is not trained, beside one that is."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.trainable = False


@keras.saving.register_keras_serializable(package="atnet")
class MaskedDropout(keras.layers.Layer):
    """Set the features of padding to zero and, in training, drop whole features of each text at all its tokens.

    (B, T, D) -> (B, T, D). The remaining features are scaled up so that the expected sum does not change. Dropping
    whole features (Tompson et al. 2015) does as well here as dropping single values, and needs B x D random numbers
    instead of B x T x D.
    """

    def __init__(self, rate: float, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.supports_masking = True
        self.rate, self.seed = rate, seed
        self.seed_generator = keras.random.SeedGenerator(seed)
        self.built = True

    def call(self, inputs: Any, mask: Any = None, training: bool = False) -> Any:
        # One factor for both: each product over all values of a batch costs a noticeable part of the convolution.
        factor = 1.0 if mask is None else ops.cast(mask, inputs.dtype)[..., None]
        if training and self.rate > 0:
            ones = ops.ones_like(inputs[:, :1, :])
            factor = factor * keras.random.dropout(ones, self.rate, seed=self.seed_generator)
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
    """Compute attention over the tokens of a text and pool their features to one vector.

    (B, T, F) -> the pooled features (B, F) or, in mode `pooled`, (B, 2F); and the attention (B, T), which sums to 1.
    The score of a token is Dense(1, tanh) of its features; the attention is the softmax of the scores over the text.

    Modes:
        published: AtNet as in the article: attention times features, then the maximum over all positions, unmasked.
        rescaled: the same over real tokens only, the attention multiplied by their number, so that the pooled values
            do not shrink with the length of the text.
        pooled: the attention-weighted sum, concatenated with the maximum of the unweighted features; real tokens only.
    """

    def __init__(self, mode: AttentionMode, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.supports_masking = True
        self.mode = mode
        self.score = keras.layers.Dense(1, activation="tanh", dtype=self.dtype_policy, name="score")

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        self.score.build(input_shape)

    def call(self, inputs: Any, mask: Any = None) -> tuple[Any, Any]:
        attention = self._attention(inputs, mask)
        if self.mode == "pooled":
            weighted_sum = ops.matmul(ops.cast(attention, inputs.dtype)[:, None, :], inputs)[:, 0, :]
            return ops.concatenate([weighted_sum, _masked_max(inputs, mask)], axis=-1), attention
        weighted = inputs * ops.cast(attention, inputs.dtype)[..., None]
        if self.mode == "rescaled":
            return _masked_max(weighted * _lengths(inputs, mask), mask), attention
        return ops.max(weighted, axis=1), attention

    def _attention(self, inputs: Any, mask: Any) -> Any:
        # The softmax runs in float32: with the eight-bit mantissa of bfloat16 the attention would not sum to 1.
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
    """Turn the single logit z of a sigmoid into two logits (0, z), whose softmax is (1 - sigmoid(z), sigmoid(z)).

    (B, 1) -> (B, 2).
    """

    def call(self, inputs: Any) -> Any:
        return ops.concatenate([ops.zeros_like(inputs), inputs], axis=-1)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return (input_shape[0], 2)


@keras.saving.register_keras_serializable(package="atnet")
class FrequentTokens(keras.layers.Layer):
    """Replace every token id from `limit` on by the unknown word, id 1: (B, T) -> (B, T).

    Token ids are ordered by frequency, so these are the words that are too rare to have a vector.
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


def _masked_max(features: Any, mask: Any) -> Any:
    """Return the maximum over the tokens: (B, T, F) -> (B, F)."""
    if mask is not None:
        features = ops.where(mask[..., None], features, ops.cast(-1e9, features.dtype))
    return ops.max(features, axis=1)


def _lengths(features: Any, mask: Any) -> Any:
    """Count the real tokens of each text: (B, 1, 1)."""
    # In float32: bfloat16 cannot distinguish 257 from 256.
    tokens = ops.ones_like(features[..., 0], dtype="float32") if mask is None else ops.cast(mask, "float32")
    return ops.cast(ops.sum(tokens, axis=1), features.dtype)[:, None, None]
