"""Describe the splits: sizes, label shares, duplicates, leaks and excluded rows.

Letters in array names: N rows, U distinct texts.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from atnet.config import SPLITS, SplitName
from atnet.data.split_rows import SplitRows, ids_of
from atnet.schema import GROUP, TEXT_HASH
from atnet.table_batches import TableSource

HELD_OUT: tuple[SplitName, ...] = ("validation", "test")
"""Splits that duplicates of other splits are removed from."""
MAX_EXAMPLES = 5
"""Groups, ids and labels listed as examples."""


@dataclass(frozen=True, slots=True)
class AssignedRows:
    """Rows with their groups and splits."""

    rows: SplitRows
    group_U: NDArray[np.int32]
    """The first text of each text's group."""
    split_N: NDArray[np.int8]
    """Position in SPLITS of the split that each row is assigned to."""
    excluded_N: NDArray[np.bool_]
    """Whether the row is then excluded from its split."""

    @property
    def group_N(self) -> NDArray[np.int32]:
        """Return the first text of each row's group."""
        return self.group_U[self.rows.text_N]

    def in_split(self, name: SplitName) -> NDArray[np.bool_]:
        """Mark the rows of a split, without excluded ones."""
        marked: NDArray[np.bool_] = (self.split_N == SPLITS.index(name)) & ~self.excluded_N
        return marked


def split_report(assigned: AssignedRows, source: TableSource) -> dict[str, Any]:
    """Describe the splits, ready for JSON."""
    counts, labeled = _label_counts(assigned), int(assigned.rows.hard_N.sum())
    texts = {name: _present(assigned.rows.text_N, assigned, name) for name in SPLITS}
    groups = {name: _present(assigned.group_N, assigned, name) for name in SPLITS}
    return {
        "rows": labeled,
        "splits": {name: _describe_split(counts[name], groups[name], labeled) for name in SPLITS},
        "labels": _describe_labels(counts),
        "duplicates": _describe_groups(assigned, source),
        "leaks": _leaks({TEXT_HASH: texts, GROUP: groups}),
        "excluded": {name: _describe_excluded(_excluded_from(assigned, name), source) for name in HELD_OUT},
        **({"teacher_only": _describe_teacher_only(assigned, source)} if labeled < len(assigned.rows) else {}),
    }


def _label_counts(assigned: AssignedRows) -> pd.DataFrame:
    """Count the rows of each label in each split, without labels of a teacher; labels without rows are omitted."""
    rows = assigned.rows
    labeled = {name: assigned.in_split(name) & rows.hard_N for name in SPLITS}
    counts = {name: np.bincount(rows.label_N[labeled[name]], minlength=len(rows.labels)) for name in SPLITS}
    frame = pd.DataFrame(counts, index=pd.Index(rows.labels, dtype="str")).sort_index()
    return frame[frame.sum(axis=1) > 0]


def _present(values_N: NDArray[np.int32], assigned: AssignedRows, name: SplitName) -> NDArray[np.bool_]:
    """Mark the texts or groups that occur in a split, (U,)."""
    present = np.zeros(len(assigned.group_U), dtype=bool)
    present[values_N[assigned.in_split(name)]] = True
    return present


def _describe_split(counts: pd.Series, groups_U: NDArray[np.bool_], all_rows: int) -> dict[str, Any]:
    rows = int(counts.sum())
    return {
        "rows": rows,
        "share": _share(rows, all_rows),
        "groups": int(groups_U.sum()),
        "labels": {str(label): {"rows": int(n), "share": _share(int(n), rows)} for label, n in counts.items() if n},
    }


def _describe_labels(counts: pd.DataFrame) -> dict[str, Any]:
    """Compare the label shares of each split with those of all splits together."""
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


def _describe_groups(assigned: AssignedRows, source: TableSource) -> dict[str, Any]:
    rows, group_N = assigned.rows, assigned.group_N
    counts_U = np.bincount(group_N, minlength=len(assigned.group_U))
    groups, texts = int(np.count_nonzero(counts_U)), len(rows.names_U)
    several = np.flatnonzero(counts_U > 1)
    # Texts are in the order of their hashes, so groups of equal size are listed by name.
    largest = several[np.argsort(-counts_U[several], kind="stable")][:MAX_EXAMPLES].tolist()
    first = {group: int((group_N == group).argmax()) for group in largest}
    ids = ids_of(source, list(first.values()))
    return {
        "exact_rows": len(rows) - texts,
        "near_rows": texts - groups,
        "groups": groups,
        "largest_groups": [
            {"group": hash_name(rows.names_U[group]), "rows": int(counts_U[group]), "first_id": ids[first[group]]}
            for group in largest
        ],
    }


def hash_name(value: np.uint64 | int) -> str:
    """Return a 64-bit hash as `schema.text_hash` writes it."""
    return f"{int(value):016x}"


def _leaks(present: Mapping[str, Mapping[SplitName, NDArray[np.bool_]]]) -> dict[str, dict[str, int]]:
    """Count the texts and groups that occur in two splits."""
    return {
        f"{first}_{second}": {
            f"shared_{column}": int((marks[first] & marks[second]).sum()) for column, marks in present.items()
        }
        for first, second in combinations(SPLITS, 2)
    }


def _excluded_from(assigned: AssignedRows, name: SplitName) -> NDArray[np.bool_]:
    excluded: NDArray[np.bool_] = assigned.excluded_N & (assigned.split_N == SPLITS.index(name))
    return excluded


def _describe_teacher_only(assigned: AssignedRows, source: TableSource) -> dict[str, Any]:
    """Count the rows that only the teacher labels: those in train, and those that were left out of it."""
    teacher_only = ~assigned.rows.hard_N
    excluded = _describe_excluded(assigned.excluded_N & teacher_only, source)
    return {"rows": int((teacher_only & ~assigned.excluded_N).sum()), "excluded": excluded}


def _describe_excluded(excluded_N: NDArray[np.bool_], source: TableSource) -> dict[str, Any]:
    rows = np.flatnonzero(excluded_N)
    first = rows[:MAX_EXAMPLES].tolist()
    ids = ids_of(source, first)
    return {"rows": len(rows), "first_ids": [ids[row] for row in first]}


def _share(part: int, whole: int) -> float:
    return round(part / whole, 6) if whole else 0.0
