"""Estimate the accuracy without labels: average thresholded confidence (ATC; Garg et al. 2022).

The threshold is chosen so that as many reference texts are below it as the model gets wrong. The estimate is the share
of the window's texts above it. It assumes that confidence has the same meaning on the window as on the reference. For
new kinds of texts this can fail in both directions, and no method without labels can detect that.

Letters in array names: N reference texts, M window texts, B resamples.
"""

from dataclasses import dataclass

import numpy as np

from atnet.evaluation.bootstrap import Interval, interval

ASSUMPTION = (
    "It assumes that confidence has the same meaning for these texts as for the held-out ones, which may not hold for "
    "new kinds of texts. Only labels can tell."
)


@dataclass(frozen=True, slots=True)
class ReferencePredictions:
    """The model's confidence on the reference, and whether its predictions are correct."""

    confidence: np.ndarray
    """(N,) probability of the predicted label."""
    correct: np.ndarray
    """(N,) bool."""

    @property
    def accuracy(self) -> float:
        """Share of correct predictions."""
        return float(self.correct.mean())


def confidence_threshold(confidence_N: np.ndarray, accuracy: float) -> float:
    """Return the confidence that a share `accuracy` of the texts reaches."""
    ordered = np.sort(confidence_N)
    below = round((1 - accuracy) * len(ordered))
    return float(ordered[below]) if below < len(ordered) else float(np.nextafter(ordered[-1], np.inf))


def estimate_accuracy(
    reference: ReferencePredictions,
    confidence_M: np.ndarray,
    *,
    samples: int,
    confidence: float,
    rng: np.random.Generator,
) -> Interval:
    """Estimate the share of correct predictions among the window's texts.

    The interval covers the sampling error of both sets of texts, not a violation of the assumption.
    """
    ordered_M = np.sort(confidence_M)
    value = _share_from(ordered_M, confidence_threshold(reference.confidence, reference.accuracy))
    drawn_B = np.empty(samples)
    texts = len(reference.confidence)
    for sample in range(samples):
        rows = rng.integers(texts, size=texts)
        threshold = confidence_threshold(reference.confidence[rows], float(reference.correct[rows].mean()))
        drawn_B[sample] = _share_from(ordered_M, threshold)
    # Resampling the window's texts is resampling how many of them are above the threshold.
    drawn_B = rng.binomial(len(ordered_M), drawn_B) / len(ordered_M)
    return interval(value, drawn_B, confidence)


def _share_from(ordered_M: np.ndarray, threshold: float) -> float:
    return 1 - float(np.searchsorted(ordered_M, threshold, side="left")) / len(ordered_M)
