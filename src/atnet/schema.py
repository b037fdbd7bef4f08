"""The canonical table: the words every stage uses for its columns.

| column  | type    | meaning                                                       |
|---------|---------|---------------------------------------------------------------|
| id      | string  | unique name of the row                                        |
| text    | string  | as it came in                                                 |
| label   | string  | one of the labels                                             |
| split   | string  | official side: train, validation or test; only where given    |
| rating  | float64 | signed strength of the label; only where given                |
| weight  | float64 | how much the row counts in training; only where given         |
| others  | string  | slice columns, under the names they came with                 |

After `split` two more: `group` (near duplicates share it) and `text_hash` (of the normalized text).
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
"""What every test split is broken down by, beside the slice columns."""
CANONICAL = (ID, TEXT, LABEL, SPLIT, RATING, WEIGHT, GROUP, TEXT_HASH)


def slice_columns(table: pd.DataFrame) -> list[str]:
    """Name the columns by which results are broken down: all that are not canonical."""
    return [column for column in table.columns if column not in CANONICAL]


def normalize_text(text: str) -> str:
    """Fold what does not make a text a different one: Unicode form, case and white space."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def text_hash(text: str) -> str:
    """Name a text by its normalized form: 16 hexadecimal digits, the same on every machine."""
    return hashlib.sha256(normalize_text(text).encode("utf-8", "surrogatepass")).hexdigest()[:16]


def unit_hash(key: str, seed: int) -> float:
    """Map a key to [0, 1), the same on every machine and in every run."""
    # Not hash(): Python salts it per process.
    digest = hashlib.sha256(f"{seed}:{key}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64
