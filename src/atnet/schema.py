"""The canonical table: the column names that all stages share.

| column  | type    | meaning                                                       |
|---------|---------|---------------------------------------------------------------|
| id      | string  | unique id of the row                                          |
| text    | string  | as in the data file                                           |
| label   | string  | one of the labels                                             |
| split   | string  | official split: train, validation or test; if the file has it |
| rating  | float64 | signed strength of the label; if the file has it              |
| weight  | float64 | sample weight in training; if the file has it                 |
| others  | string  | slice columns, with their names in the data file              |

Stage `split` adds two: `group` (near duplicates share it) and `text_hash` (of the normalized text).
"""

import hashlib
import unicodedata

import pandas as pd

ID = "id"
TEXT = "text"
LABEL = "label"
SPLIT = "split"
RATING = "rating"
WEIGHT = "weight"
GROUP = "group"
TEXT_HASH = "text_hash"
BUILT_IN_SLICES = ("length", "unknown words")
"""Slices of every test split, in addition to the slice columns."""
CANONICAL = (ID, TEXT, LABEL, SPLIT, RATING, WEIGHT, GROUP, TEXT_HASH)


def slice_columns(table: pd.DataFrame) -> list[str]:
    """Return the columns by which metrics are broken down: all that are not canonical."""
    return [column for column in table.columns if column not in CANONICAL]


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
