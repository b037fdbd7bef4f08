"""Align the predictions of challenger and champion on the same rows and the same labels.

Letters in array names: N rows, C classes.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from atnet.errors import ReleaseError
from atnet.evaluation.metrics import Floats, Ints
from atnet.release.gate.scored_models import ModelPredictions
from atnet.schema import ID, LABEL, TEXT, TEXT_HASH, text_hash
from atnet.text_hashes import TextHashes


@dataclass(frozen=True, slots=True)
class ScoredRows:
    """One model's predictions with the actual labels."""

    table: pd.DataFrame
    labels: tuple[str, ...]
    actual_N: Ints
    probabilities_NC: Floats

    @property
    def predicted_N(self) -> Ints:
        """Class ids of the most probable labels."""
        return np.asarray(self.probabilities_NC.argmax(axis=1), dtype=np.int64)


@dataclass(frozen=True, slots=True)
class PairedRows:
    """Both models on the rows that neither was trained on, over the labels both have."""

    table: pd.DataFrame
    labels: tuple[str, ...]
    actual_N: Ints
    challenger_N: Ints
    champion_N: Ints
    trained_on: int
    """Rows excluded because one of the models was trained on their text."""
    other_labels: int
    """Rows excluded because one of the models does not have their label."""


def score_rows(table: pd.DataFrame, predictions: ModelPredictions) -> ScoredRows:
    """Join predictions with the actual labels.

    Raises:
        ReleaseError: if the predictions are of other rows, or a row has a label that the model does not have.
    """
    _require_same_rows(table, predictions)
    actual_N = label_ids(table[LABEL].tolist(), predictions.labels)
    if (actual_N == len(predictions.labels)).any():
        unknown = sorted(set(table[LABEL]) - set(predictions.labels))[:5]
        raise ReleaseError(
            f"Model {predictions.model[:8]} does not have labels that the rows have: {', '.join(unknown)}. "
            "Model and rows must come from the same data: run `dvc repro` and publish again."
        )
    probabilities_NC = np.asarray(predictions.probabilities, dtype=np.float64)
    return ScoredRows(table, predictions.labels, actual_N, probabilities_NC)


def align(
    table: pd.DataFrame,
    challenger: ModelPredictions,
    champion: ModelPredictions,
    train_hashes: TextHashes,
) -> PairedRows:
    """Exclude the rows that a model was trained on and those whose label only one model has.

    Args:
        table: with `text_hash`, or its texts are hashed here.
        challenger, champion: predictions for the rows of `table`.
        train_hashes: hashes of the normalized training texts.
    """
    _require_same_rows(table, challenger)
    _require_same_rows(table, champion)
    common = tuple(label for label in challenger.labels if label in champion.labels)
    hashes = table[TEXT_HASH] if TEXT_HASH in table else table[TEXT].map(text_hash)
    trained_N = train_hashes.contains(hashes)
    common_N = table[LABEL].isin(common).to_numpy(bool)
    paired_N = common_N & ~trained_N
    paired = table[paired_N].reset_index(drop=True)
    return PairedRows(
        table=paired,
        labels=common,
        actual_N=label_ids(paired[LABEL].tolist(), common),
        challenger_N=_predicted(challenger, common)[paired_N],
        champion_N=_predicted(champion, common)[paired_N],
        trained_on=int(trained_N.sum()),
        other_labels=int((~common_N & ~trained_N).sum()),
    )


def label_ids(names: Sequence[str], labels: Sequence[str]) -> Ints:
    """Return the position of each name in `labels`; a name that is not there gets the position after the last."""
    position = {label: index for index, label in enumerate(labels)}
    return np.array([position.get(name, len(labels)) for name in names], dtype=np.int64)


def _predicted(predictions: ModelPredictions, labels: Sequence[str]) -> Ints:
    """Return the most probable of the given labels for each row."""
    columns = [predictions.labels.index(label) for label in labels]
    if not columns:
        return np.zeros(len(predictions.ids), dtype=np.int64)
    return np.asarray(predictions.probabilities[:, columns].argmax(axis=1), dtype=np.int64)


def _require_same_rows(table: pd.DataFrame, predictions: ModelPredictions) -> None:
    shape = (len(table), len(predictions.labels))
    if list(predictions.ids) != table[ID].tolist() or predictions.probabilities.shape != shape:
        raise ReleaseError(
            f"Model {predictions.model[:8]} has predictions for {len(predictions.ids)} rows in shape "
            f"{predictions.probabilities.shape}, the table has {len(table)} rows: these are not the same rows in the "
            "same order. Score the table again."
        )
