"""Which days of the prediction log are due, and which have changed since they were monitored."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from atnet.monitoring.prediction_days import find_days
from atnet.monitoring.records import WindowRecord

LOG_KEY = re.compile(r"log:(\d{4}-\d{2}-\d{2})/(\d{4}-\d{2}-\d{2})")
MOST_DUE = 14
"""Windows that one call catches up on; older ones can be asked for by their days."""
LOOKED_BACK = 14
"""Windows that are looked at again for rows that came late."""


@dataclass(frozen=True, slots=True)
class Days:
    """Days of the prediction log, both included."""

    first: date
    last: date


def due_windows(windows: Sequence[WindowRecord], today: date, window_days: int) -> list[Days]:
    """List the windows between the last monitored day and yesterday, oldest first.

    A run that was missed or killed is made up for by the next. Without a record, only the newest window is due.
    Days that lie ahead of the clock do not count: a clock that was ahead once must not stop monitoring.

    Args:
        windows: of the model, in their order.
        today: a day that is not over yet.
        window_days: days of a window.
    """
    yesterday, length = today - timedelta(days=1), timedelta(days=window_days)
    monitored = [days.last for record in windows if (days := record_days(record)) and days.last <= yesterday]
    if not monitored:
        return [Days(today - length, yesterday)]
    due, first = [], max(monitored) + timedelta(days=1)
    while first + length <= today:
        due.append(Days(first, first + length - timedelta(days=1)))
        first += length
    return due[-MOST_DUE:]


def record_days(record: WindowRecord) -> Days | None:
    """Return the days of a record of the prediction log; None for a file's."""
    match = LOG_KEY.fullmatch(record.key)
    return Days(*(date.fromisoformat(day) for day in match.groups())) if match else None


def late_row_notes(windows: Sequence[WindowRecord], predictions: Path, source: object) -> list[str]:
    """Name the monitored days that have more rows now: logged late, under a clock set back, or readable again."""
    if not predictions.is_dir():
        return []
    found = find_days(predictions)
    notes = []
    for record in windows[-LOOKED_BACK:]:
        days = record_days(record)
        if days is None or days == source:
            continue
        late = sum(_late_rows(found[day].paths, rows) for day, rows in _days(record) if day in found)
        if late:
            notes.append(
                f"Rows of {record.name} logged after it was monitored: {late:,}. To look at them: "
                f"`atnet monitor --since {days.first} --until {days.last}`."
            )
    return notes


def _days(record: WindowRecord) -> Iterator[tuple[date, int]]:
    return ((date.fromisoformat(day), rows) for day, rows in record.rows_by_day.items())


def _late_rows(paths: Sequence[Path], monitored: int) -> int:
    return max(sum(_count_rows(path) for path in paths) - monitored, 0)


def _count_rows(path: Path) -> int:
    try:
        return int(pq.read_metadata(path).num_rows)
    except (pa.ArrowException, OSError):
        return 0
