"""What the model relies on over the test texts, collected for the report.

Letters in array names: N texts.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from atnet.evaluation.slices import column_slices
from atnet.inference import Predictor
from atnet.report.explanations.attended_words import AttendedWord, WordMap, attended_words, map_words
from atnet.report.explanations.learned_weights import LearnedWeights
from atnet.report.explanations.ngram_contributions import Contribution, NgramContributions, ngram_contributions
from atnet.schema import TEXT, slice_columns

MAX_TOKENS = 300_000
"""From a larger test split, evenly spaced texts are taken, so that the explanation takes seconds at most."""
MAX_LABELS_BY_SLICE = 6
"""With more labels, the lists by slice would be too long to read."""


@dataclass(frozen=True, slots=True)
class SliceContributions:
    """The largest contributions to each label in one slice."""

    column: str
    value: str
    contributions: Mapping[str, Sequence[Contribution]]


@dataclass(frozen=True, slots=True)
class GlobalExplanation:
    """What the model's predictions for many texts are based on."""

    texts: int
    """Texts it was computed from."""
    contributions: Mapping[str, Sequence[Contribution]]
    """Label -> its largest n-gram contributions; empty for a model without a wide branch."""
    slices: Sequence[SliceContributions]
    attended_words: Sequence[AttendedWord]
    word_map: WordMap | None
    """None if the model's word vectors are not known."""


def global_explanation(
    predictor: Predictor, table: pd.DataFrame, learned: LearnedWeights, *, min_slice_rows: int
) -> GlobalExplanation:
    """Explain the model over all texts of a table.

    Args:
        predictor: the model.
        table: texts and slice columns.
        learned: the tables of the model's weights file.
        min_slice_rows: contributions are listed again for each slice with this many texts.
    """
    ids = predictor.encode(table[TEXT].tolist())
    ngrams = None if learned.wide is None else ngram_contributions(learned.wide, ids)
    columns = slice_columns(table) if len(predictor.labels) <= MAX_LABELS_BY_SLICE else []
    return GlobalExplanation(
        texts=len(ids),
        contributions={} if ngrams is None else _by_label(predictor, ngrams, np.ones(len(ids), bool)),
        slices=[
            SliceContributions(part.by, part.value, _by_label(predictor, ngrams, part.rows_N))
            for column in columns
            for part in column_slices(table, column)
            if ngrams is not None and part.rows_N.sum() >= min_slice_rows
        ],
        attended_words=attended_words(predictor, ids, predictor.attention(ids)),
        word_map=None if learned.vectors_ED is None else map_words(predictor, ids, learned.vectors_ED),
    )


def _by_label(predictor: Predictor, ngrams: NgramContributions, rows_N: np.ndarray) -> dict[str, list[Contribution]]:
    return {name: ngrams.top(predictor, label, rows_N) for label, name in enumerate(predictor.labels)}


def explained_rows(rows: int, tokens: int) -> list[int]:
    """Return the rows of a split from which its model is explained: all, or evenly spaced ones.

    Args:
        rows: of the split.
        tokens: of all its texts.
    """
    texts = max(1, int(rows * min(1.0, MAX_TOKENS / tokens)))
    return sorted(set(np.linspace(0, rows - 1, texts).astype(int).tolist()))
