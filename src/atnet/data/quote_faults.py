"""Report quotes that cannot be read to the letter, and quoted cells that hold whole records of the table."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from atnet.config import ColumnsConfig
from atnet.data.quoting import MAX_CELL_BYTES, QuoteFault, Suspect
from atnet.errors import DataFileError

MAX_KEY_VALUES = 1_000
QUOTING_ADVICE = (
    'Double the quotes inside a text (""), or set data.quoting: none in params.yaml if quotes are text in it.'
)


class QuotingError(DataFileError):
    """A quote of the file cannot be read to the letter."""


def quoting_error(path: Path, fault: QuoteFault) -> QuotingError:
    """Return the error for a quote that cannot be read to the letter, with its line."""
    line = f"that opens in line {fault.line:,}"
    messages = {
        "open": f"the quote {line} is never closed, so it would swallow the rows below it.",
        "text after the closing quote": f"the quoted cell {line} has text after its closing quote.",
        "backslash": f"the quoted cell {line} has a quote escaped by a backslash.",
        "too long": f"a row is longer than {MAX_CELL_BYTES >> 20} MiB, most likely because a quote is never closed: "
        f"the one {line}.",
        "records": f"the quoted cell {line} contains whole records, so the quote is probably text. If the cell is "
        "right, set data.quoting: standard.",
    }
    return QuotingError(f"{path}: {messages[fault.fault]} {QUOTING_ADVICE}")


@dataclass(slots=True)
class KeyValues:
    """The distinct values of the columns that show whether a line is a record; collected batch by batch."""

    rating: str | None
    values: dict[str, set[str] | None] = field(default_factory=dict)
    """Column -> values; None if there are more than MAX_KEY_VALUES."""

    @classmethod
    def of(cls, columns: ColumnsConfig) -> "KeyValues":
        """Start with the columns of the configuration."""
        names = (columns.label, columns.split)
        return cls(columns.rating, {name: set() for name in names if name is not None})

    def add(self, batch: pa.RecordBatch) -> None:
        """Add the values of a batch."""
        for name, values in self.values.items():
            if values is not None:
                values.update(pc.unique(batch[name]).to_pylist())
                if len(values) > MAX_KEY_VALUES:
                    self.values[name] = None

    def checks(self, header: Sequence[str]) -> dict[int, Callable[[str], bool]]:
        """Return, by the position of each key column, whether a value is plausible there."""
        checks: dict[int, Callable[[str], bool]] = {}
        for name, values in self.values.items():
            if values is not None:
                checks[header.index(name)] = {str(value).strip() for value in values}.__contains__
        if self.rating is not None:
            checks[header.index(self.rating)] = _is_number
        return checks


def records_fault(suspects: Sequence[Suspect], keys: KeyValues, header: Sequence[str]) -> QuoteFault | None:
    """Return the first quoted cell whose lines all look like records of the table."""
    checks = keys.checks(header) if suspects else {}
    records = (suspect for suspect in suspects if checks and _holds_records(suspect, checks))
    first = next(records, None)
    return None if first is None else QuoteFault(first.line, "records")


def _holds_records(suspect: Suspect, checks: dict[int, Callable[[str], bool]]) -> bool:
    """Return whether every line has plausible values in the key columns."""
    return all(plausible(record[column]) for record in suspect.records for column, plausible in checks.items())


def _is_number(value: str) -> bool:
    try:
        float(value)
    except ValueError:
        return False
    return True
