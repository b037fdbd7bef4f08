"""The records of monitoring: one JSON line per window, and one per notification.

Lines are only appended. A kill can cut the last line short; it is then skipped, and the window is monitored again.
The order of the lines is the order of the windows, so no clock is needed for it.
"""

import contextlib
import json
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from atnet.errors import MonitoringError
from atnet.storage import exclusive_lock

logger = logging.getLogger(__name__)

WINDOWS_FILE, NOTIFICATIONS_FILE = "windows.jsonl", "notifications.jsonl"
LOCK = ".lock"
LOCK_SECONDS = 5.0

DriftResult = Literal["drift", "no_drift", "too_few"]
State = Literal["ok", "alarm"]
Action = Literal["none", "label", "retrain"]
"""What to do."""


@dataclass(frozen=True, slots=True)
class WindowRecord:
    """The result of one window."""

    key: str
    """Identifies the window; a later line with the same key and model replaces the earlier one."""
    name: str
    source: str
    """Path of the file, or `predictions` for the log."""
    recorded_at: str
    """ISO 8601, UTC; for people: nothing is ordered by it."""
    model_version: int
    model_sha256: str
    result: DriftResult
    state: State
    """Whether there is an alarm after this window."""
    action: Action
    rows: int
    """Rows of the window."""
    compared: int
    """Texts that were compared; 0 if too few."""
    level: float | None = None
    p_value: float | None = None
    """Of all statistics together."""
    effects: Mapping[str, float] = field(default_factory=dict)
    min_effects: Mapping[str, float] = field(default_factory=dict)
    adjusted_p_values: Mapping[str, float] = field(default_factory=dict)
    estimates: Mapping[str, Any] = field(default_factory=dict)
    """Accuracy and label shares, estimated or measured."""
    rows_by_day: Mapping[str, int] = field(default_factory=dict)
    new_labeled_rows: int = 0

    @property
    def drifted(self) -> bool:
        """Whether the window counts towards an alarm."""
        return self.result == "drift"


@dataclass(frozen=True, slots=True)
class Notification:
    """A change of state that is reported once."""

    id: str
    """The same for the same change, so that it is never sent twice."""
    window: str
    time: str
    model_version: int
    model_sha256: str
    state: State
    action: Action
    message: str


@contextlib.contextmanager
def monitoring_lock(folder: Path) -> Iterator[None]:
    """Lock the monitoring folder against other commands.

    Raises:
        MonitoringError: if another command is running.
    """
    message = f"Another `atnet monitor` or `atnet review` is running in {folder}. Try again when it has ended."
    with exclusive_lock(folder / LOCK, message, timeout_seconds=LOCK_SECONDS, error=MonitoringError):
        yield


def read_windows(folder: Path) -> list[WindowRecord]:
    """Read the windows in their order, each once with its last result."""
    latest: dict[tuple[str, str], WindowRecord] = {}
    for values in _read_lines(folder / WINDOWS_FILE):
        record = WindowRecord(**values)
        latest[record.key, record.model_sha256] = record
    return list(latest.values())


def read_notifications(folder: Path) -> list[Notification]:
    """Read the notifications, oldest first."""
    return [Notification(**values) for values in _read_lines(folder / NOTIFICATIONS_FILE)]


def append_window(folder: Path, record: WindowRecord) -> None:
    """Append a window's line; it is on the disk when this returns."""
    _append(folder / WINDOWS_FILE, asdict(record))


def append_notification(folder: Path, notification: Notification) -> None:
    """Append a notification's line unless it has been written before."""
    if all(known.id != notification.id for known in read_notifications(folder)):
        _append(folder / NOTIFICATIONS_FILE, asdict(notification))


def of_model(windows: Sequence[WindowRecord], model_sha256: str) -> list[WindowRecord]:
    """Return the windows of one model: differences from another model's reference do not count for this one."""
    return [record for record in windows if record.model_sha256 == model_sha256]


def _read_lines(path: Path) -> Iterator[dict[str, Any]]:
    if not path.exists():
        return
    for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), start=1):
        if not line.strip():
            continue
        try:
            values = json.loads(line)
        except ValueError:
            logger.warning("Line %d of %s is damaged and is skipped.", number, path)
            continue
        yield values


def _append(path: Path, values: Mapping[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    line = json.dumps(values, sort_keys=True, ensure_ascii=False) + "\n"
    with path.open("ab+") as file:
        # A line that was cut short must not swallow this one.
        if file.tell() and not _ends_with_newline(path):
            line = "\n" + line
        file.write(line.encode("utf-8"))
        file.flush()
        os.fsync(file.fileno())


def _ends_with_newline(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1) == b"\n"
