"""Turn the rows of a window into the champion's predictions and the distinct texts to compare.

Letters in array names: N rows, C labels.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from atnet.config import MonitorConfig
from atnet.file_hashes import text_sha256
from atnet.monitoring.champion import Champion
from atnet.monitoring.row_features import RowFeatures, prediction_features
from atnet.monitoring.windows import (
    MODEL_SHA256,
    PREDICTED,
    PROBABILITIES,
    TEXT_SHA256,
    TOKENS,
    UNKNOWN,
    Window,
)
from atnet.schema import LABEL, TEXT, TEXT_HASH, text_hash

PREDICTIONS_AS_LABELS = 0.995
"""If at least this share of the labels equals the predictions, the labels are treated as predictions."""
MIN_LABELS = 20
"""With fewer labels, this is not checked."""


@dataclass(frozen=True, slots=True)
class RowCounts:
    """How many rows of a window were excluded, and why."""

    rows: int
    other_model: int = 0
    """Predicted by another model, without a text to predict again."""
    without_text: int = 0
    """Without a text, while other rows have one."""
    trained_on: int = 0
    """The champion was trained on the text."""
    repeated: int = 0
    """The text occurred earlier in the window."""
    in_reference: int = 0
    """The text is also in the reference."""


@dataclass(frozen=True, slots=True)
class PreparedWindow:
    """A window's rows with the champion's predictions."""

    table: pd.DataFrame
    """The rows that were not excluded, with `predicted`; true labels in `label` if there are any."""
    features: RowFeatures
    """Features of all rows of `table`, without n-grams and pooled features."""
    distinct: np.ndarray
    """Positions in `table` of the distinct texts that may be compared."""
    counts: RowCounts
    has_texts: bool
    notes: list[str]


def prepare_window(window: Window, champion: Champion, config: MonitorConfig) -> PreparedWindow:
    """Predict the window's texts with the champion; without texts, use the logged predictions."""
    table = window.table
    with_text = table[TEXT].notna().to_numpy()
    if with_text.any() and with_text.sum() >= min(config.min_window_rows, len(table)):
        return _with_texts(table[with_text], champion, RowCounts(len(table), without_text=int((~with_text).sum())))
    return _without_texts(table, champion)


def _with_texts(table: pd.DataFrame, champion: Champion, counts: RowCounts) -> PreparedWindow:
    table = table.assign(**{TEXT_HASH: [text_hash(text) for text in table[TEXT]]})
    trained_on = champion.train_hashes.contains(table[TEXT_HASH])
    table = table[~trained_on].reset_index(drop=True)
    texts, position_N = _unique(table[TEXT].tolist())
    features = prediction_features(texts, champion.predictor).take(position_N)
    table = table.assign(**{PREDICTED: _predicted_labels(champion, features)})
    notes = []
    if _labels_are_predictions(table):
        notes.append("The labels equal the model's predictions, so they are not used as true labels.")
        table = table.drop(columns=LABEL)
    first = ~table[TEXT_HASH].duplicated()
    in_reference = table[TEXT_HASH].isin(set(champion.reference.table[TEXT_HASH])) & first
    counts = replace(
        counts,
        trained_on=int(trained_on.sum()),
        repeated=int((~first).sum()),
        in_reference=int(in_reference.sum()),
    )
    distinct = np.flatnonzero((first & ~in_reference).to_numpy())
    return PreparedWindow(table, features, distinct, counts, True, notes)


def _without_texts(table: pd.DataFrame, champion: Champion) -> PreparedWindow:
    usable = _has_predictions_of(champion, table)
    rows = table[usable].reset_index(drop=True)
    labels = champion.predictor.labels
    probabilities = [[row[label] for label in labels] for row in rows[PROBABILITIES]]
    features = RowFeatures(
        ngrams=None,
        pooled=None,
        probabilities=np.array(probabilities, dtype=np.float64).reshape(-1, len(labels)),
        unknown=rows[UNKNOWN].to_numpy(np.float64),
        tokens=rows[TOKENS].to_numpy(np.int64),
    )
    rows = rows.assign(**{PREDICTED: _predicted_labels(champion, features)})
    first = ~rows[TEXT_SHA256].duplicated()
    in_reference = rows[TEXT_SHA256].isin({text_sha256(text) for text in champion.reference.table[TEXT]}) & first
    counts = RowCounts(
        rows=len(table),
        other_model=int((~usable).sum()),
        repeated=int((~first).sum()),
        in_reference=int(in_reference.sum()),
    )
    notes = [
        "The texts were not logged (serve.prediction_log.include_texts): only probabilities, lengths and unknown words "
        "are compared, and texts that the model was trained on cannot be excluded."
    ]
    distinct = np.flatnonzero((first & ~in_reference).to_numpy())
    return PreparedWindow(rows, features, distinct, counts, False, notes if len(table) else [])


def _has_predictions_of(champion: Champion, table: pd.DataFrame) -> np.ndarray:
    """Return (N,) true for rows with complete predictions of the champion."""
    if PROBABILITIES not in table:
        return np.zeros(len(table), bool)
    labels = set(champion.predictor.labels)
    usable = (table[MODEL_SHA256] == champion.sha256) & table[[PROBABILITIES, TOKENS, UNKNOWN]].notna().all(axis=1)
    same_labels = [isinstance(row, dict) and set(row) == labels for row in table[PROBABILITIES]]
    return np.asarray(usable.to_numpy(bool) & np.array(same_labels, dtype=bool))


def _predicted_labels(champion: Champion, features: RowFeatures) -> list[str]:
    labels = champion.predictor.labels
    return [labels[index] for index in features.probabilities.argmax(axis=1)] if len(features) else []


def _labels_are_predictions(table: pd.DataFrame) -> bool:
    if LABEL not in table:
        return False
    labeled = table[table[LABEL].notna()]
    return len(labeled) >= MIN_LABELS and float((labeled[LABEL] == labeled[PREDICTED]).mean()) >= PREDICTIONS_AS_LABELS


def _unique(texts: Sequence[str]) -> tuple[list[str], np.ndarray]:
    """Return the distinct texts and the position of each text among them, so that a text is predicted once."""
    positions: dict[str, int] = {}
    position_N = [positions.setdefault(text, len(positions)) for text in texts]
    return list(positions), np.array(position_N, dtype=np.int64)
