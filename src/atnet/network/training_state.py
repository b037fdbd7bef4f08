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
    validation_loss: float
    validation_accuracy: float


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
        """Return whether all epochs are done or the validation loss has stopped falling."""
        if not self.history:
            return False
        last = self.history[-1].epoch
        return last >= config.epochs or last - self.best.epoch >= config.patience
