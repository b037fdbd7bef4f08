"""The Keras layers that combine the wide branch with the network.

Shapes: B texts, T tokens, C labels, K weight columns (see `weight_columns`).
"""

from typing import Any

import keras
from keras import ops

from atnet.text.ngrams import NGRAM_BASE, weight_columns

TABLES = ("word_weights", "ngram_weights", "ngram_ids", "char_ngram_weights", "char_ngram_counts")
"""The fields of `WideBranch` that `WideNgrams` holds, in this order."""


@keras.saving.register_keras_serializable(package="atnet")
class WideNgrams(keras.layers.Layer):
    """Compute the wide branch's contribution of each token to the logits: (B, T) tokens -> (B, T, C).

    The sum over the tokens is the branch's logits without the intercept, which `BlendLogits` adds. A word contributes
    its weight over the square root of the text's distinct words and n-grams, and the weight of its character n-grams
    over the square root of the number of character n-grams of the text's distinct words. A feature that occurs several
    times counts once, shared equally among its occurrences; a word n-gram is shared equally among its words. Nothing is
    trained here: the weights come from `atnet.wide.branch`. Two classes share one column of opposite signs.
    """

    def __init__(self, vocabulary_size: int, slots: int, classes: int, max_n: int, **kwargs: Any) -> None:
        # Sums over a text need float32 under every dtype policy.
        super().__init__(**{**kwargs, "dtype": "float32"})
        self.trainable = False
        self.vocabulary_size, self.slots, self.classes, self.max_n = vocabulary_size, slots, classes, max_n

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        columns = weight_columns(self.classes)
        self.word_weights = self._table("word_weights", (self.vocabulary_size, columns))
        self.ngram_weights = self._table("ngram_weights", (self.slots, columns))
        self.ngram_ids = self._table("ngram_ids", (self.slots,), dtype="int64")
        self.char_ngram_weights = self._table("char_ngram_weights", (self.vocabulary_size, columns))
        self.char_ngram_counts = self._table("char_ngram_counts", (self.vocabulary_size,))

    def _table(self, name: str, shape: tuple[int, ...], dtype: str = "float32") -> Any:
        return self.add_weight(name=name, shape=shape, dtype=dtype, initializer="zeros", trainable=False)

    def call(self, inputs: Any) -> Any:
        # In int64: n-gram ids overflow int32, and then ONNX Runtime and TensorFlow differ.
        # Padded, so that a batch of one-token texts has room for the longest n-gram; the end is cut off again.
        extra = self.max_n - 2
        tokens = ops.pad(ops.cast(inputs, "int64"), [[0, 0], [0, extra]])
        ids = [_ngram_ids(tokens, n) for n in range(1, self.max_n + 1)]
        shares = [_occurrence_shares(ngrams, _is_ngram(tokens, n)) for n, ngrams in enumerate(ids, start=1)]
        distinct = sum(ops.sum(share, axis=1, keepdims=True) for share in shares)
        char_ngrams = ops.sum(ops.take(self.char_ngram_counts, tokens) * shares[0], axis=1, keepdims=True)
        words = ops.take(self.word_weights, tokens, axis=0) / _sqrt_column(distinct)
        words = words + ops.take(self.char_ngram_weights, tokens, axis=0) / _sqrt_column(char_ngrams)
        contributions = words * shares[0][..., None]
        for n in range(2, self.max_n + 1):
            ngrams = self._lookup(ids[n - 1]) * shares[n - 1][..., None] / _sqrt_column(distinct)
            contributions = contributions + _spread_over_words(ngrams, n)
        contributions = contributions[:, :-extra] if extra else contributions
        return contributions if self.classes > 2 else ops.concatenate([-contributions / 2, contributions / 2], axis=-1)

    def _lookup(self, ids: Any) -> Any:
        """Return the weights (B, T, K) of word n-grams, zero for those that are not in the table."""
        slots = ids % self.slots
        in_table = ops.equal(ops.take(self.ngram_ids, slots), ids)
        return ops.take(self.ngram_weights, slots, axis=0) * ops.cast(in_table, "float32")[..., None]

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return (*input_shape, self.classes)

    def get_config(self) -> dict[str, Any]:
        names = ("vocabulary_size", "slots", "classes", "max_n")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


@keras.saving.register_keras_serializable(package="atnet")
class BlendLogits(keras.layers.Layer):
    """Add the network's logits and the wide branch's contributions, each multiplied by its weight.

    [(B, C), (B, T, C)] -> the logits (B, C), and the weighted contributions of the wide branch (B, T, C). The weights
    are fitted on the validation split, not trained.
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
        deep, wide = inputs
        wide = wide * self.weight[1]
        return deep * self.weight[0] + ops.sum(wide, axis=1) + self.intercept * self.weight[1], wide

    def compute_output_shape(self, input_shape: Any) -> Any:
        deep, wide = input_shape
        return deep, wide


def _ngram_ids(tokens: Any, n: int) -> Any:
    """Return the ids of the n-grams of n tokens: (B, T - n + 1)."""
    ids = tokens
    for position in range(1, n):
        ids = ids[:, :-1] * NGRAM_BASE + tokens[:, position:]
    return ids


def _is_ngram(tokens: Any, n: int) -> Any:
    """Return which n-grams of n tokens end before the padding: (B, T - n + 1) booleans."""
    # There is no padding between tokens.
    return tokens[:, n - 1 :] > 0


def _spread_over_words(ngrams: Any, n: int) -> Any:
    """Share the contribution of each n-gram equally among its words: (B, T - n + 1, K) -> (B, T, K)."""
    shifted = [ops.pad(ngrams, [[0, 0], [shift, n - 1 - shift], [0, 0]]) for shift in range(n)]
    return sum(shifted) / n


def _occurrence_shares(features: Any, present: Any) -> Any:
    """Return 1 / (occurrences of the feature in its text), zero where no feature is present: (B, T) float32."""
    equal = ops.equal(features[:, :, None], features[:, None, :]) & present[:, None, :]
    occurrences = ops.sum(ops.cast(equal, "float32"), axis=2)
    return ops.cast(present, "float32") / ops.maximum(occurrences, 1.0)


def _sqrt_column(counts: Any) -> Any:
    return ops.sqrt(ops.maximum(counts, 1.0))[..., None]
