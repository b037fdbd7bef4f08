"""The layers that set the wide branch beside the network.

Shapes: B texts, T tokens, C labels.
"""

from typing import Any

import keras
from keras import ops

from atnet.text.ngrams import RUN_FACTOR


@keras.saving.register_keras_serializable(package="atnet")
class WideNgrams(keras.layers.Layer):
    """Tell what the words, and runs of up to `longest` words, of a text say for each class, wherever they stand.

    (B, T) tokens -> what is said at each token, (B, T, C); the sum over the tokens is the branch's logits but for its
    intercept, which `BlendLogits` adds. A word says its weight over the root of the text's different words and runs,
    and its spelling's weight over the root of its different words' n-grams of characters. What stands several
    times is said once, in equal shares; what a run says is parted evenly among its words. Nothing is trained here: the
    weights come from `atnet.wide.branch`. Two classes share one column of opposite signs.
    """

    def __init__(self, vocabulary_size: int, slots: int, classes: int, longest: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.trainable = False
        self.vocabulary_size, self.slots, self.classes, self.longest = vocabulary_size, slots, classes, longest

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        columns = 1 if self.classes == 2 else self.classes
        self.words = self._table("words", (self.vocabulary_size, columns))
        self.runs = self._table("runs", (self.slots, columns))
        self.numbers = self._table("numbers", (self.slots,), dtype="int64")
        self.spelling = self._table("spelling", (self.vocabulary_size, columns))
        self.letters = self._table("letters", (self.vocabulary_size,))

    def _table(self, name: str, shape: tuple[int, ...], dtype: str = "float32") -> Any:
        return self.add_weight(name=name, shape=shape, dtype=dtype, initializer="zeros", trainable=False)

    def call(self, inputs: Any) -> Any:
        # In int64: the product overflows in int32, and then ONNX Runtime and TensorFlow differ.
        # Widened, so that a batch of one-token texts has room for the longest run, and cut again at the end.
        beyond = self.longest - 2
        tokens = ops.pad(ops.cast(inputs, "int64"), [[0, 0], [0, beyond]])
        numbers = [_numbers(tokens, length) for length in range(1, self.longest + 1)]
        shares = [_shares(one, _present(tokens, length)) for length, one in enumerate(numbers, start=1)]
        features = sum(ops.sum(one, axis=1, keepdims=True) for one in shares)
        letters = ops.sum(ops.take(self.letters, tokens) * shares[0], axis=1, keepdims=True)
        words = ops.take(self.words, tokens, axis=0) / _root(features)
        words = words + ops.take(self.spelling, tokens, axis=0) / _root(letters)
        said = words * shares[0][..., None]
        for length in range(2, self.longest + 1):
            runs = self._runs(numbers[length - 1]) * shares[length - 1][..., None] / _root(features)
            said = said + _parted(runs, length)
        said = said[:, :-beyond] if beyond else said
        return said if self.classes > 2 else ops.concatenate([-said / 2, said / 2], axis=-1)

    def _runs(self, numbers: Any) -> Any:
        places = numbers % self.slots
        known = ops.equal(ops.take(self.numbers, places), numbers)
        return ops.take(self.runs, places, axis=0) * ops.cast(known, "float32")[..., None]

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return (*input_shape, self.classes)

    def get_config(self) -> dict[str, Any]:
        names = ("vocabulary_size", "slots", "classes", "longest")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


@keras.saving.register_keras_serializable(package="atnet")
class BlendLogits(keras.layers.Layer):
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


def _numbers(tokens: Any, length: int) -> Any:
    """Number the runs of so many tokens: (B, T - length + 1)."""
    numbers = tokens
    for place in range(1, length):
        numbers = numbers[:, :-1] * RUN_FACTOR + tokens[:, place:]
    return numbers


def _present(tokens: Any, length: int) -> Any:
    """Tell which runs of so many tokens end before the padding: (B, T - length + 1) booleans."""
    # No padding stands between tokens.
    return tokens[:, length - 1 :] > 0


def _parted(runs: Any, length: int) -> Any:
    """Give each word of a run an equal part of what the run says: (B, T - length + 1, K) -> (B, T, K)."""
    places = [ops.pad(runs, [[0, 0], [place, length - 1 - place], [0, 0]]) for place in range(length)]
    return sum(places) / length


def _shares(features: Any, present: Any) -> Any:
    """Give one over how often each feature stands in its text, zero where there is none: (B, T) float32."""
    alike = ops.equal(features[:, :, None], features[:, None, :]) & present[:, None, :]
    times = ops.sum(ops.cast(alike, "float32"), axis=2)
    return ops.cast(present, "float32") / ops.maximum(times, 1.0)


def _root(counts: Any) -> Any:
    return ops.sqrt(ops.maximum(counts, 1.0))[..., None]
