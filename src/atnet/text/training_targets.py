"""What network and wide branch learn of each training row: its label, its rating or its teacher's probabilities.

The loss of a row with logits z is (1 - s) H(label, z) + s T^2 H(teacher at T, z / T), with the cross-entropy H, the
teacher's share s and the temperature T (Hinton et al. 2015, section 2). At T = 1 both parts are one cross-entropy with
mixed targets. As T grows, the second part approaches the squared difference of the logits, which Tang et al. (2019)
use.

Shapes: N texts, C classes.
"""

from dataclasses import dataclass

import numpy as np

from atnet.config import TrainConfig
from atnet.text.encoded_split import EncodedSplit, class_targets


@dataclass(frozen=True, slots=True)
class TrainingTargets:
    """The targets of a split."""

    mixed_NC: np.ndarray
    """Class probabilities, float32: labels and teacher mixed by the teacher's share, at temperature 1."""
    softened_N2C: np.ndarray | None = None
    """The two parts of the loss at a higher temperature: labels times (1 - s), then the teacher's softened
    probabilities times s. None at temperature 1, and without a teacher."""
    temperature: float | None = None
    """None where `softened_N2C` is."""

    @property
    def values(self) -> np.ndarray:
        """What a training step reads: (N, C), or (N, 2C) if there are two parts."""
        return self.mixed_NC if self.softened_N2C is None else self.softened_N2C

    def mean_loss(self, logits_NC: np.ndarray, weights_N: np.ndarray) -> float:
        """Return the mean weighted loss of logits in nats, as the training step does."""
        if self.softened_N2C is None or self.temperature is None:
            losses = np.logaddexp.reduce(logits_NC, axis=1) - (self.mixed_NC * logits_NC).sum(axis=1)
        else:
            labels, teacher = np.split(self.softened_N2C, 2, axis=1)
            softened = teacher * _log_softmax(logits_NC / self.temperature)
            losses = -(labels * _log_softmax(logits_NC) + self.temperature**2 * softened).sum(axis=1)
        return float((losses * weights_N).mean())


def training_targets(split: EncodedSplit, *, classes: int, config: TrainConfig) -> TrainingTargets:
    """Compute the targets of a split; without a teacher, those of `class_targets`."""
    labels_NC = class_targets(split, classes=classes, soft_target_slope=config.soft_target_slope)
    if split.teacher is None:
        return TrainingTargets(labels_NC)
    has_teacher_N = ~np.isnan(split.teacher[:, 0])
    share_N = np.where(split.is_hard, np.float32(config.teacher_weight), np.float32(1)) * has_teacher_N
    share_N1 = share_N[:, None].astype(np.float32)
    teacher_NC = np.where(has_teacher_N[:, None], split.teacher, np.float32(0))
    labels_NC = labels_NC * (1 - share_N1)
    mixed_NC = labels_NC + teacher_NC * share_N1
    if config.teacher_temperature == 1:
        return TrainingTargets(mixed_NC)
    softened_NC = soften(teacher_NC, config.teacher_temperature) * share_N1
    return TrainingTargets(mixed_NC, np.concatenate([labels_NC, softened_NC], axis=1), config.teacher_temperature)


def soften(probability_NC: np.ndarray, temperature: float) -> np.ndarray:
    """Return the probabilities of the same logits divided by the temperature; rows of zeros stay zeros."""
    powers = probability_NC ** np.float32(1 / temperature)
    softened: np.ndarray = powers / np.maximum(powers.sum(axis=1, keepdims=True), np.finfo(np.float32).tiny)
    return softened


def _log_softmax(logits_NC: np.ndarray) -> np.ndarray:
    normalized: np.ndarray = logits_NC - np.logaddexp.reduce(logits_NC, axis=1)[:, None]
    return normalized
