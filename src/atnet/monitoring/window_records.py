"""The records of monitored windows: one JSON line per window.

A kill can truncate the last line; it is then skipped, and the window is monitored again. The order of the lines is the
order of the windows, so it does not depend on a clock.
"""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from atnet.errors import MonitoringError
from atnet.monitoring.json_lines import append_line, read_lines
from atnet.storage import exclusive_lock

WINDOWS_FILE = "windows.jsonl"
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
    """ISO 8601, UTC; for display only, nothing is ordered by it."""
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
    """P-value of all statistics together."""
    effects: Mapping[str, float] = field(default_factory=dict)
    min_effects: Mapping[str, float] = field(default_factory=dict)
    p_values: Mapping[str, float] = field(default_factory=dict)
    """P-value of each statistic by itself."""
    estimates: Mapping[str, Any] = field(default_factory=dict)
    """Accuracy and label shares, estimated or measured."""
    rows_by_day: Mapping[str, int] = field(default_factory=dict)
    new_labeled_rows: int = 0

    @property
    def drifted(self) -> bool:
        """Whether the window counts towards an alarm."""
        return self.result == "drift"


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
    for values in read_lines(folder / WINDOWS_FILE):
        record = WindowRecord(**values)
        latest[record.key, record.model_sha256] = record
    return list(latest.values())


def append_window(folder: Path, record: WindowRecord) -> None:
    """Append a window's line and flush it to disk."""
    append_line(folder / WINDOWS_FILE, asdict(record))


def of_model(windows: Sequence[WindowRecord], model_sha256: str) -> list[WindowRecord]:
    """Return the windows of one model: differences from another model's reference do not count for this one."""
    return [record for record in windows if record.model_sha256 == model_sha256]
