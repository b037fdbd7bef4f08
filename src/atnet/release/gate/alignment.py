"""Align the predictions of challenger and champion on the same rows and the same labels.

Letters in array names: N rows.
"""

from dataclasses import dataclass

import numpy as np

from atnet.errors import ReleaseError
from atnet.evaluation.metrics import Floats, Ints
from atnet.release.gate.gate_rows import GateRows, label_ids
from atnet.release.gate.scored_models import ModelPredictions, common_labels, other_rows_error


@dataclass(frozen=True, slots=True)
class ScoredRows:
    """One model's predictions with the actual labels."""

    labels: tuple[str, ...]
    actual_N: Ints
    predicted_N: Ints
    """Class ids of the most probable labels."""
    confidence_N: Floats
    """Probability of the predicted label."""


@dataclass(frozen=True, slots=True)
class PairedRows:
    """Both models on the rows that neither was trained on, over the labels both have."""

    rows: GateRows
    labels: tuple[str, ...]
    actual_N: Ints
    challenger_N: Ints
    champion_N: Ints
    trained_on: int
    """Rows excluded because one of the models was trained on their text."""
    other_labels: int
    """Rows excluded because one of the models does not have their label."""


def score_rows(rows: GateRows, predictions: ModelPredictions) -> ScoredRows:
    """Join predictions with the actual labels.

    Raises:
        ReleaseError: if the predictions are of other rows, or a row has a label that the model does not have.
    """
    _require_same_rows(rows, predictions)
    actual_N = label_ids(rows.label, predictions.labels)
    unknown_N = actual_N == len(predictions.labels)
    if unknown_N.any():
        unknown = sorted(rows.label.names[name] for name in np.unique(rows.label.name_N[unknown_N]))[:5]
        raise ReleaseError(
            f"Model {predictions.model[:8]} does not have labels that the rows have: {', '.join(unknown)}. "
            "Model and rows must come from the same data: run `dvc repro` and publish again."
        )
    return ScoredRows(predictions.labels, actual_N, predictions.predicted_N, predictions.confidence_N)


def align(rows: GateRows, challenger: ModelPredictions, champion: ModelPredictions) -> PairedRows:
    """Exclude the rows that a model was trained on and those whose label only one model has."""
    _require_same_rows(rows, challenger)
    _require_same_rows(rows, champion)
    common = common_labels(challenger.labels, champion.labels)
    assert challenger.common == champion.common == common
    actual_N = label_ids(rows.label, common)
    common_N, trained_N = actual_N < len(common), rows.trained_on_N
    paired_N = common_N & ~trained_N
    return PairedRows(
        rows=rows.select(paired_N),
        labels=common,
        actual_N=actual_N[paired_N],
        challenger_N=challenger.predicted_common_N[paired_N],
        champion_N=champion.predicted_common_N[paired_N],
        trained_on=int(trained_N.sum()),
        other_labels=int((~common_N & ~trained_N).sum()),
    )


def _require_same_rows(rows: GateRows, predictions: ModelPredictions) -> None:
    if not np.array_equal(predictions.id_N, rows.id_N):
        shape = (len(predictions.id_N), len(predictions.labels))
        raise other_rows_error(predictions.model, len(predictions.id_N), shape, len(rows))
