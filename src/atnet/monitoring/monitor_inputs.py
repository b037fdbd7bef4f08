"""The first step of `atnet monitor`: read the window and what was recorded before."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from atnet.config import Params
from atnet.errors import MonitoringError
from atnet.monitoring.champion import Champion
from atnet.monitoring.decision import ModelHistory
from atnet.monitoring.due_windows import LogDays, late_row_notes
from atnet.monitoring.impact import WindowImpact
from atnet.monitoring.notifications import read_notifications
from atnet.monitoring.prepared_window import PreparedWindow, prepare_window
from atnet.monitoring.window_comparison import ReferenceFeatures, WindowComparison
from atnet.monitoring.window_records import WindowRecord, of_model, read_windows
from atnet.monitoring.windows import Window, file_window, log_window


@dataclass(frozen=True, slots=True)
class MonitorInputs:
    """A window and what it is compared with."""

    champion: Champion
    reference: ReferenceFeatures
    window: Window
    prepared: PreparedWindow
    history: ModelHistory
    notes: list[str]
    """What a reader should know about the files and the clock, one sentence each."""


@dataclass(frozen=True, slots=True)
class WindowMeasurements:
    """The results of the second step."""

    comparison: WindowComparison | None
    """None if there are too few distinct texts."""
    impact: WindowImpact | None
    """None for a window without rows."""


def prediction_folder(params: Params, root: Path) -> Path:
    """Return the folder of the service's prediction log.

    Raises:
        MonitoringError: if predictions are not logged.
    """
    if params.serve.prediction_log is None:
        raise MonitoringError(
            "serve.prediction_log is null in params.yaml, so there is no prediction log to monitor. Set it and restart "
            "the service, or name a file: `atnet monitor FILE`."
        )
    return root / params.serve.prediction_log.folder


def read_history(folder: Path, champion: Champion) -> ModelHistory:
    """Read what was recorded about the champion."""
    notifications = read_notifications(folder)
    return ModelHistory(
        of_model(read_windows(folder), champion.sha256),
        [notification for notification in notifications if notification.model_sha256 == champion.sha256],
    )


def read_window(params: Params, root: Path, source: Path | LogDays) -> Window:
    """Read a file or days of the prediction log.

    Raises:
        DataFileError: if the file or the prediction log cannot be read.
        DataContractError: if a file has no text column.
    """
    if isinstance(source, Path):
        return file_window(source, params.data, params.validate_)
    return log_window(prediction_folder(params, root), source.first, source.last)


def collect_inputs(
    params: Params, root: Path, champion: Champion, reference: ReferenceFeatures, source: Path | LogDays, now: datetime
) -> MonitorInputs:
    """Read a window, predict its texts, and read what was recorded before. Raises the same errors as `read_window`."""
    window = read_window(params, root, source)
    prepared = prepare_window(window, champion, params.monitor)
    history = read_history(root / params.monitor.output_folder, champion)
    log = params.serve.prediction_log
    late = late_row_notes(history.windows, root / log.folder, source) if log is not None else []
    return MonitorInputs(
        champion=champion,
        reference=reference,
        window=window,
        prepared=prepared,
        history=history,
        notes=[*window.notes, *prepared.notes, *clock_notes(history.windows, now), *late],
    )


def clock_notes(windows: Sequence[WindowRecord], now: datetime) -> list[str]:
    """Note if the clock is behind the newest record."""
    newest = max((datetime.fromisoformat(record.recorded_at) for record in windows), default=now)
    if newest <= now:
        return []
    return [
        f"The clock shows {now:%Y-%m-%d %H:%M}, which is before the newest record ({newest:%Y-%m-%d %H:%M} UTC). "
        "Windows count in the order in which they were monitored, so nothing is lost, but correct the clock."
    ]
