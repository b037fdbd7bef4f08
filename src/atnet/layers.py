"""AtNet's layers.

Shapes: B texts, T tokens, D embedding values, F filters, C labels. A mask is (B, T), true where a token stands and
false where there is padding; None means that every position counts.
"""

from typing import Any, Literal

import keras
from keras import ops

from atnet.ngrams import PAIR_FACTOR

AttentionMode = Literal["seed", "rescaled", "pooled"]


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
class FrequentTokens(keras.layers.Layer):
    """Take every token from id `limit` on for the unknown word, id 1: (B, T) -> (B, T).

    Token ids are ordered by frequency, so these are the words too rare to have learnt a vector.
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


@keras.saving.register_keras_serializable(package="atnet")
class WideNgrams(keras.layers.Layer):
    """Tell what the words and word pairs of a text say for each class, without regard to order.

    (B, T) tokens -> what is said at each token, (B, T, C); the sum over the tokens is the branch's logits but for its
    intercept, which `BothBranches` adds. A word says its weight over the root of the text's different words and pairs,
    and its spelling's weight over the root of its different words' n-grams of characters. What stands several
    times is said once, in equal shares; what a pair says is halved between its two words. Nothing is trained here: the
    weights come from `atnet.wide`. Two classes share one column of opposite signs.
    """

    def __init__(self, vocabulary_size: int, slots: int, classes: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.trainable = False
        self.vocabulary_size, self.slots, self.classes = vocabulary_size, slots, classes

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        columns = 1 if self.classes == 2 else self.classes
        self.words = self._table("words", (self.vocabulary_size, columns))
        self.pairs = self._table("pairs", (self.slots, columns))
        self.numbers = self._table("numbers", (self.slots,), dtype="int64")
        self.spelling = self._table("spelling", (self.vocabulary_size, columns))
        self.letters = self._table("letters", (self.vocabulary_size,))

    def _table(self, name: str, shape: tuple[int, ...], dtype: str = "float32") -> Any:
        return self.add_weight(name=name, shape=shape, dtype=dtype, initializer="zeros", trainable=False)

    def call(self, inputs: Any) -> Any:
        tokens = ops.cast(inputs, "int64")
        # In int64: the product overflows in int32, and then ONNX Runtime and TensorFlow differ.
        numbers = tokens[:, :-1] * PAIR_FACTOR + tokens[:, 1:]
        word_shares = _shares(tokens, tokens > 0)
        pair_shares = _shares(numbers, (tokens[:, :-1] > 0) & (tokens[:, 1:] > 0))
        features = ops.sum(word_shares, axis=1, keepdims=True) + ops.sum(pair_shares, axis=1, keepdims=True)
        letters = ops.sum(ops.take(self.letters, tokens) * word_shares, axis=1, keepdims=True)
        words = ops.take(self.words, tokens, axis=0) / _root(features)
        words = words + ops.take(self.spelling, tokens, axis=0) / _root(letters)
        pairs = self._pairs(numbers) * pair_shares[..., None] / _root(features)
        halves = (ops.pad(pairs, [[0, 0], [0, 1], [0, 0]]) + ops.pad(pairs, [[0, 0], [1, 0], [0, 0]])) / 2
        said = words * word_shares[..., None] + halves
        return said if self.classes > 2 else ops.concatenate([-said / 2, said / 2], axis=-1)

    def _pairs(self, numbers: Any) -> Any:
        places = numbers % self.slots
        known = ops.equal(ops.take(self.numbers, places), numbers)
        return ops.take(self.pairs, places, axis=0) * ops.cast(known, "float32")[..., None]

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return (*input_shape, self.classes)

    def get_config(self) -> dict[str, Any]:
        sizes = {"vocabulary_size": self.vocabulary_size, "slots": self.slots, "classes": self.classes}
        return {**super().get_config(), **sizes}


@keras.saving.register_keras_serializable(package="atnet")
class BothBranches(keras.layers.Layer):
    """Add up the network's logits and what the wide branch says, each with its weight.

    [(B, C), (B, T, C)] -> the logits (B, C), and the wide branch's weighted say (B, T, C). The weights are fitted,
    not trained.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.trainable = False

    def build(self, input_shape: list[tuple[int | None, ...]]) -> None:
        self.weight = self.add_weight(name="weight", shape=(2,), initializer="ones", trainable=False)
        self.intercept = self.add_weight(
            name="intercept", shape=(input_shape[0][-1],), initializer="zeros", trainable=False
        )

    def call(self, inputs: Any) -> tuple[Any, Any]:
        deep, said = inputs
        said = said * self.weight[1]
        return deep * self.weight[0] + ops.sum(said, axis=1) + self.intercept * self.weight[1], said

    def compute_output_shape(self, input_shape: Any) -> Any:
        deep, said = input_shape
        return deep, said


def _shares(features: Any, present: Any) -> Any:
    """Give one over how often each feature stands in its text, zero where there is none: (B, T) float32."""
    alike = ops.equal(features[:, :, None], features[:, None, :]) & present[:, None, :]
    times = ops.sum(ops.cast(alike, "float32"), axis=2)
    return ops.cast(present, "float32") / ops.maximum(times, 1.0)


def _root(counts: Any) -> Any:
    return ops.sqrt(ops.maximum(counts, 1.0))[..., None]


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
