"""The state of a training after an epoch."""

from dataclasses import dataclass, field

import numpy as np

from atnet.config import TrainConfig


@dataclass(frozen=True, slots=True)
class Epoch:
    """The results of one pass over the training split; losses are in nats per text."""

    epoch: int
    learning_rate: float
    train_loss: float
    """Loss of the network alone, with dropout, on the training targets."""
    validation_loss: float
    """Loss of the whole model, combined with the wide branch, on the labels."""
    validation_accuracy: float
    """Accuracy of the whole model."""
    network_validation_loss: float
    """As the training loss: of the network alone, on targets and with row weights as in training, without dropout."""


@dataclass(frozen=True, slots=True)
class TrainingState:
    """Everything that training needs to continue after an epoch."""

    history: tuple[Epoch, ...] = ()
    weights: list[np.ndarray] = field(default_factory=list)
    """Weights and dropout states of the network, in the model's order; empty before the first epoch."""
    optimizer: list[np.ndarray] = field(default_factory=list)
    best_weights: list[np.ndarray] = field(default_factory=list)

    @property
    def best(self) -> Epoch:
        """The epoch with the lowest validation loss, the first of equals."""
        return min(self.history, key=lambda epoch: epoch.validation_loss)

    def is_finished(self, config: TrainConfig) -> bool:
        """Return whether all epochs are done or the validation loss no longer falls by `min_delta`."""
        if not self.history:
            return False
        last = self.history[-1].epoch
        return last >= config.epochs or last - self._last_gain(config.min_delta) >= config.patience

    def _last_gain(self, min_delta: float) -> int:
        """Return the last epoch whose loss is lower by `min_delta` than that of the gain before it."""
        epoch, reference = self.history[0].epoch, self.history[0].validation_loss
        for later in self.history[1:]:
            if later.validation_loss < reference - min_delta:
                epoch, reference = later.epoch, later.validation_loss
        return epoch
