"""The training step and the inference step as TensorFlow graphs."""

from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from atnet.network.gradient_packing import GradientPacking
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
            loss = tf.reduce_mean(_losses(targets, logits, temperature) * weights)
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply(gradients, model.trainable_variables)
        return loss

    return step  # type: ignore[no-any-return]


def compile_parallel_step(
    model: keras.Model,
    optimizer: SparseAdam,
    strategy: tf.distribute.Strategy,
    classes: int,
    temperature: float | None = None,
) -> Callable[..., tf.Tensor]:
    """Compile the step of one of several workers, which returns the loss of the whole batch, as the others do.

    Tokens (B, T), targets (B, C) and row weights (B,) are this worker's share of the batch; weights are divided by the
    rows of the whole batch. `token_ids_U` are the sorted token ids of the whole batch, as the embedding sees them.
    """
    columns = classes if temperature is None else 2 * classes
    packing = GradientPacking(model)
    gradients_of_all = _summed_gradients(model, packing, temperature)

    @tf.function(
        input_signature=[
            tf.TensorSpec((None, None), tf.int32),
            tf.TensorSpec((None, columns), tf.float32),
            tf.TensorSpec((None,), tf.float32),
            tf.TensorSpec((None,), tf.int32),
        ],
        jit_compile=False,
    )
    def step(tokens: tf.Tensor, targets: tf.Tensor, weights: tf.Tensor, token_ids_U: tf.Tensor) -> tf.Tensor:
        packed = strategy.run(gradients_of_all, args=(tokens, targets, weights, token_ids_U))
        loss, gradients = packing.unpack(packed, token_ids_U)
        # Outside of strategy.run: the variables are this worker's own, and every worker makes the same update.
        optimizer.apply(gradients, packing.variables)
        return loss

    return step  # type: ignore[no-any-return]


def _summed_gradients(
    model: keras.Model, packing: GradientPacking, temperature: float | None
) -> Callable[..., tf.Tensor]:
    """Return what runs in every worker: loss and gradients of its share, packed and summed over the workers."""

    def gradients(tokens: tf.Tensor, targets: tf.Tensor, weights: tf.Tensor, token_ids_U: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            logits = model(tokens, training=True)["logits"]
            loss = tf.reduce_sum(_losses(targets, logits, temperature) * weights)
        packed = packing.pack(loss, tape.gradient(loss, packing.variables), token_ids_U)
        return tf.distribute.get_replica_context().all_reduce("sum", packed)

    return gradients


def _losses(targets: tf.Tensor, logits: tf.Tensor, temperature: float | None) -> tf.Tensor:
    """Return the cross-entropy of each text in nats, (B,)."""
    if temperature is None:
        return tf.nn.softmax_cross_entropy_with_logits(targets, logits)
    return _softened_losses(targets, logits, temperature)


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
