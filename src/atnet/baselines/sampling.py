"""Read a limited number of tokens of a split, sampled as whole texts, so that memory does not grow with the rows.

Letters in array names: N labeled rows.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from atnet.baselines.features import tokenize_words
from atnet.evaluation.metrics import Ints
from atnet.schema import LABEL, TEXT, labeled_rows
from atnet.table_batches import read_batches

BATCH_ROWS = 10_000
"""Texts in memory at a time, with their n-grams."""


@dataclass(frozen=True, slots=True)
class SampledSplit:
    """The rows of a split that have a label of their own, or a sample of them."""

    table: pd.DataFrame
    rows: int
    """Number of rows before sampling."""

    @property
    def is_sample(self) -> bool:
        """Whether rows are missing."""
        return len(self.table) < self.rows


def read_sample(path: Path, max_tokens: int | None, seed: int) -> SampledSplit:
    """Read a split, or a random sample of its texts if it has more tokens than `max_tokens`.

    The sample gets one extra text for each label that would otherwise be missing. The same arguments give the same
    sample.

    Raises:
        DataFileError: if the file is missing or damaged.
    """
    if max_tokens is None or _characters(path) <= max_tokens:
        tables = list(labeled_batches(path))
        table = pd.concat(tables, ignore_index=True)
        return SampledSplit(table, len(table))
    tokens: list[Ints] = []
    first_rows: dict[str, int] = {}
    rows = 0
    for batch in labeled_batches(path):
        tokens.append(np.array([len(words) for words in tokenize_words(batch[TEXT].tolist())], np.int64))
        firsts = np.flatnonzero(~batch[LABEL].duplicated())
        for label, row in zip(batch[LABEL].iloc[firsts], firsts.tolist(), strict=True):
            first_rows.setdefault(str(label), rows + row)
        rows += len(batch)
    sample = sampled_rows(np.concatenate(tokens), max_tokens, seed)
    return SampledSplit(_with_every_label(path, sample, first_rows), rows)


def labeled_batches(path: Path) -> Iterator[pd.DataFrame]:
    """Read the rows of a split that have a label of their own; the rows of each batch are numbered from 0.

    Raises:
        DataFileError: if the file is missing or damaged.
    """
    return (labeled_rows(batch).reset_index(drop=True) for batch in read_batches(path, batch_rows=BATCH_ROWS))


def sampled_rows(tokens_N: Ints, max_tokens: int | None, seed: int) -> Ints:
    """Return the positions of all texts, or of a random sample of at most this many tokens and at least one text."""
    if max_tokens is None or tokens_N.sum() <= max_tokens:
        return np.arange(len(tokens_N))
    order_N = np.random.default_rng(seed).permutation(len(tokens_N))
    fitting = int(np.searchsorted(tokens_N[order_N].cumsum(), max_tokens, side="right"))
    return np.sort(order_N[: max(fitting, 1)])


def _characters(path: Path) -> int:
    """Count the characters of the texts; a text has at most as many tokens."""
    return sum(int(batch[TEXT].str.len().sum()) for batch in read_batches(path, [TEXT]))


def _with_every_label(path: Path, sample: Ints, first_rows: Mapping[str, int]) -> pd.DataFrame:
    """Read the sampled rows, and the first row of each label that has none among them."""
    table = _read_labeled(path, sample)
    missing = [row for label, row in first_rows.items() if label not in set(table[LABEL])]
    return _read_labeled(path, np.sort(np.append(sample, missing).astype(np.int64))) if missing else table


def _read_labeled(path: Path, rows: Ints) -> pd.DataFrame:
    parts, start = [], 0
    for batch in labeled_batches(path):
        low, high = np.searchsorted(rows, [start, start + len(batch)])
        parts.append(batch.iloc[rows[low:high] - start])
        start += len(batch)
    return pd.concat(parts, ignore_index=True)
