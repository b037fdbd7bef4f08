"""The training step and the inference step as TensorFlow graphs."""

from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from atnet.network.sparse_adam import SparseAdam


def compile_training_step(
    model: keras.Model, optimizer: SparseAdam, classes: int, temperature: float | None = None
) -> Callable[..., tf.Tensor]:
    """Compile a step: tokens (B, T), targets (B, C) and row weights (B,) -> the loss before the update.

    With a temperature, the targets are the two parts of `TrainingTargets.softened_N2C`, (B, 2C).
    """
    columns = classes if temperature is None else 2 * classes

    # jit_compile=False: XLA is slower than plain graphs for this network on a CPU.
    @tf.function(
        input_signature=[
            tf.TensorSpec((None, None), tf.int32),
            tf.TensorSpec((None, columns), tf.float32),
            tf.TensorSpec((None,), tf.float32),
        ],
        jit_compile=False,
    )
    def step(tokens: tf.Tensor, targets: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            logits = model(tokens, training=True)["logits"]
            if temperature is None:
                losses = tf.nn.softmax_cross_entropy_with_logits(targets, logits)
            else:
                losses = _softened_losses(targets, logits, temperature)
            loss = tf.reduce_mean(losses * weights)
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply(gradients, model.trainable_variables)
        return loss

    return step  # type: ignore[no-any-return]


def _softened_losses(targets: tf.Tensor, logits: tf.Tensor, temperature: float) -> tf.Tensor:
    """Add the cross-entropy with the labels and that with the teacher at a temperature, (B,)."""
    # Not softmax_cross_entropy_with_logits: its gradient holds only for targets that sum to 1.
    labels, teacher = tf.split(targets, 2, axis=1)
    softened = teacher * tf.nn.log_softmax(logits / temperature)
    return -tf.reduce_sum(labels * tf.nn.log_softmax(logits) + temperature**2 * softened, axis=1)


def compile_inference_step(model: keras.Model) -> Callable[[np.ndarray], tf.Tensor]:
    """Compile the network without dropout: tokens (B, T) -> logits (B, C)."""

    @tf.function(input_signature=[tf.TensorSpec((None, None), tf.int32)], jit_compile=False)
    def logits(tokens: tf.Tensor) -> tf.Tensor:
        return model(tokens, training=False)["logits"]

    return logits  # type: ignore[no-any-return]
