"""Show the evidence for a proposal: first rows, label counts, lengths, language, duplicates."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import pandas as pd

from atnet.config import ColumnsConfig
from atnet.data.table_statistics import text_keys
from atnet.onboarding.language import guess_language
from atnet.schema import TEXT

WORD = r"\S+"
SHOWN_ROWS = 3
SHOWN_CHARACTERS = 90
SHOWN_LABELS = 8


@dataclass(frozen=True, slots=True)
class Evidence:
    """Facts about the texts and labels of a file."""

    rows: int
    language: str | None
    """English name of the language; None if it is not clear."""
    words: tuple[int, int, int]
    """Words of a text: median, 95 % quantile, longest."""
    duplicates: float
    """Share of rows whose normalized text occurred in an earlier row."""
    label_counts: dict[str, int]
    """Rows of each value in the file, the most frequent first; empty if labels come from a rating."""
    first_rows: list[tuple[str, str]]
    """Label and text."""


def collect_evidence(table: pd.DataFrame, columns: ColumnsConfig) -> Evidence:
    """Collect what the rows show.

    Args:
        table: all columns of the file, as strings.
        columns: the proposed columns.
    """
    texts = table[columns.text].fillna("")
    lengths = texts.str.count(WORD)
    label = columns.label or columns.rating
    first = table.head(SHOWN_ROWS)
    counts = table[columns.label].fillna("").value_counts() if columns.label else pd.Series(dtype="int64")
    labels = first[label].fillna("").tolist() if label else [""] * len(first)
    return Evidence(
        rows=len(table),
        language=guess_language(texts),
        words=(int(lengths.median()), int(lengths.quantile(0.95)), int(lengths.max())),
        duplicates=float(text_keys(pd.DataFrame({TEXT: texts})).duplicated().mean()),
        label_counts={str(value): int(rows) for value, rows in counts.items()},
        first_rows=list(zip(labels, texts.head(SHOWN_ROWS).tolist(), strict=True)),
    )


def evidence_lines(evidence: Evidence, label_map: Mapping[str, str | None]) -> Iterator[str]:
    """Yield the facts in lines for a terminal."""
    median, most, longest = evidence.words
    language = evidence.language or "not clear"
    yield f"rows         {evidence.rows:,}; language {language}; {evidence.duplicates:.1%} repeat an earlier text"
    yield f"words        median {median:,}, 95 % up to {most:,}, longest {longest:,}"
    if evidence.label_counts:
        shown = list(evidence.label_counts.items())[:SHOWN_LABELS]
        more = len(evidence.label_counts) - len(shown)
        counts = ", ".join(_label_count(value, rows, label_map) for value, rows in shown)
        yield f"labels       {counts}" + (f" and {more} more" if more else "")
    for label, text in evidence.first_rows:
        line = " ".join(text.split())
        cut = line if len(line) <= SHOWN_CHARACTERS else line[:SHOWN_CHARACTERS] + "…"
        yield f"first rows   [{label}] {cut}"


def _label_count(value: str, rows: int, label_map: Mapping[str, str | None]) -> str:
    meaning = f" ({label_map[value] or 'left out'})" if value in label_map else ""
    return f"{value or '(none)'}{meaning} {rows:,}"
