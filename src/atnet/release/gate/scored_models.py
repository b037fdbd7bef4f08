"""The gate's input: the predictions of challenger and champion, and everything else collected about them.

Letters in array names: N rows, C classes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from atnet.errors import ReleaseError
from atnet.evaluation.metrics import Floats, Ints
from atnet.evaluation.selective import RejectOption
from atnet.evaluation.slices import ColumnValues
from atnet.isolated.process import ClassProbabilities
from atnet.release.behavior.runner import BehaviorResult
from atnet.release.gate.gate_rows import GateRows
from atnet.release.gate.result import CheckResult


@dataclass(frozen=True, slots=True)
class ModelPredictions:
    """What one model predicted for the rows of a table: three numbers per row, however many labels there are."""

    model: str
    """SHA-256 of the model files."""
    labels: tuple[str, ...]
    id_N: NDArray[np.uint64]
    """Hashes of the rows' ids, in the table's order."""
    predicted_N: Ints
    """Class ids of the most probable labels."""
    confidence_N: Floats
    """Calibrated probability of the predicted label."""
    common: tuple[str, ...]
    """Labels that both models have, in the challenger's order; all labels if there is no champion."""
    predicted_common_N: Ints
    """Positions of the most probable of the common labels."""

    @classmethod
    def of(
        cls, model: str, predicted: ClassProbabilities, id_N: NDArray[np.uint64], common: tuple[str, ...]
    ) -> "ModelPredictions":
        """Reduce the probabilities of a table's rows.

        Raises:
            ReleaseError: if there is not one row of probabilities for each id.
        """
        labels, probabilities_NC = predicted
        if probabilities_NC.shape != (len(id_N), len(labels)):
            raise other_rows_error(model, len(id_N), probabilities_NC.shape, len(id_N))
        columns = [labels.index(label) for label in common]
        common_N = probabilities_NC[:, columns].argmax(axis=1) if columns else np.zeros(len(id_N), np.int64)
        return cls(
            model=model,
            labels=labels,
            id_N=id_N,
            predicted_N=np.asarray(probabilities_NC.argmax(axis=1), np.int64),
            confidence_N=np.asarray(probabilities_NC.max(axis=1), np.float64),
            common=common,
            predicted_common_N=np.asarray(common_N, np.int64),
        )

    @classmethod
    def concatenated(cls, parts: Sequence["ModelPredictions"]) -> "ModelPredictions":
        """Join the predictions of one model for consecutive rows; at least one part."""
        return cls(
            model=parts[0].model,
            labels=parts[0].labels,
            id_N=np.concatenate([part.id_N for part in parts]),
            predicted_N=np.concatenate([part.predicted_N for part in parts]),
            confidence_N=np.concatenate([part.confidence_N for part in parts]),
            common=parts[0].common,
            predicted_common_N=np.concatenate([part.predicted_common_N for part in parts]),
        )


def common_labels(challenger: Sequence[str], champion: Sequence[str]) -> tuple[str, ...]:
    """Return the labels that both models have, in the challenger's order."""
    return tuple(label for label in challenger if label in champion)


def other_rows_error(model: str, ids: int, shape: tuple[int, ...], rows: int) -> ReleaseError:
    """Build the error for predictions that are not those of a table's rows.

    Args:
        model: SHA-256 of the model files.
        ids: number of rows that were predicted.
        shape: of the probabilities.
        rows: number of rows of the table.
    """
    return ReleaseError(
        f"Model {model[:8]} has predictions for {ids} rows in shape {shape}, the table has {rows} rows: these are not "
        "the same rows in the same order. Score the table again."
    )


@dataclass(frozen=True, slots=True)
class ScoredModel:
    """One version with its predictions on the test rows."""

    predictions: ModelPredictions
    latency_ms: float | None
    """Median time per text, measured in a separate process; None if it was not measured."""
    reject_option: RejectOption | None = None
    """None: the model answers every text."""


@dataclass(frozen=True, slots=True)
class GoldenPredictions:
    """The golden set with both models' predictions."""

    rows: GateRows
    challenger: ModelPredictions
    champion: ModelPredictions | None


@dataclass(frozen=True, slots=True)
class GateInputs:
    """Everything that the gate's checks need."""

    test: GateRows
    """The challenger's test split."""
    challenger: ScoredModel
    champion: ScoredModel | None
    baselines: Mapping[str, ColumnValues]
    """Baseline -> predicted labels, in the order of `test`."""
    behavior: BehaviorResult
    """Behavior suite results of the challenger."""
    size_bytes: int
    """Total size of the challenger's files."""
    servable: CheckResult
    """Whether the challenger loads and predicts in a fresh process."""
    golden: GoldenPredictions | None = None
