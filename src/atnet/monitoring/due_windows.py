"""Which days of the prediction log are due, and which have changed since they were monitored."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

from atnet.monitoring.logged_predictions import count_rows
from atnet.monitoring.window_records import WindowRecord

LOG_KEY = re.compile(r"log:(\d{4}-\d{2}-\d{2})/(\d{4}-\d{2}-\d{2})")
MAX_DUE = 14
"""Largest number of windows that one call catches up on; older ones can be requested by their days."""
LATE_WINDOWS = 14
"""Newest windows that are checked for rows that were logged late."""


@dataclass(frozen=True, slots=True)
class LogDays:
    """Days of the prediction log, both included."""

    first: date
    last: date


def due_windows(windows: Sequence[WindowRecord], today: date, window_days: int) -> list[LogDays]:
    """List the windows between the last monitored day and yesterday, oldest first.

    The next run makes up for one that was missed or killed. Without a record, only the newest window is due.
    Records of days in the future are ignored: a clock that was once ahead must not stop monitoring.

    Args:
        windows: of the model, in their order.
        today: a day that is not over yet.
        window_days: days of a window.
    """
    yesterday, length = today - timedelta(days=1), timedelta(days=window_days)
    monitored = [days.last for record in windows if (days := record_days(record)) and days.last <= yesterday]
    if not monitored:
        return [LogDays(today - length, yesterday)]
    due, first = [], max(monitored) + timedelta(days=1)
    while first + length <= today:
        due.append(LogDays(first, first + length - timedelta(days=1)))
        first += length
    return due[-MAX_DUE:]


def record_days(record: WindowRecord) -> LogDays | None:
    """Return the days of a record of the prediction log; None for a file's."""
    match = LOG_KEY.fullmatch(record.key)
    return LogDays(*(date.fromisoformat(day) for day in match.groups())) if match else None


def late_row_notes(windows: Sequence[WindowRecord], predictions: Path, source: object) -> list[str]:
    """Note each monitored window that has more rows now: logged late, with a wrong clock, or readable again."""
    notes = []
    for record in windows[-LATE_WINDOWS:]:
        days = record_days(record)
        if days is None or days == source:
            continue
        late = sum(
            max(count_rows(predictions, date.fromisoformat(day)) - rows, 0) for day, rows in record.rows_by_day.items()
        )
        if late:
            notes.append(
                f"Rows of {record.name} that were logged after it was monitored: {late:,}. To include them: "
                f"`atnet monitor --since {days.first} --until {days.last}`."
            )
    return notes
