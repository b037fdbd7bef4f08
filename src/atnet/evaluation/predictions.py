"""What the model and the baselines answered, brought side by side with the truth.

Letters in array names: N rows, C classes.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from atnet.errors import DataContractError
from atnet.evaluation.metrics import Floats, Ints
from atnet.inference import Predictions, softmax
from atnet.schema import ID, LABEL


@dataclass(frozen=True, slots=True)
class SplitPredictions:
    """What the model and the baselines said about the test rows, beside what is true."""

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
    """Name -> (N,) class ids."""


def collect_predictions(table: pd.DataFrame, predictions: Predictions, baselines: pd.DataFrame) -> SplitPredictions:
    """Put truth, answers and baseline answers side by side, as class ids.

    Args:
        table: the test split (canonical table).
        predictions: one row per row of `table`.
        baselines: an id column, then one column of labels per baseline, in any row order.

    Raises:
        DataContractError: if there are no rows, a label is not one of the model's, or the baselines are of other rows.
    """
    if table.empty:
        raise DataContractError("The test split has no rows. Give split.fractions.test more, then run `dvc repro`.")
    beside = baselines.set_index(ID)
    if not beside.index.is_unique or set(beside.index) != set(table[ID]):
        raise DataContractError(
            f"The baselines' predictions ({len(beside)} rows) and the test split ({len(table)} rows) "
            "hold different ids. Run `dvc repro` to make both from the same split."
        )
    ordered = beside.loc[table[ID]]
    return SplitPredictions(
        labels=predictions.labels,
        actual=_class_ids(table[LABEL], predictions.labels, "The test split"),
        predicted=predictions.probabilities.argmax(axis=1),
        uncalibrated=softmax(predictions.logits),
        probabilities=predictions.probabilities,
        baselines={
            str(name): _class_ids(ordered[name], predictions.labels, f"Baseline {name}") for name in ordered.columns
        },
    )


def _class_ids(found: pd.Series, labels: Sequence[str], whose: str) -> Ints:
    ids = pd.Index(labels).get_indexer(pd.Index(found))
    if (ids < 0).any():
        strange = sorted({str(label) for label in found[ids < 0]})[:5]
        raise DataContractError(
            f"{whose} holds labels the model does not know: {', '.join(strange)}. "
            "Run `dvc repro` so that model and splits belong together."
        )
    return ids.astype(np.int64)
