"""Parts of the test split that are scored on their own: by column, by length, by unknown words.

Letters in array names: N rows.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from atnet.config import EvaluateConfig
from atnet.evaluation.bootstrap import Interval, compare, score
from atnet.evaluation.metrics import Floats, Ints
from atnet.schema import BUILT_IN_SLICES

BY_LENGTH, BY_UNKNOWN = BUILT_IN_SLICES
MISSING = "(none)"
REST = "(all other values)"
VALUES_PER_COLUMN = 50
"""A column's rarer values are put together, so that a column of names does not flood the report."""
UNKNOWN_BANDS = (("none", 0.0), ("up to 5%", 0.05), ("5% to 15%", 0.15), ("more than 15%", 1.0))
"""Name and upper bound (included) of each band of the unknown share."""


@dataclass(frozen=True, slots=True)
class Slice:
    """A named part of the rows."""

    by: str
    """What the rows are parted by: a column, length or unknown words."""
    value: str
    rows_N: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class SliceScore:
    """How good the model is on a part of the rows; scores are None where the part is too small."""

    by: str
    value: str
    rows: int
    accuracy: Interval | None
    macro_f1: Interval | None
    lead: Interval | None
    """Accuracy of the model minus that of the reference on the same rows."""


def column_slices(table: pd.DataFrame, column: str) -> list[Slice]:
    """Part the rows by a column's values, in alphabetical order; the rarer values past the limit go together."""
    values = table[column].astype("object").where(table[column].notna(), MISSING).astype(str)
    by_size = sorted(values.value_counts().items(), key=lambda item: (-item[1], str(item[0])))
    kept = sorted(str(value) for value, _ in by_size[:VALUES_PER_COLUMN])
    parts = [Slice(column, value, (values == value).to_numpy(bool)) for value in kept]
    rest_N = (~values.isin(kept)).to_numpy(bool)
    return [*parts, Slice(column, REST, rest_N)] if rest_N.any() else parts


def count_words(texts: Iterable[str]) -> Ints:
    """Count white-space separated words, shape (N,)."""
    return np.array([len(text.split()) for text in texts], dtype=np.int64)


def length_slices(words_N: Ints, quantiles: Sequence[float]) -> list[Slice]:
    """Part the rows at quantiles of their length in words, shortest first; equal lengths are never parted."""
    edges = np.unique(np.quantile(words_N, sorted(quantiles), method="lower")) if quantiles else np.array([])
    part_N = np.searchsorted(edges, words_N, side="left")
    return [
        Slice(BY_LENGTH, _words_name(words_N[part_N == part]), part_N == part) for part in np.unique(part_N).tolist()
    ]


def unknown_shares(ids: Sequence[Sequence[int]], unknown_id: int) -> Floats:
    """Share of each text's tokens that the vocabulary does not hold, shape (N,)."""
    return np.array([sum(token == unknown_id for token in one) / max(1, len(one)) for one in ids])


def unknown_slices(share_N: Floats) -> list[Slice]:
    """Part the rows by the share of unknown tokens; empty bands are left out."""
    band_N = np.searchsorted([bound for _, bound in UNKNOWN_BANDS], share_N, side="left")
    return [
        Slice(BY_UNKNOWN, name, band_N == band)
        for band, (name, _) in enumerate(UNKNOWN_BANDS)
        if (band_N == band).any()
    ]


def score_slice(
    part: Slice,
    actual_N: Ints,
    predicted_N: Ints,
    reference_N: Ints,
    classes: int,
    *,
    config: EvaluateConfig,
    rng: np.random.Generator,
) -> SliceScore:
    """Score one part against the truth and against a reference model; count it only when it is too small."""
    rows = int(part.rows_N.sum())
    if rows < config.min_slice_rows:
        return SliceScore(part.by, part.value, rows, None, None, None)
    actual, predicted, reference = (array_N[part.rows_N] for array_N in (actual_N, predicted_N, reference_N))
    samples, confidence = config.bootstrap_samples, config.confidence
    scores = score(actual, predicted, classes, samples=samples, confidence=confidence, rng=rng)
    versus = compare(actual, predicted, reference, classes, samples=samples, confidence=confidence, rng=rng)
    return SliceScore(part.by, part.value, rows, scores.accuracy, scores.macro_f1, versus.accuracy)


def _words_name(words: Ints) -> str:
    low, high = int(words.min()), int(words.max())
    return f"{low} words" if low == high else f"{low} to {high} words"
