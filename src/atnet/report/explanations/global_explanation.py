"""What the model goes by over the test texts, gathered for the report.

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
from atnet.report.explanations.ngram_contributions import LISTED, Ngrams, Say, count_ngrams
from atnet.schema import TEXT, slice_columns

TOKENS_READ = 300_000
"""Of a larger test split, evenly spaced texts are read, so that this view costs seconds at most."""
LABELS_BY_SLICE = 6
"""With more labels the slices' lists would be longer than anyone reads."""


@dataclass(frozen=True, slots=True)
class SliceContributions:
    """What speaks most for each label in one part of the texts."""

    by: str
    value: str
    says: Mapping[str, Sequence[Say]]


@dataclass(frozen=True, slots=True)
class GlobalView:
    """What stands behind the answers to many texts."""

    texts: int
    """Texts that were read for it."""
    says: Mapping[str, Sequence[Say]]
    """Label -> words and runs of words that speak most for it; empty for a model without a wide branch."""
    slices: Sequence[SliceContributions]
    attended: Sequence[AttendedWord]
    word_map: WordMap | None
    """None where the model's word vectors are not known."""


def global_view(
    predictor: Predictor,
    table: pd.DataFrame,
    learned: LearnedWeights,
    *,
    minimum_rows: int,
) -> GlobalView:
    """Look at what the model does with all texts of a table.

    Args:
        minimum_rows: words and runs are listed again for each part of the texts that has so many.
    """
    ids = predictor.encode(table[TEXT].tolist())
    rows = _evenly(ids)
    ids, table = [ids[row] for row in rows], table.iloc[rows]
    ngrams = None if learned.wide is None else count_ngrams(learned.wide, ids)
    columns = slice_columns(table) if len(predictor.labels) <= LABELS_BY_SLICE else []
    return GlobalView(
        texts=len(ids),
        says={} if ngrams is None else _says(predictor, ngrams, np.ones(len(ids), bool)),
        slices=[
            SliceContributions(part.by, part.value, _says(predictor, ngrams, part.rows_N))
            for column in columns
            for part in column_slices(table, column)
            if ngrams is not None and part.rows_N.sum() >= minimum_rows
        ],
        attended=attended_words(predictor, ids, predictor.attention(ids)),
        word_map=None if learned.vectors_ED is None else map_words(predictor, ids, learned.vectors_ED),
    )


def _says(predictor: Predictor, ngrams: Ngrams, rows_N: np.ndarray) -> dict[str, list[Say]]:
    return {name: ngrams.says(predictor, label, rows_N, LISTED) for label, name in enumerate(predictor.labels)}


def _evenly(ids: Sequence[Sequence[int]]) -> list[int]:
    tokens = sum(map(len, ids))
    texts = max(1, int(len(ids) * min(1.0, TOKENS_READ / tokens)))
    return sorted(set(np.linspace(0, len(ids) - 1, texts).astype(int).tolist()))
