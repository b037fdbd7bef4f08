"""Convert the values of a column, and report those that cannot be converted."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import pandas as pd

from atnet.errors import DataContractError


@dataclass(frozen=True, slots=True)
class InvalidValues:
    """The values of a column that cannot be converted."""

    row: int
    """Position of the first such row in the file, from 1."""
    value: object
    rows: int
    message: str
    """A template with the fields row, value and rows."""

    def __str__(self) -> str:
        return self.message.format(row=f"{self.row:,}", value=repr(self.value), rows=f"{self.rows:,}")

    def and_later(self, other: "InvalidValues | None") -> "InvalidValues":
        """Add the rows of a later batch."""
        return self if other is None else replace(self, rows=self.rows + other.rows)


class InvalidColumnsError(DataContractError):
    """Columns of a batch cannot be converted; carries what is wrong with each."""

    def __init__(self, problems: Mapping[str, InvalidValues]) -> None:
        super().__init__(" Also: ".join(map(str, problems.values())))
        self.problems = problems

    def and_later(self, other: "InvalidColumnsError") -> "InvalidColumnsError":
        """Add what is wrong with a later batch."""
        known = {name: problem.and_later(other.problems.get(name)) for name, problem in self.problems.items()}
        return InvalidColumnsError({**other.problems, **known})


class InvalidValuesError(ValueError):
    """A column of a batch cannot be converted."""

    def __init__(self, values: pd.Series, invalid: pd.Series, message: str) -> None:
        super().__init__(message)
        position = int(invalid.to_numpy().argmax())
        self.problem = InvalidValues(int(values.index[position]), values.iloc[position], int(invalid.sum()), message)


def blank_to_null(values: pd.Series) -> pd.Series:
    """Replace empty and blank cells by nulls; all other values stay as they are."""
    return values.where(values.str.strip() != "")


def numbers(values: pd.Series, role: str, advice: str) -> pd.Series:
    """Convert strings to numbers; an empty cell is null.

    Args:
        values: the cells.
        role: what they are, for the message.
        advice: what to do besides correcting the cells.

    Raises:
        InvalidValuesError: if a cell is not a finite number.
    """
    filled = blank_to_null(values)
    converted = pd.to_numeric(filled, errors="coerce").astype("float64")
    invalid = filled.notna() & ~converted.abs().lt(math.inf)
    if invalid.any():
        raise InvalidValuesError(
            values,
            invalid,
            f"the {role} of data row {{row}} is {{value}}, which is not a number ({{rows}} such rows). "
            f"Fix the column {literal(values.name)} (decimals take a point), or {advice}.",
        )
    return converted


def literal(name: object) -> str:
    """Quote a name for a message that is formatted later."""
    return repr(name).replace("{", "{{").replace("}", "}}")
