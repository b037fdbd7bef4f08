"""Adam that touches only the rows of a table which occurred in the batch."""

from typing import Any

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable(package="atnet")
class SparseAdam(keras.optimizers.Adam):
    """Adam (Kingma & Ba 2015) whose sparse gradients update only the rows that occur.

    Dense Adam decays the moments of every row in every step; over a large embedding that is the largest single
    cost of training on a CPU. Here a row's moments rest until the row occurs again (known as lazy Adam), so
    the two differ for rare words. Dense gradients are treated as Adam treats them.
    """

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        if not isinstance(gradient, tf.IndexedSlices):
            super().update_step(gradient, variable, learning_rate)
            return
        rows, position = tf.unique(gradient.indices)
        slope = tf.math.unsorted_segment_sum(gradient.values, position, tf.size(rows))
        step = tf.cast(self.iterations + 1, tf.float32)
        correction = tf.sqrt(1 - tf.pow(self.beta_2, step)) / (1 - tf.pow(self.beta_1, step))
        index = self._get_variable_index(variable)
        first, second = self._momentums[index].value, self._velocities[index].value
        mean = self.beta_1 * tf.gather(first, rows) + (1 - self.beta_1) * slope
        square = self.beta_2 * tf.gather(second, rows) + (1 - self.beta_2) * tf.square(slope)
        change = tf.cast(learning_rate, tf.float32) * correction * mean / (tf.sqrt(square) + self.epsilon)
        first.scatter_update(tf.IndexedSlices(mean, rows))
        second.scatter_update(tf.IndexedSlices(square, rows))
        # Gathered and set again: `scatter_sub` takes twice the time of both.
        variable.scatter_update(tf.IndexedSlices(tf.gather(variable, rows) - change, rows))
