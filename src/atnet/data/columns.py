"""Map the columns of the data file to the canonical table (see `atnet.schema`): names, types and missing columns."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from atnet.config import ColumnsConfig, SplitName
from atnet.data.column_settings import column_settings, listed_columns, propose_settings
from atnet.data.column_values import InvalidColumnsError, InvalidValuesError, blank_to_null, literal, numbers
from atnet.data.teacher import teacher_probabilities
from atnet.errors import DataContractError
from atnet.schema import BUILT_IN_SLICES, CANONICAL, ID, LABEL, RATING, SPLIT, TEACHER_PREFIX, TEXT, WEIGHT

SPLIT_NAMES: Mapping[str, SplitName] = {
    "train": "train",
    "training": "train",
    "validation": "validation",
    "valid": "validation",
    "val": "validation",
    "dev": "validation",
    "test": "test",
}


class MissingColumnsError(DataContractError):
    """A file lacks configured columns; carries the columns that it has."""

    def __init__(self, message: str, present: Sequence[str]) -> None:
        super().__init__(message)
        self.present = tuple(present)


class WithExtraColumns(ColumnsConfig):
    """The columns of the settings, and other columns of the file to read in addition."""

    extra: tuple[str, ...]

    @classmethod
    def of(cls, columns: ColumnsConfig, extra: Sequence[str]) -> "WithExtraColumns":
        """Add columns."""
        return cls(**columns.model_dump(), extra=tuple(extra))


def required_columns(columns: ColumnsConfig) -> list[str]:
    """Return the names of the file's columns that the pipeline reads, each once; extra ones come last."""
    return list(dict.fromkeys([*(name for _, name in column_settings(columns)), *_extra(columns)]))


def _extra(columns: ColumnsConfig) -> tuple[str, ...]:
    return columns.extra if isinstance(columns, WithExtraColumns) else ()


def check_columns(present: Sequence[str], columns: ColumnsConfig, *, source: Path) -> None:
    """Check that a file has every required column exactly once.

    Raises:
        DataContractError: if a column is missing (with the columns of the file and the closest name), occurs twice, or
            if a slice column has a reserved name.
    """
    missing = list(dict.fromkeys(name for _, name in column_settings(columns) if name not in present))
    if missing:
        settings = propose_settings(present, columns)
        proposed = [setting.value for setting in settings if setting.value in present]
        hint = f" Did you mean {', '.join(map(repr, proposed))}?" if proposed else ""
        plural = "s" if len(missing) > 1 else ""
        raise MissingColumnsError(
            f"{source} has no column{plural} {', '.join(map(repr, missing))} (its columns: {listed_columns(present)})."
            f"{hint} Set {'; '.join(map(str, settings))} in params.yaml.",
            present,
        )
    absent = [name for name in _extra(columns) if name not in present]
    if absent:
        raise DataContractError(
            f"{source} has no column {', '.join(map(repr, absent))}, which an expectation of validate.expectations "
            f"names (its columns: {listed_columns(present)}). Correct the name there."
        )
    repeated = [name for name in required_columns(columns) if present.count(name) > 1]
    if repeated:
        raise DataContractError(f"{source} has two columns {repeated[0]!r}. Rename one of them in the file.")
    reserved = (*CANONICAL, *BUILT_IN_SLICES)
    for name in columns.slices:
        if name in reserved or name.startswith(TEACHER_PREFIX):
            raise DataContractError(
                f"{source}: the slice column {name!r} has a name that the pipeline uses itself "
                f"({', '.join(reserved)}, {TEACHER_PREFIX}…). Rename it in the file, or remove it from "
                "data.columns.slices."
            )


def to_canonical(raw: pd.DataFrame, columns: ColumnsConfig, *, first_row: int = 1) -> pd.DataFrame:
    """Return the canonical table: canonical columns first, then the slice columns, indexed by row position.

    A row without an id is named after its position (row-000001), an empty label is null, an empty slice value "".

    Args:
        raw: columns of the file, all strings.
        columns: which column is which.
        first_row: position of the first row, if `raw` is a later batch of a file.

    Raises:
        InvalidColumnsError: with all columns in which a value is not a number, a split or a probability of a teacher.
    """
    rows = pd.RangeIndex(first_row, first_row + len(raw))
    raw = raw.set_axis(rows, axis="index")
    canonical: dict[str, pd.Series] = {ID: _ids(raw, columns.id), TEXT: raw[columns.text]}
    if columns.label is not None:
        canonical[LABEL] = blank_to_null(raw[columns.label])
    problems = {}
    conversions = (
        (SPLIT, columns.split, _splits),
        (RATING, columns.rating, _ratings),
        (WEIGHT, columns.weight, _weights),
    )
    for key, name, convert in conversions:
        if name is not None:
            try:
                canonical[key] = convert(raw[name])
            except InvalidValuesError as error:
                problems[key] = error.problem
    if columns.teacher is not None:
        try:
            canonical |= teacher_probabilities(raw, columns.teacher)
        except InvalidValuesError as error:
            problems[error.problem.message] = error.problem
    if problems:
        raise InvalidColumnsError(problems)
    for name in columns.slices:
        canonical[name] = raw[name].fillna("")
    return pd.DataFrame(canonical, index=rows)


def canonical_ids(raw: pd.DataFrame, columns: ColumnsConfig) -> pd.Series:
    """Return the ids of rows that are indexed by their position; a row without one is named after its position."""
    return _ids(raw, columns.id)


def _ids(raw: pd.DataFrame, column: str | None) -> pd.Series:
    ids = pd.Series(None, index=raw.index, dtype="str") if column is None else blank_to_null(raw[column])
    missing = ids.isna()
    if missing.any():
        ids = ids.copy()
        ids[missing] = [f"row-{row:06d}" for row in raw.index[missing]]
    return ids


def _ratings(values: pd.Series) -> pd.Series:
    return numbers(values, "rating", "set data.columns.rating to another column")


def _weights(values: pd.Series) -> pd.Series:
    weights = numbers(values, "weight", "set data.columns.weight to another column")
    invalid = ~weights.gt(0)
    if invalid.any():
        raise InvalidValuesError(
            values,
            invalid,
            "the weight of data row {row} is {value}; a weight is a number above 0 ({rows} such rows). "
            f"Fix the column {literal(values.name)}, or set data.columns.weight: null.",
        )
    return weights


def _splits(values: pd.Series) -> pd.Series:
    splits = values.str.strip().str.lower().map(SPLIT_NAMES)
    invalid = splits.isna()
    if invalid.any():
        raise InvalidValuesError(
            values,
            invalid,
            "the split of data row {row} is {value} ({rows} such rows); "
            "allowed are train, validation (or dev, valid, val) and test. Fix the column, or set "
            "data.columns.split: null to let the pipeline split the rows.",
        )
    return splits.astype("str")
