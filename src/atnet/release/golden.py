"""Read the golden set: a frozen labeled set apart from the test split."""

from pathlib import Path

import pandas as pd

from atnet.config import ColumnsConfig, DataConfig
from atnet.data.columns import MissingColumnsError
from atnet.data.label_mapping import fold_labels
from atnet.data.reader import read_labeled_texts
from atnet.errors import DataError, DataFileError
from atnet.schema import ID, LABEL, TEXT

MAX_ROWS = 5
"""Rows listed in a message."""
GOLDEN_FORMAT = DataConfig(
    path="",
    format="auto",
    encoding="utf-8",
    separator="auto",
    quoting="auto",
    columns=ColumnsConfig(text=TEXT, label=LABEL, id=ID, split=None, rating=None, weight=None, slices=[]),
)
"""How the golden set is read, whatever the data file needs."""


def read_golden(path: Path) -> pd.DataFrame:
    """Read the golden set with the reader of the data file: strings to the letter, UTF-8, columns id, text and label.

    Raises:
        DataFileError: if it is missing, damaged, lacks a column, or a row has no text or label.
    """
    if not path.exists():
        raise DataFileError(
            f"{path} (release.golden.path) is missing. Put the file there or set release.golden to null."
        )
    try:
        table = read_labeled_texts(path, GOLDEN_FORMAT).table
    except MissingColumnsError as error:
        missing = ", ".join(name for name in (ID, TEXT, LABEL) if name not in error.present)
        raise DataFileError(f"{path} lacks {missing}: it needs the columns id, text and label.") from error
    except DataError as error:
        reason = str(error).removeprefix(f"{path}").lstrip(": ").split(". ")[0]
        raise DataFileError(f"{path} cannot be used as the golden set: {reason}. Write it as UTF-8.") from error
    table = table.assign(**{LABEL: fold_labels(table[LABEL])[0]})
    for column in (TEXT, LABEL):
        rows = table.index[table[column].isna() | (table[column].str.strip() == "")]
        if len(rows):
            listed = ", ".join(f"{row:,}" for row in rows[:MAX_ROWS]) + (", …" if len(rows) > MAX_ROWS else "")
            raise DataFileError(f"{path} has no {column} in row {listed}. Fill the cells, or remove the rows.")
    return table[[ID, TEXT, LABEL]].reset_index(drop=True)
