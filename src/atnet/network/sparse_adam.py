"""Adam that updates only the embedding rows of the current batch."""

from typing import Any

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable(package="atnet")
class SparseAdam(keras.optimizers.Adam):
    """Adam (Kingma & Ba 2015) whose sparse gradients update only the rows that occur, known as lazy Adam.

    Dense Adam decays the moments of every row in every step; for a large embedding that is the largest single cost of
    training on a CPU. Here a row's moments do not change until the row occurs again, so the two differ for rare words.
    Dense gradients are treated as in Adam.
    """

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        if not isinstance(gradient, tf.IndexedSlices):
            super().update_step(gradient, variable, learning_rate)
            return
        rows, position = tf.unique(gradient.indices)
        row_gradient = tf.math.unsorted_segment_sum(gradient.values, position, tf.size(rows))
        step = tf.cast(self.iterations + 1, tf.float32)
        correction = tf.sqrt(1 - tf.pow(self.beta_2, step)) / (1 - tf.pow(self.beta_1, step))
        index = self._get_variable_index(variable)
        momentums, velocities = self._momentums[index].value, self._velocities[index].value
        mean = self.beta_1 * tf.gather(momentums, rows) + (1 - self.beta_1) * row_gradient
        square = self.beta_2 * tf.gather(velocities, rows) + (1 - self.beta_2) * tf.square(row_gradient)
        change = tf.cast(learning_rate, tf.float32) * correction * mean / (tf.sqrt(square) + self.epsilon)
        momentums.scatter_update(tf.IndexedSlices(mean, rows))
        velocities.scatter_update(tf.IndexedSlices(square, rows))
        # Gather and update: `scatter_sub` takes twice the time of both.
        variable.scatter_update(tf.IndexedSlices(tf.gather(variable, rows) - change, rows))
