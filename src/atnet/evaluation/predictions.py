"""The predictions of the model and of the baselines on the test split, aligned with the labels.

Letters in array names: N rows, C classes.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from atnet.errors import DataContractError
from atnet.evaluation.matrix_file import MatrixFile
from atnet.evaluation.metrics import Floats, Ints
from atnet.evaluation.selective import RejectOption
from atnet.inference import Predictions, softmax
from atnet.schema import ID, LABEL

MAX_LISTED = 5
"""Unknown labels listed in a message."""


class LabelIds:
    """The class ids of a column of labels that is read in batches."""

    def __init__(self) -> None:
        self._ids: list[Ints] = []
        self._unknown: set[str] = set()

    def add(self, column: pd.Series, labels: Sequence[str]) -> None:
        """Append the labels of later rows."""
        ids = pd.Index(labels).get_indexer(pd.Index(column))
        self._unknown.update(map(str, column[ids < 0]))
        self._ids.append(ids.astype(np.int64))

    def ids(self, source: str) -> Ints:
        """Return the class ids of all rows, (N,).

        Raises:
            DataContractError: if the model does not know a label.
        """
        if self._unknown:
            raise DataContractError(
                f"{source} has labels that the model does not know: "
                f"{', '.join(sorted(self._unknown)[:MAX_LISTED])}. Run `dvc repro` so that model and splits match."
            )
        return np.concatenate(self._ids)


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
    """None if the model answers every text."""


@dataclass(frozen=True, slots=True)
class PredictedBatch:
    """Consecutive rows of the test split (canonical table) and the model's predictions for them."""

    table: pd.DataFrame
    predictions: Predictions


def collect_predictions(
    batches: Iterable[PredictedBatch],
    baselines: Iterable[pd.DataFrame],
    folder: Path,
    reject_option: RejectOption | None = None,
) -> SplitPredictions:
    """Align labels, predictions and baseline predictions, as class ids.

    The probabilities are memory-mapped files, so that the system can reclaim the memory they take.

    Args:
        batches: all rows of the test split; at least one batch, which may have no rows.
        baselines: an id column, then one column of labels per baseline, in any row order; at least one batch.
        folder: where the probabilities are written.
        reject_option: of the model.

    Raises:
        DataContractError: if there are no rows, the model does not know a label, or the baselines have different rows.
    """
    uncalibrated, probabilities = MatrixFile(folder / "uncalibrated.bin"), MatrixFile(folder / "probabilities.bin")
    with uncalibrated, probabilities:
        labels, key_N, actual = _write_probabilities(batches, uncalibrated, probabilities)
    if not len(key_N):
        raise DataContractError("The test split has no rows. Raise split.fractions.test, then run `dvc repro`.")
    by_baseline = _baseline_ids(baselines, key_N, labels)
    probability_NC = probabilities.mapped()
    return SplitPredictions(
        labels=labels,
        actual=actual.ids("The test split"),
        predicted=probability_NC.argmax(axis=1),
        uncalibrated=uncalibrated.mapped(),
        probabilities=probability_NC,
        baselines={name: ids.ids(f"Baseline {name}")[by_baseline.order_N] for name, ids in by_baseline.ids.items()},
        reject_option=reject_option,
    )


def _write_probabilities(
    batches: Iterable[PredictedBatch], uncalibrated: MatrixFile, probabilities: MatrixFile
) -> tuple[tuple[str, ...], np.ndarray, LabelIds]:
    """Return the labels of the model, and the hashed ids (N,) and labels of the rows."""
    keys, actual = [], LabelIds()
    labels: tuple[str, ...] = ()
    for batch in batches:
        labels = batch.predictions.labels
        keys.append(_id_keys(batch.table[ID]))
        actual.add(batch.table[LABEL], labels)
        uncalibrated.append(softmax(batch.predictions.logits))
        probabilities.append(batch.predictions.probabilities)
    return labels, np.concatenate(keys), actual


def needed_disk(rows: int, classes: int) -> int:
    """Return the bytes that the probabilities of a split take while it is evaluated."""
    return 2 * rows * classes * np.dtype(np.float64).itemsize


def _id_keys(ids: pd.Series) -> NDArray[np.uint64]:
    return np.asarray(pd.util.hash_array(ids.to_numpy(object)), np.uint64)


@dataclass(frozen=True, slots=True)
class _BaselineIds:
    ids: dict[str, LabelIds]
    """Baseline -> predicted class ids, in the order of its file."""
    order_N: Ints
    """Position in that file of each row of the test split."""


def _baseline_ids(batches: Iterable[pd.DataFrame], key_N: NDArray[np.uint64], labels: Sequence[str]) -> _BaselineIds:
    """Collect the predicted class ids and find each test row among them.

    Raises:
        DataContractError: if the rows are not those of the test split.
    """
    keys: list[NDArray[np.uint64]] = []
    by_name: dict[str, LabelIds] = {}
    for batch in batches:
        keys.append(_id_keys(batch[ID]))
        for name in batch.columns.drop(ID):
            by_name.setdefault(str(name), LabelIds()).add(batch[name], labels)
    baseline_key_N = np.concatenate(keys)
    sorted_N = np.argsort(baseline_key_N, kind="stable")
    ordered_N = baseline_key_N[sorted_N]
    if (ordered_N[1:] == ordered_N[:-1]).any() or not np.array_equal(ordered_N, np.unique(key_N)):
        raise DataContractError(
            f"The baselines' predictions ({len(ordered_N)} rows) and the test split ({len(key_N)} rows) "
            "have different ids. Run `dvc repro` to produce both from the same split."
        )
    return _BaselineIds(by_name, sorted_N[np.searchsorted(ordered_N, key_N)])
