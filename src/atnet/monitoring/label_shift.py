"""Estimate the label shares of a window without labels: black box shift estimation (BBSE; Lipton et al. 2018).

The reference's confusion matrix shows how often each actual label is predicted as each label. The estimate is the label
shares that would lead to the window's predictions. It assumes label shift: the frequencies of the labels may have
changed, the texts of each label have not.

Letters in array names: C labels, B resamples. In a confusion matrix, rows are predicted
labels and columns are actual labels.
"""

from dataclasses import dataclass

import numpy as np

from atnet.evaluation.bootstrap import Interval, interval

ASSUMPTION = (
    "It assumes that only the frequencies of the labels changed, not the texts of each label; if the texts drift, the "
    "shares are only a hint."
)
MAX_CONDITION = 100.0
"""Condition number of the confusion matrix above which predictions carry too little information about labels."""


@dataclass(frozen=True, slots=True)
class LabelShift:
    """Estimated label shares of a window beside those of the reference."""

    labels: tuple[str, ...]
    reference: tuple[float, ...]
    window: tuple[Interval, ...]


def estimate_label_shift(
    labels: tuple[str, ...],
    actual: np.ndarray,
    predicted: np.ndarray,
    window_predicted: np.ndarray,
    *,
    samples: int,
    confidence: float,
    rng: np.random.Generator,
) -> LabelShift | None:
    """Estimate the label shares; None if the predictions do not determine them.

    Args:
        labels: C names.
        actual: class ids of the reference's texts.
        predicted: predicted class ids of the reference's texts.
        window_predicted: predicted class ids of the window's texts.
        samples: resamples behind each interval.
        confidence: of each interval.
        rng: draws them.
    """
    classes, rows = len(labels), len(actual)
    joint_CC = np.zeros((classes, classes))
    np.add.at(joint_CC, (predicted, actual), 1.0)
    counts_C = np.bincount(window_predicted, minlength=classes)
    value_C = _shares(joint_CC, counts_C)
    if value_C is None:
        return None
    joint_BCC = rng.multinomial(rows, joint_CC.ravel() / rows, size=samples).reshape(-1, classes, classes)
    counts_BC = rng.multinomial(counts_C.sum(), counts_C / counts_C.sum(), size=samples)
    drawn = [_shares(joint.astype(float), counts) for joint, counts in zip(joint_BCC, counts_BC, strict=True)]
    drawn_BC = np.array([shares for shares in drawn if shares is not None]).reshape(-1, classes)
    return LabelShift(
        labels=labels,
        reference=tuple((joint_CC.sum(axis=0) / rows).tolist()),
        window=tuple(interval(float(value_C[c]), drawn_BC[:, c], confidence) for c in range(classes)),
    )


def _shares(joint_CC: np.ndarray, counts_C: np.ndarray) -> np.ndarray | None:
    """Solve for the label shares of the window; None if the matrix is close to singular."""
    actual_C = joint_CC.sum(axis=0)
    if (actual_C == 0).any():
        return None
    given_label_CC = joint_CC / actual_C
    if np.linalg.cond(given_label_CC) > MAX_CONDITION:
        return None
    shares_C = np.linalg.solve(given_label_CC, counts_C / counts_C.sum()).clip(min=0)
    total = shares_C.sum()
    return shares_C / total if total > 0 else None
