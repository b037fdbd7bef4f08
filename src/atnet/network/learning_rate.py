"""The learning-rate schedules of training."""

import keras

from atnet.config import TrainConfig


def learning_rate_schedule(
    config: TrainConfig, steps_per_epoch: int
) -> float | keras.optimizers.schedules.LearningRateSchedule:
    """Return the constant learning rate, or its cosine decay to zero over all epochs (Loshchilov & Hutter 2017)."""
    if config.schedule == "cosine":
        return keras.optimizers.schedules.CosineDecay(config.learning_rate, steps_per_epoch * config.epochs)
    return config.learning_rate
