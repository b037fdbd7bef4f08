"""An accuracy without labels: average thresholded confidence (ATC; Garg et al. 2022).

On the reference, the threshold is set so that as many texts lie below it as the model gets wrong. The estimate is the
share of the window's texts above it. It assumes that confidence means on the window what it meant on the reference;
where the texts are of a new kind that can fail, in both directions, and no method without labels can tell.

Letters in array names: N reference texts, M window texts, B resamples.
"""

from dataclasses import dataclass

import numpy as np

from atnet.evaluation.bootstrap import Interval, interval

ASSUMPTION = (
    "Assumes that a confidence means on these texts what it meant on the held-out ones. For texts of a new kind it may "
    "not: label some to know."
)


@dataclass(frozen=True, slots=True)
class ReferenceAnswers:
    """How sure the model was of the reference's texts, and whether it was right."""

    confidence: np.ndarray
    """(N,) probability of the predicted label."""
    correct: np.ndarray
    """(N,) bool."""

    @property
    def accuracy(self) -> float:
        """Share of right answers."""
        return float(self.correct.mean())


def confidence_threshold(confidence_N: np.ndarray, accuracy: float) -> float:
    """Return the confidence that is reached by the share `accuracy` of the texts."""
    ordered = np.sort(confidence_N)
    below = round((1 - accuracy) * len(ordered))
    return float(ordered[below]) if below < len(ordered) else float(np.nextafter(ordered[-1], np.inf))


def estimate_accuracy(
    reference: ReferenceAnswers,
    confidence_M: np.ndarray,
    *,
    samples: int,
    confidence: float,
    rng: np.random.Generator,
) -> Interval:
    """Estimate the share of right answers among the window's texts.

    The interval covers the sampling of both sets of texts, not a breach of the assumption.
    """
    ordered_M = np.sort(confidence_M)
    value = _share_from(ordered_M, confidence_threshold(reference.confidence, reference.accuracy))
    drawn_B = np.empty(samples)
    texts = len(reference.confidence)
    for sample in range(samples):
        rows = rng.integers(texts, size=texts)
        threshold = confidence_threshold(reference.confidence[rows], float(reference.correct[rows].mean()))
        drawn_B[sample] = _share_from(ordered_M, threshold)
    # Drawing the window's texts again is drawing how many of them lie above the threshold.
    drawn_B = rng.binomial(len(ordered_M), drawn_B) / len(ordered_M)
    return interval(value, drawn_B, confidence)


def _share_from(ordered_M: np.ndarray, threshold: float) -> float:
    return 1 - float(np.searchsorted(ordered_M, threshold, side="left")) / len(ordered_M)
