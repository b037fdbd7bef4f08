"""The review list as a spreadsheet: written with an empty label column, read back with the labels filled in."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from atnet.config import ColumnsConfig, DataConfig
from atnet.data.reader import read_raw_columns
from atnet.errors import DataError, DataFileError, MonitoringError
from atnet.schema import ID, LABEL, TEXT, TEXT_HASH, text_hash
from atnet.storage import write_csv

APOSTROPHE = "'"
"""Written before a cell that a spreadsheet would run as a formula."""
COLUMNS = (ID, LABEL, TEXT, "reason", "predicted", "score", "current_label", "source")
MAX_NAMED = 5
"""Rows named in a message."""


@dataclass(frozen=True, slots=True)
class FilledReview:
    """The labels that were filled in."""

    labels: dict[str, str]
    """Id -> label, of the rows that were labeled."""
    skipped: int
    """Rows whose label was left empty."""


def write_review(path: Path, rows: pd.DataFrame) -> None:
    """Write the list as CSV with an empty label column; no cell is a formula."""
    write_csv(path, rows.assign(**{LABEL: ""})[list(COLUMNS)])


def read_review(path: Path, listed: pd.DataFrame, labels: Collection[str], *, allow_new: bool) -> FilledReview:
    """Read a completed list and check it against the lists that were written.

    Args:
        path: the file.
        listed: rows of all lists, with `id` and `text_hash`.
        labels: known labels.
        allow_new: accept other labels too.

    Raises:
        DataFileError: if the file cannot be read or lacks a column.
        MonitoringError: naming unknown ids, repeated rows, changed texts and new labels, all at once.
    """
    columns = ColumnsConfig(text=TEXT, label=LABEL, id=ID, split=None, rating=None, weight=None, slices=[])
    config = DataConfig(
        path=str(path), format="auto", encoding="utf-8", separator="auto", quoting="auto", columns=columns
    )
    try:
        table = read_raw_columns(path, config)[0].fillna("")
    except DataError as error:
        # Only what is wrong: the advice is for the data file, whose reading is configured in params.yaml.
        reason = str(error).partition(". ")[0]
        raise DataFileError(f"{reason}. Give a list that `atnet review` wrote, saved as CSV in UTF-8.") from error
    known = set(listed[ID])
    ids = [name if name in known else name.removeprefix(APOSTROPHE) for name in table[ID]]
    table = table.assign(id=ids, label=table[LABEL].str.strip())
    problems = [*_row_problems(table, listed), *([] if allow_new else _label_problems(table, labels))]
    if problems:
        raise MonitoringError(f"{path} was not merged: {'; '.join(problems)}. Correct the file and read it again.")
    labeled = table[table[LABEL] != ""]
    return FilledReview(dict(zip(labeled[ID], labeled[LABEL], strict=True)), skipped=len(table) - len(labeled))


def _row_problems(table: pd.DataFrame, listed: pd.DataFrame) -> list[str]:
    hashes = dict(zip(listed[ID], listed[TEXT_HASH], strict=True))
    problems = {
        "ids that are on no list": [name for name in table[ID] if name not in hashes],
        "repeated ids": table.loc[table[ID].duplicated(), ID].unique().tolist(),
        "changed texts": [
            name
            for name, text in zip(table[ID], table[TEXT], strict=True)
            if name in hashes and hashes[name] not in (text_hash(text), text_hash(text.removeprefix(APOSTROPHE)))
        ],
    }
    return [f"{problem}: {len(names):,} ({_listed(names)})" for problem, names in problems.items() if names]


def _label_problems(table: pd.DataFrame, labels: Collection[str]) -> list[str]:
    new = sorted(set(table[LABEL]) - set(labels) - {""})
    if not new:
        return []
    known = ", ".join(sorted(labels))
    return [f"unknown labels: {len(new):,} ({_listed(new)}; known: {known}; --new-labels accepts others)"]


def _listed(names: Sequence[str]) -> str:
    return ", ".join(repr(name) for name in names[:MAX_NAMED]) + (", …" if len(names) > MAX_NAMED else "")
