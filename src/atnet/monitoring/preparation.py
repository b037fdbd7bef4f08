"""From the rows of a window to answers of the champion and to the distinct texts that are compared.

Letters in array names: N rows, C labels.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from atnet.config import MonitorConfig
from atnet.monitoring.champion import Champion
from atnet.monitoring.row_features import RowFeatures, answer_features
from atnet.monitoring.windows import (
    MODEL_SHA256,
    PREDICTED,
    PROBABILITIES,
    TEXT_SHA256,
    TOKENS,
    UNKNOWN,
    Window,
    text_sha256,
)
from atnet.table import LABEL, TEXT, TEXT_HASH, text_hash

SAME_AS_ANSWERS = 0.995
"""From this share of labels equal to the model's answers on, the labels are taken for answers."""


@dataclass(frozen=True, slots=True)
class Counts:
    """What became of a window's rows."""

    rows: int
    other_model: int = 0
    """Answered by another model; left out where there is no text to answer again."""
    without_text: int = 0
    """Left out because other rows have a text."""
    trained_on: int = 0
    """The champion has learned from the text."""
    repeated: int = 0
    """The text occurred before in the window."""
    in_reference: int = 0
    """The text is one of the reference's too."""


@dataclass(frozen=True, slots=True)
class PreparedWindow:
    """A window's rows with the champion's answers."""

    table: pd.DataFrame
    """All rows that count, with `predicted`; true labels in `label` where there are any."""
    features: RowFeatures
    """Of all rows of `table`, without n-grams and pooled vectors."""
    distinct: np.ndarray
    """Positions in `table` of the distinct texts that may be compared."""
    counts: Counts
    has_texts: bool
    notes: list[str]


def prepare_window(window: Window, champion: Champion, config: MonitorConfig) -> PreparedWindow:
    """Answer the window's texts with the champion, or take its logged answers where the texts were not logged."""
    table = window.table
    with_text = table[TEXT].notna().to_numpy()
    if with_text.sum() >= min(config.minimum_rows, len(table)) and with_text.any():
        return _with_texts(table[with_text], champion, Counts(len(table), without_text=int((~with_text).sum())))
    return _without_texts(table, champion)


def _with_texts(table: pd.DataFrame, champion: Champion, counts: Counts) -> PreparedWindow:
    table = table.assign(**{TEXT_HASH: [text_hash(text) for text in table[TEXT]]})
    trained_on = table[TEXT_HASH].isin(champion.train_hashes)
    table = table[~trained_on].reset_index(drop=True)
    texts, position_N = _unique(table[TEXT].tolist())
    features = answer_features(texts, champion.predictor).take(position_N)
    table = table.assign(**{PREDICTED: _labels(champion, features)})
    labels_are_answers = _labels_are_answers(table, config_rows=20)
    notes = []
    if labels_are_answers:
        notes.append("The labels equal the model's answers, so they are taken for answers and not for true labels.")
        table = table.drop(columns=LABEL)
    reference = set(champion.reference.table[TEXT_HASH])
    first = ~table[TEXT_HASH].duplicated()
    in_reference = table[TEXT_HASH].isin(reference) & first
    counts = replace(
        counts,
        trained_on=int(trained_on.sum()),
        repeated=int((~first).sum()),
        in_reference=int(in_reference.sum()),
    )
    distinct = np.flatnonzero((first & ~in_reference).to_numpy())
    return PreparedWindow(table, features, distinct, counts, True, notes)


def _without_texts(table: pd.DataFrame, champion: Champion) -> PreparedWindow:
    own = (table[MODEL_SHA256] == champion.sha256).to_numpy() if MODEL_SHA256 in table else np.ones(len(table), bool)
    whole = table[[PROBABILITIES, TOKENS, UNKNOWN]].notna().all(axis=1).to_numpy()
    usable = own & whole
    labels = set(champion.predictor.labels)
    usable &= np.array([isinstance(row, dict) and set(row) == labels for row in table[PROBABILITIES]], dtype=bool)
    rows = table[usable].reset_index(drop=True)
    probabilities = np.array(
        [[row[label] for label in champion.predictor.labels] for row in rows[PROBABILITIES]], dtype=np.float64
    ).reshape(-1, len(champion.predictor.labels))
    features = RowFeatures(
        ngrams=None,
        pooled=None,
        probabilities=probabilities,
        unknown=rows[UNKNOWN].to_numpy(np.float64),
        tokens=rows[TOKENS].to_numpy(np.int64),
    )
    rows = rows.assign(**{PREDICTED: _labels(champion, features)})
    reference = {text_sha256(text) for text in champion.reference.table[TEXT]}
    first = ~rows[TEXT_SHA256].duplicated()
    in_reference = rows[TEXT_SHA256].isin(reference) & first
    counts = Counts(
        rows=len(table),
        other_model=int((~usable).sum()),
        repeated=int((~first).sum()),
        in_reference=int(in_reference.sum()),
    )
    notes = [
        "The texts were not logged: only probabilities, lengths and unknown words are compared, and texts the model "
        "was trained on cannot be told apart."
    ]
    distinct = np.flatnonzero((first & ~in_reference).to_numpy())
    return PreparedWindow(rows, features, distinct, counts, False, notes if len(table) else [])


def _labels(champion: Champion, features: RowFeatures) -> list[str]:
    labels = champion.predictor.labels
    return [labels[index] for index in features.probabilities.argmax(axis=1)] if len(features) else []


def _labels_are_answers(table: pd.DataFrame, *, config_rows: int) -> bool:
    if LABEL not in table:
        return False
    labeled = table[table[LABEL].notna()]
    return len(labeled) >= config_rows and float((labeled[LABEL] == labeled[PREDICTED]).mean()) >= SAME_AS_ANSWERS


def _unique(texts: Sequence[str]) -> tuple[list[str], np.ndarray]:
    """Return the distinct texts and, for each text, its place among them: a text is answered once."""
    places: dict[str, int] = {}
    positions = [places.setdefault(text, len(places)) for text in texts]
    return list(places), np.array(positions, dtype=np.int64)
