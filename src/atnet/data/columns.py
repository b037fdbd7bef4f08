"""Give the user's columns the names and types that every stage knows (table.py)."""

import difflib
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pandas as pd

from atnet.config import ColumnsConfig, SplitName
from atnet.errors import DataContractError
from atnet.schema import BUILT_IN_SLICES, CANONICAL, ID, LABEL, RATING, SPLIT, TEXT, WEIGHT

SPLIT_NAMES: Mapping[str, SplitName] = {
    "train": "train",
    "training": "train",
    "validation": "validation",
    "valid": "validation",
    "val": "validation",
    "dev": "validation",
    "test": "test",
}
LISTED = 20
"""Columns named in a message, at most."""


def named_columns(columns: ColumnsConfig) -> Iterator[tuple[str, str]]:
    """Give each parameter that names a column of the file, with that name."""
    for key in (TEXT, LABEL, ID, SPLIT, RATING, WEIGHT):
        name = getattr(columns, key)
        if name is not None:
            yield f"data.columns.{key}", name
    for name in columns.slices:
        yield "data.columns.slices", name


def wanted_columns(columns: ColumnsConfig) -> list[str]:
    """List the file's columns that are used, each once."""
    return list(dict.fromkeys(name for _, name in named_columns(columns)))


def check_columns(found: Sequence[str], columns: ColumnsConfig, *, source: Path) -> None:
    """Refuse a file that lacks a wanted column or has it twice.

    Raises:
        DataContractError: with the columns found and the nearest name.
    """
    for key, name in named_columns(columns):
        if name not in found:
            near = difflib.get_close_matches(name, found, n=1, cutoff=0.5)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            listed = ", ".join(repr(column) for column in found[:LISTED]) + (", …" if len(found) > LISTED else "")
            raise DataContractError(
                f"{source} has no column {name!r} (found: {listed}).{hint} Set {key} in params.yaml to a column it has."
            )
        if found.count(name) > 1:
            raise DataContractError(f"{source} has two columns {name!r}. Rename one in the file.")
    taken = (*CANONICAL, *BUILT_IN_SLICES)
    for name in columns.slices:
        if name in taken:
            raise DataContractError(
                f"{source}: the slice column {name!r} has a name that the pipeline uses itself "
                f"({', '.join(taken)}). Rename it in the file, or take it out of data.columns.slices."
            )


def to_canonical(raw: pd.DataFrame, columns: ColumnsConfig, *, first_row: int = 1) -> pd.DataFrame:
    """Rename and type the columns; those of table.py first, then the slices. The index is the row's position.

    A row without an id is named by its position (row-000001), an empty label is null, an empty slice value "".

    Args:
        raw: the file's columns, all strings.
        columns: their names.
        first_row: position of the first row, when `raw` is a later part of a file.

    Raises:
        DataContractError: if a rating or weight is no number, or a split value is unknown.
    """
    rows = pd.RangeIndex(first_row, first_row + len(raw))
    raw = raw.set_axis(rows, axis="index")
    taken: dict[str, pd.Series] = {ID: _ids(raw, columns.id), TEXT: raw[columns.text]}
    if columns.label is not None:
        taken[LABEL] = _filled(raw[columns.label])
    if columns.split is not None:
        taken[SPLIT] = _splits(raw[columns.split])
    if columns.rating is not None:
        taken[RATING] = _numbers(raw[columns.rating], "rating")
    if columns.weight is not None:
        taken[WEIGHT] = _weights(raw[columns.weight])
    for name in columns.slices:
        taken[name] = raw[name].fillna("")
    return pd.DataFrame(taken, index=rows)


def _filled(values: pd.Series) -> pd.Series:
    """Turn empty and blank cells into nulls; others stay to the letter."""
    return values.where(values.str.strip() != "")


def _ids(raw: pd.DataFrame, column: str | None) -> pd.Series:
    names = pd.Series([f"row-{row:06d}" for row in raw.index], index=raw.index, dtype="str")
    if column is None:
        return names
    found = _filled(raw[column])
    return found.where(found.notna(), names)


def _numbers(values: pd.Series, role: str) -> pd.Series:
    filled = _filled(values)
    numbers = pd.to_numeric(filled, errors="coerce").astype("float64")
    wrong = filled.notna() & ~numbers.abs().lt(math.inf)
    if wrong.any():
        row, found = _first(values, wrong)
        raise DataContractError(
            f"the {role} of data row {row:,} is {found!r}, which is no number "
            f"({int(wrong.sum()):,} such rows). Mend the column {values.name!r} (decimals take a point), "
            f"or set data.columns.{role} to another."
        )
    return numbers


def _weights(values: pd.Series) -> pd.Series:
    numbers = _numbers(values, "weight")
    wrong = ~numbers.gt(0)
    if wrong.any():
        row, found = _first(values, wrong)
        raise DataContractError(
            f"the weight of data row {row:,} is {found!r}; a weight is a number above 0 "
            f"({int(wrong.sum()):,} such rows). Mend the column {values.name!r}, or set data.columns.weight: null."
        )
    return numbers


def _splits(values: pd.Series) -> pd.Series:
    known = values.str.strip().str.lower().map(SPLIT_NAMES)
    wrong = known.isna()
    if wrong.any():
        row, found = _first(values, wrong)
        raise DataContractError(
            f"the split of data row {row:,} is {found!r} ({int(wrong.sum()):,} such rows); "
            "known are train, validation (or dev, valid, val) and test. Mend the column, or set "
            "data.columns.split: null to let the pipeline split the rows."
        )
    return known.astype("str")


def _first(values: pd.Series, wrong: pd.Series) -> tuple[int, str]:
    """Find the first wrong value: its row's position, and the value as it stands."""
    position = int(wrong.to_numpy().argmax())
    return int(values.index[position]), values.iloc[position]
