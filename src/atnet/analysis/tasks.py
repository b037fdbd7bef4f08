"""Train on some rows, predict other texts: the interface through which the analyses use a model.

Letters in array names: S seeds, N texts, C labels.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from atnet.baselines.baselines import LINEAR, fit_baselines
from atnet.config import BaselineConfig
from atnet.evaluation.metrics import Floats

NETWORK = "atnet"
MODELS = (NETWORK, *LINEAR)


@dataclass(frozen=True, slots=True)
class Task:
    """What to train on, and what to predict."""

    train: pd.DataFrame
    validation: pd.DataFrame
    """Rows that stop the training or select the regularization strength."""
    texts: list[str]


@dataclass(frozen=True, slots=True)
class TaskPredictions:
    """The probabilities that the models of one task predict for its texts."""

    labels: list[str]
    """Sorted, those of the task's training rows."""
    probabilities: Floats
    """(S, N, C), one model per seed."""

    def aligned_to(self, labels: Sequence[str]) -> Floats:
        """Return (S, N, C) over these labels; a label that the models were not trained on has probability 0."""
        aligned = np.zeros((*self.probabilities.shape[:2], len(labels)))
        aligned[:, :, [labels.index(label) for label in self.labels]] = self.probabilities
        return aligned


Learner = Callable[[Sequence[Task]], Iterator[TaskPredictions]]
"""Trains for one task after the other, each from scratch: no vocabulary, vector or weight is shared between tasks."""


def linear_learner(name: str, config: BaselineConfig) -> Learner:
    """Build a learner from one of the linear baselines; S is 1, because its result hardly depends on a seed."""

    def learn(tasks: Sequence[Task]) -> Iterator[TaskPredictions]:
        for task in tasks:
            fitted = fit_baselines(task.train, task.validation, config, models=[name])
            yield TaskPredictions(fitted.labels, fitted.probabilities(task.texts)[name][None])

    return learn
