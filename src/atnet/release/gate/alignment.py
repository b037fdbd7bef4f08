"""Bring challenger and champion onto the same rows and the same labels.

Letters in array names: N rows, C classes.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from atnet.errors import ReleaseError
from atnet.evaluation.metrics import Floats, Ints
from atnet.release.gate.result import ModelPredictions
from atnet.schema import ID, LABEL, TEXT, TEXT_HASH, text_hash


@dataclass(frozen=True, slots=True)
class ScoredRows:
    """The challenger on all rows it was asked."""

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
    """Challenger and champion on the rows that are fair to both, over the labels both have."""

    table: pd.DataFrame
    labels: tuple[str, ...]
    actual_N: Ints
    challenger_N: Ints
    champion_N: Ints
    left_out: int
    """Rows left out for both because one of them may have learned from their text."""
    other_labels: int
    """Rows left out because their label is not one of both models."""


def side(table: pd.DataFrame, answers: ModelPredictions) -> ScoredRows:
    """Put the answers beside the truth.

    Raises:
        ReleaseError: if the answers are of other rows, or the truth holds a label the model does not have.
    """
    _same_rows(table, answers)
    actual_N = label_ids(table[LABEL].tolist(), answers.labels)
    if (actual_N == len(answers.labels)).any():
        strange = sorted(set(table[LABEL]) - set(answers.labels))[:5]
        raise ReleaseError(
            f"Model {answers.model[:8]} cannot give labels that the rows have: {', '.join(strange)}. "
            "Model and test split must come from the same data: run `dvc repro` and publish again."
        )
    return ScoredRows(table, answers.labels, actual_N, np.asarray(answers.probabilities, dtype=np.float64))


def contest(
    table: pd.DataFrame,
    challenger: ModelPredictions,
    champion: ModelPredictions,
    learnt_hashes: frozenset[str] | set[str],
) -> PairedRows:
    """Leave out the rows one of the two may know by heart and those whose label they do not share.

    Args:
        table: with `text_hash`, or its texts are hashed here.
        learnt_hashes: hashes of normalized texts that were trained on.
    """
    _same_rows(table, challenger)
    _same_rows(table, champion)
    shared = tuple(label for label in challenger.labels if label in champion.labels)
    hashes = table[TEXT_HASH] if TEXT_HASH in table else table[TEXT].map(text_hash)
    learnt_N = hashes.isin(learnt_hashes).to_numpy(bool)
    known_N = table[LABEL].isin(shared).to_numpy(bool)
    kept_N = known_N & ~learnt_N
    kept = table[kept_N].reset_index(drop=True)
    return PairedRows(
        table=kept,
        labels=shared,
        actual_N=label_ids(kept[LABEL].tolist(), shared),
        challenger_N=_best(challenger, shared)[kept_N],
        champion_N=_best(champion, shared)[kept_N],
        left_out=int(learnt_N.sum()),
        other_labels=int((~known_N & ~learnt_N).sum()),
    )


def label_ids(found: Sequence[str], labels: Sequence[str]) -> Ints:
    """Give the position of each label; a label not among them is numbered after the last."""
    position = {label: index for index, label in enumerate(labels)}
    return np.array([position.get(label, len(labels)) for label in found], dtype=np.int64)


def _best(answers: ModelPredictions, labels: Sequence[str]) -> Ints:
    """Choose among the given labels only."""
    columns = [answers.labels.index(label) for label in labels]
    if not columns:
        return np.zeros(len(answers.ids), dtype=np.int64)
    return np.asarray(answers.probabilities[:, columns].argmax(axis=1), dtype=np.int64)


def _same_rows(table: pd.DataFrame, answers: ModelPredictions) -> None:
    shape = (len(table), len(answers.labels))
    if list(answers.ids) != table[ID].tolist() or answers.probabilities.shape != shape:
        raise ReleaseError(
            f"Model {answers.model[:8]} answered {len(answers.ids)} rows in shape {answers.probabilities.shape}, "
            f"the table has {len(table)} rows: these are not the same rows in the same order. Score the table again."
        )
