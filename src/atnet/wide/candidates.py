"""The fits among which the wide branch is selected.

Shapes: N texts, F features, K weight columns.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from atnet.text.training_targets import TrainingTargets
from atnet.wide.blending import binary_to_two_logits, calibrated_loss
from atnet.wide.logistic import LogisticFit, fit_logistic
from atnet.wide.wide_inputs import WideInputs


class Candidate(NamedTuple):
    """A fit with one regularization, and its calibrated validation loss."""

    fit: LogisticFit
    regularization: float
    loss: float


def fit_candidate(
    inputs: WideInputs,
    targets: TrainingTargets,
    row_weights: np.ndarray,
    prior_scale_FK: np.ndarray,
    regularization: float,
    start: LogisticFit | None,
) -> Candidate:
    """Fit the branch with one regularization.

    Args:
        regularization: C, the inverse strength.
        start: another candidate's fit to start from.
    """
    fit = fit_logistic(
        inputs.features,
        targets.values,
        prior_scale_FK=prior_scale_FK,
        regularization=regularization,
        row_weights_N=row_weights,
        start=start,
        temperature=targets.temperature,
    )
    logits = binary_to_two_logits(fit.logits(inputs.validation_features))
    # The blend calibrates later, so the confidence of the branch alone does not matter.
    return Candidate(fit, regularization, calibrated_loss(logits, inputs.validation_labels))


def first_minimum(candidates: Iterator[Candidate]) -> Candidate:
    """Fit candidates until the loss no longer falls."""
    best = next(candidates)
    for candidate in candidates:
        if candidate.loss >= best.loss:
            break
        best = candidate
    return best
