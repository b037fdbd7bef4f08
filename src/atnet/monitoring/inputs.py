"""The first step of `atnet monitor`: load the champion, read the window and what was recorded before."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from atnet.config import Params
from atnet.monitoring.champion import Champion
from atnet.monitoring.comparison import Comparison, ReferenceFeatures
from atnet.monitoring.decision import History
from atnet.monitoring.impact import WindowImpact
from atnet.monitoring.preparation import PreparedWindow, prepare_window
from atnet.monitoring.records import WindowRecord, of_model, read_notifications, read_windows
from atnet.monitoring.schedule import Days, late_row_notes
from atnet.monitoring.windows import Window, file_window, log_window


@dataclass(frozen=True, slots=True)
class MonitorInputs:
    """What a window is compared with, and the window."""

    champion: Champion
    reference: ReferenceFeatures
    window: Window
    prepared: PreparedWindow
    history: History
    notes: list[str]
    """What a reader should know of the files and the clock, one sentence each."""


@dataclass(frozen=True, slots=True)
class Measured:
    """The second step: what was found."""

    comparison: Comparison | None
    """None where there are too few distinct texts."""
    impact: WindowImpact | None
    """None for a window without rows."""


def read_history(folder: Path, champion: Champion) -> History:
    """Read what was recorded of the champion."""
    return History(
        of_model(read_windows(folder), champion.sha256),
        [one for one in read_notifications(folder) if one.model_sha256 == champion.sha256],
    )


def collect_inputs(
    params: Params, root: Path, champion: Champion, reference: ReferenceFeatures, source: Path | Days, now: datetime
) -> MonitorInputs:
    """Read a window and what was recorded before it.

    Raises:
        DataFileError: if the file or the prediction log cannot be read.
        DataContractError: if a file has no text column.
    """
    folder, predictions = root / params.monitor.folder, root / params.monitor.predictions
    if isinstance(source, Path):
        window = file_window(source, params.data, params.validate_)
    else:
        window = log_window(predictions, source.first, source.last)
    prepared = prepare_window(window, champion, params.monitor)
    history = read_history(folder, champion)
    return MonitorInputs(
        champion=champion,
        reference=reference,
        window=window,
        prepared=prepared,
        history=history,
        notes=[
            *window.notes,
            *prepared.notes,
            *clock_notes(history.windows, now),
            *late_row_notes(history.windows, predictions, source),
        ],
    )


def clock_notes(windows: Sequence[WindowRecord], now: datetime) -> list[str]:
    """Say that the clock is behind the newest record."""
    newest = max((datetime.fromisoformat(record.recorded_at) for record in windows), default=now)
    if newest <= now:
        return []
    return [
        f"The clock says {now:%Y-%m-%d %H:%M}, which is before the newest record ({newest:%Y-%m-%d %H:%M} UTC). "
        "Windows count in the order in which they were monitored, so nothing is lost; set the clock right all the same."
    ]
