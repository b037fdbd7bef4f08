"""Partitions: the units that are scored, written and recorded, and the days they belong to."""

import re
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Protocol

from atnet.config import DataConfig
from atnet.errors import DataContractError

DAY = re.compile(r"(?<!\d)\d{4}-\d{2}-\d{2}(?!\d)")
LISTED_DAYS = 5


@dataclass(frozen=True, slots=True)
class Partition:
    """One file of a folder, one value of a partition column, or a whole file or table."""

    name: str
    """Path below the input folder, value of the partition column, or name of the file or table."""

    @property
    def day(self) -> date | None:
        """The first date (YYYY-MM-DD) in the name; None without one."""
        for match in DAY.finditer(self.name):
            try:
                return date.fromisoformat(match[0])
            except ValueError:
                continue
        return None


@dataclass(frozen=True, slots=True)
class PartitionInput:
    """The texts of a partition in a file."""

    path: Path
    data: DataConfig
    sha256: str
    """SHA-256 of the file's bytes or the table's rows."""


class Source(Protocol):
    """Where texts come from."""

    def partitions(self) -> list[Partition]:
        """List the partitions in the order in which they are scored."""

    def digest(self, partition: Partition) -> str:
        """Return the SHA-256 of a partition's contents."""

    def open(self, partition: Partition) -> AbstractContextManager[PartitionInput]:
        """Provide a partition's texts as a file while the block runs."""


@dataclass(frozen=True, slots=True)
class Selection:
    """The partitions of a range of days."""

    partitions: Sequence[Partition]
    undated: int = 0
    """Partitions without a date in their name, which no range contains."""
    missing_days: tuple[date, ...] = ()
    """Days of the range that have no partition."""

    def notes(self) -> list[str]:
        """Return what the user should know about the range, one sentence each."""
        notes = []
        if self.undated:
            notes.append(f"Not part of the range, because the name has no date: {count(self.undated, 'partition')}.")
        if self.missing_days:
            days = ", ".join(str(day) for day in self.missing_days[:LISTED_DAYS])
            more = ", …" if len(self.missing_days) > LISTED_DAYS else ""
            notes.append(f"Without a partition: {count(len(self.missing_days), 'day')} of the range, {days}{more}.")
        return notes


def select_days(partitions: Sequence[Partition], first: date | None, last: date | None) -> Selection:
    """Select the partitions of a range of days, both included; None leaves that end open.

    Raises:
        DataContractError: if the range is empty, or no partition has a date.
    """
    if first is None and last is None:
        return Selection(partitions)
    if first is not None and last is not None and first > last:
        raise DataContractError(f"The range from {first} to {last} is empty. Swap --from and --to.")
    days = [partition.day for partition in partitions]
    dated = [day for day in days if day is not None]
    if partitions and not dated:
        raise DataContractError(
            "No partition has a date (YYYY-MM-DD) in its name, so --from and --to cannot select any. Put the date into "
            "the path, e.g. date=2026-01-31/part-0.csv, or omit the range."
        )
    oldest, newest = first or min(dated, default=date.min), last or max(dated, default=date.min)
    selected = [p for p, day in zip(partitions, days, strict=True) if day is not None and oldest <= day <= newest]
    every_day = (oldest + timedelta(days=number) for number in range((newest - oldest).days + 1))
    return Selection(
        partitions=selected,
        undated=len(partitions) - len(dated),
        missing_days=tuple(day for day in every_day if day not in set(dated)),
    )


def count(number: int, noun: str) -> str:
    """Write a number with its noun."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
