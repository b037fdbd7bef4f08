"""Slices of the test split that are scored separately: by column, by length, by unknown words.

Letters in array names: N rows.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from atnet.config import EvaluateConfig
from atnet.evaluation.bootstrap import Interval, compare, score
from atnet.evaluation.calibration import Reliability
from atnet.evaluation.metrics import Floats, Ints
from atnet.schema import BUILT_IN_SLICES

BY_LENGTH, BY_UNKNOWN = BUILT_IN_SLICES
MISSING = "(none)"
REST = "(all other values)"
VALUES_PER_COLUMN = 50
"""The rarer values of a column are combined, so that a column of names does not fill the report."""
UNKNOWN_BANDS = (("none", 0.0), ("up to 5%", 0.05), ("5% to 15%", 0.15), ("more than 15%", 1.0))
"""Name and inclusive upper bound of each band of the share of unknown tokens."""


@dataclass(frozen=True, slots=True)
class Slice:
    """A named subset of the rows."""

    by: str
    """The criterion: a column, length or unknown words."""
    value: str
    group_N: NDArray[np.generic]
    """The group of each row; all slices of a criterion share this array."""
    group: int

    @property
    def rows_N(self) -> NDArray[np.bool_]:
        """Whether each row is in the slice."""
        return np.asarray(self.group_N == self.group)


@dataclass(frozen=True, slots=True)
class ColumnValues:
    """The values of a column, as indices into its distinct strings."""

    names: tuple[str, ...]
    """The distinct values."""
    name_N: NDArray[np.int32]
    """Position of each row's value among the names."""

    @classmethod
    def of(cls, column: pd.Series) -> "ColumnValues":
        """Return the values of a column; missing ones are named too."""
        code_N, values = pd.factorize(column)
        return cls._renumbered([*map(str, values), MISSING], code_N)

    @classmethod
    def concatenated(cls, parts: Sequence["ColumnValues"]) -> "ColumnValues":
        """Join the values of consecutive rows."""
        starts = np.cumsum([0, *(len(part.names) for part in parts)])
        names = [name for part in parts for name in part.names]
        code_N = np.concatenate([part.name_N + start for part, start in zip(parts, starts, strict=False)])
        return cls._renumbered(names, code_N)

    @classmethod
    def _renumbered(cls, names: Sequence[str], code_N: Ints) -> "ColumnValues":
        number_of, distinct = pd.factorize(np.array(names, dtype=object))
        return cls(tuple(distinct), number_of.astype(np.int32)[code_N])


@dataclass(frozen=True, slots=True)
class SliceScore:
    """Metrics of the model on a slice; None where the slice is too small."""

    by: str
    value: str
    rows: int
    accuracy: Interval | None
    macro_f1: Interval | None
    lead: Interval | None
    """Accuracy of the model minus accuracy of the reference on the same rows."""
    calibration: Reliability | None = None
    """Confidence and accuracy of the rows."""


def column_slices(table: pd.DataFrame, column: str) -> list[Slice]:
    """Slice the rows by the values of a column, in alphabetical order; values beyond the limit are combined."""
    return value_slices(column, ColumnValues.of(table[column]))


def value_slices(column: str, values: ColumnValues) -> list[Slice]:
    """Slice the rows by the values of a column, see `column_slices`."""
    rows = np.bincount(values.name_N, minlength=len(values.names)).tolist()
    by_size = sorted(
        (-count, name, position) for position, (name, count) in enumerate(zip(values.names, rows, strict=True))
    )
    frequent = sorted((name, position) for count, name, position in by_size[:VALUES_PER_COLUMN] if count)
    group_of_name = np.full(len(values.names), len(frequent), np.int32)
    for group, (_, position) in enumerate(frequent):
        group_of_name[position] = group
    group_N = group_of_name[values.name_N]
    slices = [Slice(column, name, group_N, group) for group, (name, _) in enumerate(frequent)]
    rest = Slice(column, REST, group_N, len(frequent))
    return [*slices, rest] if rest.rows_N.any() else slices


def count_words(texts: Iterable[str]) -> Ints:
    """Count white-space separated words, shape (N,)."""
    return np.array([len(text.split()) for text in texts], dtype=np.int64)


def length_slices(words_N: Ints, quantiles: Sequence[float]) -> list[Slice]:
    """Slice the rows at quantiles of their length in words, shortest first; equal lengths stay together."""
    edges = np.unique(np.quantile(words_N, sorted(quantiles), method="lower")) if quantiles else np.array([])
    bin_N = np.searchsorted(edges, words_N, side="left").astype(np.int32)
    return [Slice(BY_LENGTH, _words_name(words_N[bin_N == index]), bin_N, index) for index in np.unique(bin_N).tolist()]


def unknown_shares(ids: Sequence[Sequence[int]], unknown_id: int) -> Floats:
    """Compute the share of each text's tokens that are not in the vocabulary, shape (N,)."""
    return np.array([sum(token == unknown_id for token in tokens) / max(1, len(tokens)) for tokens in ids])


def unknown_slices(share_N: Floats) -> list[Slice]:
    """Slice the rows by their share of unknown tokens; empty bands are dropped."""
    band_N = np.searchsorted([bound for _, bound in UNKNOWN_BANDS], share_N, side="left").astype(np.int32)
    return [
        Slice(BY_UNKNOWN, name, band_N, band) for band, (name, _) in enumerate(UNKNOWN_BANDS) if (band_N == band).any()
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
    """Compute the metrics of a slice and the lead over a reference model; a slice that is too small is only counted."""
    rows = int(part.rows_N.sum())
    if rows < config.min_slice_rows:
        return SliceScore(part.by, part.value, rows, None, None, None)
    actual, predicted, reference = (array_N[part.rows_N] for array_N in (actual_N, predicted_N, reference_N))
    samples, confidence = config.bootstrap_samples, config.confidence
    scores = score(actual, predicted, classes, samples=samples, confidence=confidence, rng=rng)
    lead = compare(actual, predicted, reference, classes, samples=samples, confidence=confidence, rng=rng)
    return SliceScore(part.by, part.value, rows, scores.accuracy, scores.macro_f1, lead.accuracy)


def _words_name(words: Ints) -> str:
    low, high = int(words.min()), int(words.max())
    return f"{low} words" if low == high else f"{low} to {high} words"
