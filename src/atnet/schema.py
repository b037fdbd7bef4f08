"""The canonical table: the column names that all stages share.

| column  | type    | meaning                                                       |
|---------|---------|---------------------------------------------------------------|
| id      | string  | unique id of the row                                          |
| text    | string  | as in the data file                                           |
| label   | string  | one of the labels                                             |
| split   | string  | official split: train, validation or test; if the file has it |
| rating  | float64 | signed strength of the label; if the file has it              |
| weight  | float64 | sample weight in training; if the file has it                 |
| teacher: <label> | float64 | the teacher's probability of a label, null for a row without; if the file has it |
| hard_label | bool | false if the label is only the teacher's most probable one; only with a teacher |
| others  | string  | slice columns, with their names in the data file              |

Stage `split` adds two: `group` (near duplicates share it) and `text_hash` (of the normalized text).
"""

import hashlib
import unicodedata
from collections.abc import Iterable

import pandas as pd

ID = "id"
TEXT = "text"
LABEL = "label"
SPLIT = "split"
RATING = "rating"
WEIGHT = "weight"
HARD_LABEL = "hard_label"
TEACHER_PREFIX = "teacher: "
"""Start of the names of the columns with a teacher's probabilities."""
GROUP = "group"
TEXT_HASH = "text_hash"
BUILT_IN_SLICES = ("length", "unknown words")
"""Slices of every test split, in addition to the slice columns."""
CANONICAL = (ID, TEXT, LABEL, SPLIT, RATING, WEIGHT, HARD_LABEL, GROUP, TEXT_HASH)


def slice_columns(table: pd.DataFrame) -> list[str]:
    """Return the columns by which metrics are broken down: all that are not canonical."""
    return [column for column in table.columns if column not in CANONICAL and not column.startswith(TEACHER_PREFIX)]


def teacher_column(label: str) -> str:
    """Return the name of the column with the teacher's probabilities of a label."""
    return f"{TEACHER_PREFIX}{label}"


def teacher_labels(columns: Iterable[str]) -> list[str]:
    """Return the labels of the teacher columns among these, sorted; empty without a teacher."""
    return sorted(name.removeprefix(TEACHER_PREFIX) for name in columns if name.startswith(TEACHER_PREFIX))


def labeled_rows(table: pd.DataFrame) -> pd.DataFrame:
    """Return the rows whose label does not come from a teacher, without the teacher's columns."""
    if HARD_LABEL not in table:
        return table
    added = [HARD_LABEL, *map(teacher_column, teacher_labels(table.columns))]
    return table[table[HARD_LABEL]].drop(columns=added).reset_index(drop=True)


def normalize_text(text: str) -> str:
    """Normalize Unicode form, case and white space, which do not make two texts different."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def text_hash(text: str) -> str:
    """Return a hash of the normalized text: 16 hexadecimal digits, the same on every machine."""
    return hashlib.sha256(normalize_text(text).encode("utf-8", "surrogatepass")).hexdigest()[:16]


def unit_hash(key: str, seed: int) -> float:
    """Map a key to [0, 1), the same on every machine and in every run."""
    # Not hash(): Python salts it per process.
    digest = hashlib.sha256(f"{seed}:{key}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64
