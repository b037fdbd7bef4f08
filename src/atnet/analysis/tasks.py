"""Learn from some rows, answer for other texts: the one form in which the analyses use a model.

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
    """What to learn from, and what to answer."""

    train: pd.DataFrame
    stopping: pd.DataFrame
    """Rows by which training is stopped, or the strength of regularization chosen."""
    texts: list[str]


@dataclass(frozen=True, slots=True)
class LearnerPredictions:
    """The probabilities that models of one task gave to its texts."""

    labels: list[str]
    """Sorted, those of the task's training rows."""
    probabilities: Floats
    """(S, N, C), one row of S for each seed."""

    def over(self, labels: Sequence[str]) -> Floats:
        """Give (S, N, C) over these labels; one that the models never saw has probability 0."""
        wide = np.zeros((*self.probabilities.shape[:2], len(labels)))
        wide[:, :, [labels.index(label) for label in self.labels]] = self.probabilities
        return wide


Learner = Callable[[Sequence[Task]], Iterator[LearnerPredictions]]
"""Does tasks in turn, each from the start: no word, vector or weight of one task is known in another."""


def linear_learner(name: str, config: BaselineConfig) -> Learner:
    """Learn with one of the linear baselines; its result depends on no seed worth repeating, so S is 1."""

    def learn(tasks: Sequence[Task]) -> Iterator[LearnerPredictions]:
        for task in tasks:
            fitted = fit_baselines(task.train, task.stopping, config)
            yield LearnerPredictions(fitted.labels, fitted.probabilities(task.texts)[name][None])

    return learn
