"""The review list as a spreadsheet: written with an empty label column, read back with what a person filled in."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from atnet.config import ColumnsConfig, DataConfig
from atnet.data.source import read_source
from atnet.errors import MonitoringError
from atnet.storage import write_text
from atnet.table import ID, LABEL, TEXT, TEXT_HASH, text_hash

FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""A cell that begins with one of these is run as a formula by spreadsheet programs."""
QUOTE = "'"
WRITTEN = (ID, LABEL, TEXT, "reason", "predicted", "score", "current_label", "source")
LISTED = 5
"""Rows named in a message, at most."""


@dataclass(frozen=True, slots=True)
class Review:
    """What a person filled in."""

    labels: dict[str, str]
    """Id -> label, of the rows that were labeled."""
    skipped: int
    """Rows whose label was left empty."""


def write_review(path: Path, rows: pd.DataFrame) -> None:
    """Write the list as CSV, its label column empty, no cell of it a formula."""
    table = rows.assign(**{LABEL: ""})[list(WRITTEN)]
    for column in table.columns:
        if column not in ("score", LABEL):
            table[column] = [defuse(str(value)) for value in table[column]]
    write_text(path, table.to_csv(index=False, lineterminator="\n"))


def read_review(path: Path, listed: pd.DataFrame, labels: Collection[str], *, allow_new: bool) -> Review:
    """Read a corrected list and check it against the lists that were written.

    Args:
        path: the file.
        listed: rows of all lists, with `id` and `text_hash`.
        labels: known labels.
        allow_new: accept others too.

    Raises:
        DataError: if the file cannot be read or lacks a column.
        MonitoringError: naming unknown ids, duplicate rows, changed texts and new labels, all at once.
    """
    columns = ColumnsConfig(text=TEXT, label=LABEL, id=ID, split=None, rating=None, weight=None, slices=[])
    config = DataConfig(path=str(path), format="auto", encoding="utf-8", separator="auto", columns=columns)
    table = read_source(path, config).fillna("")
    table = table.assign(
        **{ID: [restore(value) for value in table[ID]], TEXT: [restore(value) for value in table[TEXT]]},
        label=table[LABEL].str.strip(),
    )
    problems = [*_row_problems(table, listed), *([] if allow_new else _label_problems(table, labels))]
    if problems:
        raise MonitoringError(
            f"{path} was not merged: " + "; ".join(problems) + ". Correct the file and read it again."
        )
    labeled = table[table[LABEL] != ""]
    return Review(dict(zip(labeled[ID], labeled[LABEL], strict=True)), skipped=len(table) - len(labeled))


def defuse(value: str) -> str:
    """Put an apostrophe before what a spreadsheet would run as a formula."""
    return QUOTE + value if value.lstrip(QUOTE).startswith(FORMULA) else value


def restore(value: str) -> str:
    """Take off the apostrophe that `defuse` put there."""
    dangerous = value.startswith(QUOTE) and value.lstrip(QUOTE).startswith(FORMULA)
    return value[len(QUOTE) :] if dangerous else value


def _row_problems(table: pd.DataFrame, listed: pd.DataFrame) -> list[str]:
    hashes = dict(zip(listed[ID], listed[TEXT_HASH], strict=True))
    unknown = [name for name in table[ID] if name not in hashes]
    repeated = table.loc[table[ID].duplicated(), ID].unique().tolist()
    changed = [
        name
        for name, text in zip(table[ID], table[TEXT], strict=True)
        if name in hashes and text_hash(text) != hashes[name]
    ]
    found = {
        "ids that are on no list": unknown,
        "repeated ids": repeated,
        "changed texts": changed,
    }
    return [f"{what}: {len(names):,} ({_listed(names)})" for what, names in found.items() if names]


def _label_problems(table: pd.DataFrame, labels: Collection[str]) -> list[str]:
    new = sorted(set(table[LABEL]) - set(labels) - {""})
    if not new:
        return []
    known = ", ".join(sorted(labels))
    return [f"unknown labels: {len(new):,} ({_listed(new)}; known are {known}; --new-labels accepts others)"]


def _listed(names: Sequence[str]) -> str:
    return ", ".join(repr(name) for name in names[:LISTED]) + (", …" if len(names) > LISTED else "")
