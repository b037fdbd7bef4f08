"""Cut texts that are longer than the limits, so that a few long texts do not change which rows a benchmark has."""

import re
from dataclasses import dataclass
from itertools import islice

import pandas as pd

from atnet.config import ValidateConfig
from atnet.schema import SPLIT, TEXT

WORD = re.compile(r"\S+")


@dataclass(frozen=True, slots=True)
class CutCounts:
    """How many texts were cut."""

    rows: int
    by_split: dict[str, int]
    """Rows of each official split; empty without a split column."""


@dataclass(frozen=True, slots=True)
class CutTexts:
    """A table whose long texts are cut, and how many there were."""

    table: pd.DataFrame
    rows: int
    by_split: dict[str, int]
    """Rows of each official split; empty without a split column."""


def cut_long_texts(table: pd.DataFrame, config: ValidateConfig) -> CutTexts:
    """Cut texts at the largest length that a critical check allows; nothing if long texts are quarantined."""
    characters = _maximum(config, "text_characters")
    words = _maximum(config, "text_words")
    lengths = table[TEXT].str.len()
    # A text of more words than that has at least a character and a space for each.
    possible = (lengths > characters) | (lengths > 2 * words)
    if config.long_texts != "cut" or not possible.any():
        return CutTexts(table, 0, {})
    before = table.loc[possible, TEXT]
    after = before.map(lambda text: cut_text(text, characters=characters, words=words))
    changed = after[after != before]
    texts = table[TEXT].copy()
    texts.loc[changed.index] = changed
    by_split = table.loc[changed.index, SPLIT].value_counts() if SPLIT in table else pd.Series(dtype="int64")
    return CutTexts(
        table.assign(**{TEXT: texts}), len(changed), {str(name): int(rows) for name, rows in by_split.items()}
    )


def cut_text(text: str, *, characters: float, words: float) -> str:
    """Return the start of a text with at most this many characters and words separated by white space."""
    cut = text if len(text) <= characters else text[: int(characters)]
    if len(cut) <= 2 * words:
        return cut
    last = next(islice(WORD.finditer(cut), int(words) - 1, None), None)
    rest = "" if last is None else cut[last.end() :]
    return cut[: last.end()] if last is not None and rest.strip() else cut


def _maximum(config: ValidateConfig, check: str) -> float:
    limits = getattr(config, check)
    return float(limits.max_value) if limits.severity == "critical" else float("inf")
