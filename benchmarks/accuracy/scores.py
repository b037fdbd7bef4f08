"""Accuracy, macro-F1 and calibration of several models on the same rows, with intervals over texts and seeds.

Every resample draws rows with replacement, the same rows for all models, and for each model draws its seeds with
replacement, independently or the same seeds for all models. With few seeds their part of the variance is somewhat
underestimated (by the factor 1 - 1/seeds).

Letters in array names: N rows, C classes, S seeds, B resamples.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from atnet.evaluation.bootstrap import Interval, interval, resample_counts
from atnet.evaluation.calibration import expected_calibration_error
from atnet.evaluation.metrics import count_classes

SAMPLES = 2000
CONFIDENCE = 0.95
BINS = 15
SEED = 13


@dataclass(frozen=True, slots=True)
class ModelScores:
    """The scores of one model, means over its seeds."""

    accuracy: Interval
    macro_f1: Interval
    calibration_error: float
    accuracy_B: np.ndarray
    """Of each resample, for the comparison with another model of the same call."""


def score_models(
    actual_N: np.ndarray, predicted: Mapping[str, Sequence[np.ndarray]], *, paired_seeds: bool = False
) -> dict[str, ModelScores]:
    """Score each model.

    Args:
        actual_N: the class ids.
        predicted: model -> the (N, C) probabilities of each of its seeds.
        paired_seeds: draw the same seeds for all models: for variants of one model, trained with the same seeds.
    """
    classes = next(iter(predicted.values()))[0].shape[1]
    labels = {name: [values_NC.argmax(axis=1) for values_NC in seeds] for name, seeds in predicted.items()}
    resampled = resample_counts(
        actual_N,
        [label_N for seeds in labels.values() for label_N in seeds],
        classes,
        samples=SAMPLES,
        rng=np.random.default_rng([SEED, 0]),
    )
    scores = {}
    for place, (name, seeds) in enumerate(labels.items()):
        counts, resampled = resampled[: len(seeds)], resampled[len(seeds) :]
        weights_BS = draw_seeds(len(seeds), np.random.default_rng([SEED, 1 if paired_seeds else 1 + place]))
        accuracy_B = (weights_BS * np.stack([count.accuracy for count in counts], axis=1)).sum(axis=1)
        f1_B = (weights_BS * np.stack([count.macro_f1 for count in counts], axis=1)).sum(axis=1)
        exact = [count_classes(actual_N, label_N, classes) for label_N in seeds]
        scores[name] = ModelScores(
            accuracy=interval(float(np.mean([count.accuracy for count in exact])), accuracy_B, CONFIDENCE),
            macro_f1=interval(float(np.mean([count.macro_f1 for count in exact])), f1_B, CONFIDENCE),
            calibration_error=float(
                np.mean([expected_calibration_error(actual_N, values_NC, BINS) for values_NC in predicted[name]])
            ),
            accuracy_B=accuracy_B,
        )
    return scores


def draw_seeds(seeds: int, rng: np.random.Generator) -> np.ndarray:
    """Draw as many seeds as there are, with replacement, and return each seed's share, (B, S)."""
    return rng.multinomial(seeds, np.full(seeds, 1 / seeds), size=SAMPLES) / seeds


def accuracy_difference(first: ModelScores, second: ModelScores) -> Interval:
    """Return the accuracy of the first minus that of the second, paired over the rows."""
    value = first.accuracy.value - second.accuracy.value
    return interval(value, first.accuracy_B - second.accuracy_B, CONFIDENCE)
