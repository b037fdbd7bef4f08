"""Settings that depend on how many rows there are."""

from typing import Any

FEW_ROWS = 3_000
"""Up to here a tenth of the rows is too few to select a model or to compare two."""


def settings_for_size(rows: int) -> dict[str, Any]:
    """Return values of params.yaml for a number of usable rows."""
    if rows <= FEW_ROWS:
        return {
            "split.fractions.train": 0.6,
            "split.fractions.validation": 0.2,
            "split.fractions.test": 0.2,
            "train.batch_size": 32,
        }
    return {
        "split.fractions.train": 0.8,
        "split.fractions.validation": 0.1,
        "split.fractions.test": 0.1,
        "train.batch_size": 128,
    }
