"""Describe the splits: sizes, label shares, duplicates, leaks and excluded rows."""

from collections.abc import Mapping
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from atnet.config import SPLITS, SplitName
from atnet.schema import GROUP, ID, LABEL, TEXT_HASH

HELD_OUT: tuple[SplitName, ...] = ("validation", "test")
"""Splits that duplicates of other splits are removed from."""
MAX_EXAMPLES = 5
"""Groups, ids and labels listed as examples."""


def split_report(
    tables: Mapping[SplitName, pd.DataFrame],
    grouped: pd.DataFrame,
    *,
    excluded: Mapping[SplitName, NDArray[np.bool_]],
) -> dict[str, Any]:
    """Describe the splits, ready for JSON.

    Args:
        tables: the rows of each split.
        grouped: all rows, with their groups.
        excluded: per split, which of all rows were excluded from it.
    """
    return {
        "rows": len(grouped),
        "splits": {name: _describe_split(table, len(grouped)) for name, table in tables.items()},
        "labels": _describe_labels(tables),
        "duplicates": _describe_groups(grouped),
        "leaks": _leaks(tables),
        "excluded": {name: _describe_excluded(grouped, rows) for name, rows in excluded.items()},
    }


def _describe_split(table: pd.DataFrame, rows: int) -> dict[str, Any]:
    counts = table[LABEL].value_counts().sort_index()
    return {
        "rows": len(table),
        "share": _share(len(table), rows),
        "groups": int(table[GROUP].nunique()),
        "labels": {label: {"rows": int(n), "share": _share(n, len(table))} for label, n in counts.items()},
    }


def _describe_labels(tables: Mapping[SplitName, pd.DataFrame]) -> dict[str, Any]:
    """Compare the label shares of each split with those of all splits together."""
    counts = pd.DataFrame({name: table[LABEL].value_counts() for name, table in tables.items()}).fillna(0).sort_index()
    shares = counts / counts.sum().clip(lower=1)
    overall = counts.sum(axis=1) / counts.to_numpy().sum()
    deviation = shares.sub(overall, axis=0)[list(SPLITS)].to_numpy()
    label, split = np.unravel_index(np.abs(deviation).argmax(), deviation.shape)
    largest = {"label": counts.index[label], "split": SPLITS[split], "share": round(float(deviation[label, split]), 6)}
    return {
        "overall_share": {key: round(float(value), 6) for key, value in overall.items()},
        "largest_deviation": largest,
        "without_rows": {name: [str(key) for key in counts.index[counts[name] == 0]] for name in SPLITS},
    }


def _describe_groups(grouped: pd.DataFrame) -> dict[str, Any]:
    texts, groups = grouped[TEXT_HASH].nunique(), grouped[GROUP].value_counts()
    largest = groups[groups > 1].reset_index().sort_values(["count", GROUP], ascending=[False, True])
    largest = largest.head(MAX_EXAMPLES)
    first_ids = grouped.drop_duplicates(GROUP).set_index(GROUP)[ID]
    return {
        "exact_rows": len(grouped) - int(texts),
        "near_rows": int(texts) - len(groups),
        "groups": len(groups),
        "largest_groups": [
            {"group": group, "rows": int(count), "first_id": str(first_ids[group])}
            for group, count in zip(largest[GROUP], largest["count"], strict=True)
        ],
    }


def _leaks(tables: Mapping[SplitName, pd.DataFrame]) -> dict[str, dict[str, int]]:
    """Count the texts and groups that occur in two splits."""
    leaks: dict[str, dict[str, int]] = {}
    for first, second in combinations(SPLITS, 2):
        leaks[f"{first}_{second}"] = {
            f"shared_{column}": len(set(tables[first][column].tolist()).intersection(tables[second][column].tolist()))
            for column in (TEXT_HASH, GROUP)
        }
    return leaks


def _describe_excluded(grouped: pd.DataFrame, rows: NDArray[np.bool_]) -> dict[str, Any]:
    return {"rows": int(rows.sum()), "first_ids": [str(name) for name in grouped[ID][rows].head(MAX_EXAMPLES)]}


def _share(part: int, whole: int) -> float:
    return round(part / whole, 6) if whole else 0.0
