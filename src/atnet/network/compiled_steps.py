"""The training step and the inference step as TensorFlow graphs, and the precision they compute in."""

from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from atnet.config import TrainConfig
from atnet.network.sparse_adam import SparseAdam


def computation_precision(config: TrainConfig, cpu_flags: set[str]) -> str:
    """Return the Keras dtype policy to compute in: bfloat16 only where the CPU has instructions for it."""
    has_bfloat16 = bool(cpu_flags & {"avx512_bf16", "amx_bf16", "bf16"})
    use_bfloat16 = config.precision == "bfloat16" or (config.precision == "auto" and has_bfloat16)
    return "mixed_bfloat16" if use_bfloat16 else "float32"


def compile_training_step(model: keras.Model, optimizer: SparseAdam, classes: int) -> Callable[..., tf.Tensor]:
    """Compile a step: tokens (B, T), targets (B, C) and row weights (B,) -> the loss before the update."""

    # jit_compile=False: XLA is slower than plain graphs for this network on a CPU.
    @tf.function(
        input_signature=[
            tf.TensorSpec((None, None), tf.int32),
            tf.TensorSpec((None, classes), tf.float32),
            tf.TensorSpec((None,), tf.float32),
        ],
        jit_compile=False,
    )
    def step(tokens: tf.Tensor, targets: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            logits = model(tokens, training=True)["logits"]
            losses = tf.nn.softmax_cross_entropy_with_logits(targets, logits)
            loss = tf.reduce_mean(losses * weights)
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply(gradients, model.trainable_variables)
        return loss

    return step  # type: ignore[no-any-return]


def compile_inference_step(model: keras.Model) -> Callable[[np.ndarray], tf.Tensor]:
    """Compile the network without dropout: tokens (B, T) -> logits (B, C)."""

    @tf.function(input_signature=[tf.TensorSpec((None, None), tf.int32)], jit_compile=False)
    def logits(tokens: tf.Tensor) -> tf.Tensor:
        return model(tokens, training=False)["logits"]

    return logits  # type: ignore[no-any-return]
