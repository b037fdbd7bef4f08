"""What there is to say about a split: sizes, label shares, duplicates, leaks, and rows that were left out."""

from collections.abc import Mapping
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from atnet.config import SPLITS, SplitName
from atnet.schema import GROUP, ID, LABEL, TEXT_HASH

LEFT_OUT_OF: tuple[SplitName, ...] = ("validation", "test")
LISTED = 5
"""Groups, ids and labels that are named as examples."""


def describe(
    tables: Mapping[SplitName, pd.DataFrame],
    grouped: pd.DataFrame,
    *,
    left_out: Mapping[SplitName, NDArray[np.bool_]],
) -> dict[str, Any]:
    """Describe the sides.

    Args:
        tables: the rows kept, by side.
        grouped: all rows, with their groups.
        left_out: per side, which of all rows were left out of it.
    """
    return {
        "rows": len(grouped),
        "splits": {name: _describe_side(side, len(grouped)) for name, side in tables.items()},
        "labels": _describe_labels(tables),
        "duplicates": _describe_groups(grouped),
        "leaks": _leaks(tables),
        "left_out": {name: _describe_left_out(grouped, rows) for name, rows in left_out.items()},
    }


def _describe_side(side: pd.DataFrame, rows: int) -> dict[str, Any]:
    counts = side[LABEL].value_counts().sort_index()
    labels = {label: {"rows": int(count), "share": _share(count, len(side))} for label, count in counts.items()}
    return {"rows": len(side), "share": _share(len(side), rows), "groups": int(side[GROUP].nunique()), "labels": labels}


def _describe_labels(tables: Mapping[SplitName, pd.DataFrame]) -> dict[str, Any]:
    """Compare each side's label shares with those of all kept rows."""
    counts = pd.DataFrame({name: side[LABEL].value_counts() for name, side in tables.items()}).fillna(0).sort_index()
    shares = counts / counts.sum().clip(lower=1)
    overall = counts.sum(axis=1) / counts.to_numpy().sum()
    away = shares.sub(overall, axis=0)[list(SPLITS)].to_numpy()
    label, side = np.unravel_index(np.abs(away).argmax(), away.shape)
    largest = {"label": counts.index[label], "split": SPLITS[side], "share": round(float(away[label, side]), 6)}
    return {
        "overall_share": {key: round(float(value), 6) for key, value in overall.items()},
        "largest_deviation": largest,
        "without_rows": {name: [str(key) for key in counts.index[counts[name] == 0]] for name in SPLITS},
    }


def _describe_groups(grouped: pd.DataFrame) -> dict[str, Any]:
    texts, groups = grouped[TEXT_HASH].nunique(), grouped[GROUP].value_counts()
    largest = groups[groups > 1].reset_index().sort_values(["count", GROUP], ascending=[False, True]).head(LISTED)
    examples = grouped.drop_duplicates(GROUP).set_index(GROUP)[ID]
    return {
        "exact_rows": len(grouped) - int(texts),
        "near_rows": int(texts) - len(groups),
        "groups": len(groups),
        "largest_groups": [
            {"group": group, "rows": int(count), "first_id": str(examples[group])}
            for group, count in zip(largest[GROUP], largest["count"], strict=True)
        ],
    }


def _leaks(tables: Mapping[SplitName, pd.DataFrame]) -> dict[str, dict[str, int]]:
    """Count texts and groups that stand on two sides."""
    found: dict[str, dict[str, int]] = {}
    for one, other in combinations(SPLITS, 2):
        found[f"{one}_{other}"] = {
            f"shared_{column}": len(set(tables[one][column].tolist()).intersection(tables[other][column].tolist()))
            for column in (TEXT_HASH, GROUP)
        }
    return found


def _describe_left_out(grouped: pd.DataFrame, rows: NDArray[np.bool_]) -> dict[str, Any]:
    return {"rows": int(rows.sum()), "first_ids": [str(name) for name in grouped[ID][rows].head(LISTED)]}


def _share(part: int, whole: int) -> float:
    return round(part / whole, 6) if whole else 0.0
