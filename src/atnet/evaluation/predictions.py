"""The predictions of the model and of the baselines on the test split, aligned with the labels.

Letters in array names: N rows, C classes.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from atnet.errors import DataContractError
from atnet.evaluation.metrics import Floats, Ints
from atnet.evaluation.selective import RejectOption
from atnet.inference import Predictions, softmax
from atnet.schema import ID, LABEL


@dataclass(frozen=True, slots=True)
class SplitPredictions:
    """Predictions of the model and of the baselines for the test rows, and the actual labels."""

    labels: tuple[str, ...]
    actual: Ints
    """(N,) class ids."""
    predicted: Ints
    """(N,) class ids."""
    uncalibrated: Floats
    """(N, C) probabilities at temperature 1."""
    probabilities: Floats
    """(N, C) probabilities after temperature scaling."""
    baselines: dict[str, Ints]
    """Name -> predicted class ids (N,)."""
    reject_option: RejectOption | None = None
    """None: the model answers every text."""


def collect_predictions(
    table: pd.DataFrame,
    predictions: Predictions,
    baselines: pd.DataFrame,
    reject_option: RejectOption | None = None,
) -> SplitPredictions:
    """Align labels, predictions and baseline predictions, as class ids.

    Args:
        table: the test split (canonical table).
        predictions: one row per row of `table`.
        baselines: an id column, then one column of labels per baseline, in any row order.
        reject_option: of the model.

    Raises:
        DataContractError: if there are no rows, the model does not know a label, or the baselines have other rows.
    """
    if table.empty:
        raise DataContractError("The test split has no rows. Raise split.fractions.test, then run `dvc repro`.")
    by_id = baselines.set_index(ID)
    if not by_id.index.is_unique or set(by_id.index) != set(table[ID]):
        raise DataContractError(
            f"The baselines' predictions ({len(by_id)} rows) and the test split ({len(table)} rows) "
            "have different ids. Run `dvc repro` to produce both from the same split."
        )
    ordered = by_id.loc[table[ID]]
    return SplitPredictions(
        labels=predictions.labels,
        actual=_class_ids(table[LABEL], predictions.labels, "The test split"),
        predicted=predictions.probabilities.argmax(axis=1),
        uncalibrated=softmax(predictions.logits),
        probabilities=predictions.probabilities,
        baselines={
            str(name): _class_ids(ordered[name], predictions.labels, f"Baseline {name}") for name in ordered.columns
        },
        reject_option=reject_option,
    )


def _class_ids(column: pd.Series, labels: Sequence[str], source: str) -> Ints:
    ids = pd.Index(labels).get_indexer(pd.Index(column))
    if (ids < 0).any():
        unknown = sorted({str(label) for label in column[ids < 0]})[:5]
        raise DataContractError(
            f"{source} has labels that the model does not know: {', '.join(unknown)}. "
            "Run `dvc repro` so that model and splits match."
        )
    return ids.astype(np.int64)
