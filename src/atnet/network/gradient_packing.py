"""All gradients of a step in one vector, so that workers exchange them in one collective operation.

Shapes: U distinct token ids of a batch, D embedding dimensions.
"""

import keras
import tensorflow as tf

from atnet.network.layers import WordEmbedding


class GradientPacking:
    """The order of a network's gradients in the vector.

    The gradient of an embedding is sparse, and workers have different rows of it. Each puts its rows into the places of
    the whole batch's rows, which all workers know; so the sum needs no exchange of indices.
    """

    def __init__(self, model: keras.Model) -> None:
        """Take the trainable variables of a network."""
        self.variables: list[keras.Variable] = model.trainable_variables
        self._embeddings = {id(layer.embeddings) for layer in model.layers if isinstance(layer, WordEmbedding)}

    def pack(self, loss: tf.Tensor, gradients: list[tf.Tensor | tf.IndexedSlices], token_ids_U: tf.Tensor) -> tf.Tensor:
        """Return the loss and the gradients as one vector."""
        parts = [_rows_UD(part, token_ids_U) if isinstance(part, tf.IndexedSlices) else part for part in gradients]
        return tf.concat([tf.reshape(part, [-1]) for part in (loss, *parts)], axis=0)

    def unpack(self, packed: tf.Tensor, token_ids_U: tf.Tensor) -> tuple[tf.Tensor, list[tf.Tensor | tf.IndexedSlices]]:
        """Return the loss and the gradients in the form that the optimizer reads."""
        shapes = [self._shape(variable, token_ids_U) for variable in self.variables]
        loss, *parts = tf.split(packed, [1, *(tf.reduce_prod(shape) for shape in shapes)])
        gradients = [tf.reshape(part, shape) for part, shape in zip(parts, shapes, strict=True)]
        return loss[0], [
            tf.IndexedSlices(gradient, token_ids_U) if id(variable) in self._embeddings else gradient
            for gradient, variable in zip(gradients, self.variables, strict=True)
        ]

    def _shape(self, variable: keras.Variable, token_ids_U: tf.Tensor) -> tf.Tensor:
        if id(variable) not in self._embeddings:
            return tf.constant(tuple(variable.shape), tf.int32)
        return tf.stack([tf.size(token_ids_U), variable.shape[1]])


def _rows_UD(gradient: tf.IndexedSlices, token_ids_U: tf.Tensor) -> tf.Tensor:
    """Add up the gradient's rows per token id."""
    places = tf.searchsorted(token_ids_U, tf.cast(gradient.indices, tf.int32))
    return tf.math.unsorted_segment_sum(gradient.values, places, tf.size(token_ids_U))
