"""The records of monitoring, through kills, damage and two processes at once."""

import logging
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from atnet.errors import MonitoringError
from atnet.monitoring import window_records
from atnet.monitoring.notifications import (
    NOTIFICATIONS_FILE,
    Notification,
    append_notification,
    mark_sent,
    read_notifications,
    unsent_notifications,
)
from atnet.monitoring.window_records import (
    WINDOWS_FILE,
    WindowRecord,
    append_window,
    monitoring_lock,
    of_model,
    read_windows,
)

RECORD = WindowRecord(
    key="log:2026-11-03/2026-11-03",
    name="2026-11-03",
    source="predictions",
    recorded_at="2026-11-04T02:00:00+00:00",
    model_version=3,
    model_sha256="a" * 64,
    result="no_drift",
    state="ok",
    action="none",
    rows=800,
    compared=750,
    level=0.05,
    p_value=0.4,
    effects={"classifier_auc": 0.51},
    rows_by_day={"2026-11-03": 800},
)


def record(key: str, **changes: object) -> WindowRecord:
    return replace(RECORD, key=key, **changes)  # type: ignore[arg-type]


def test_records_are_read_in_the_order_in_which_they_were_written(tmp_path: Path) -> None:
    for key in ("b", "a", "c"):
        append_window(tmp_path, record(key, recorded_at=f"20{30 - ord(key) % 10}-01-01T00:00:00+00:00"))
    assert [window.key for window in read_windows(tmp_path)] == ["b", "a", "c"]
    assert read_windows(tmp_path)[0].effects == {"classifier_auc": 0.51}


def test_a_window_that_is_recorded_again_keeps_its_position(tmp_path: Path) -> None:
    for key in ("a", "b"):
        append_window(tmp_path, record(key))
    append_window(tmp_path, record("a", result="drift"))
    assert [(window.key, window.result) for window in read_windows(tmp_path)] == [("a", "drift"), ("b", "no_drift")]


def test_the_same_window_of_another_model_is_another_record(tmp_path: Path) -> None:
    append_window(tmp_path, record("a"))
    append_window(tmp_path, record("a", model_sha256="b" * 64, result="drift"))
    windows = read_windows(tmp_path)
    assert len(windows) == 2
    assert [window.result for window in of_model(windows, "b" * 64)] == ["drift"]


@pytest.mark.parametrize("left", range(1, 60, 7))
def test_a_line_cut_short_by_a_kill_is_skipped_and_swallows_nothing(
    left: int, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    append_window(tmp_path, record("a"))
    append_window(tmp_path, record("b"))
    path = tmp_path / WINDOWS_FILE
    whole = path.read_bytes()
    path.write_bytes(whole[: whole.index(b"\n") + 1 + left])
    with caplog.at_level(logging.WARNING):
        assert [window.key for window in read_windows(tmp_path)] == ["a"]
    assert "Line 2" in caplog.text
    append_window(tmp_path, record("b"))
    append_window(tmp_path, record("c"))
    assert [window.key for window in read_windows(tmp_path)] == ["a", "b", "c"]


def test_a_notification_is_written_once(tmp_path: Path) -> None:
    notification = Notification("id", "a", "now", 3, "a" * 64, "alarm", "label", "Drift.")
    for _ in range(2):
        append_notification(tmp_path, notification)
    assert read_notifications(tmp_path) == [notification]
    assert (tmp_path / NOTIFICATIONS_FILE).read_text().count("\n") == 1


def test_a_notification_is_unsent_until_it_is_marked(tmp_path: Path) -> None:
    first, second = (Notification(name, name, "now", 3, "a" * 64, "alarm", "label", "Drift.") for name in "ab")
    for notification in (first, second):
        append_notification(tmp_path, notification)
    mark_sent(tmp_path, first)
    assert unsent_notifications(tmp_path) == [second]


def test_an_empty_folder_has_no_records(tmp_path: Path) -> None:
    assert read_windows(tmp_path) == []
    assert read_notifications(tmp_path) == []


HOLD = """
import sys
from pathlib import Path
from atnet.monitoring.window_records import monitoring_lock
with monitoring_lock(Path(sys.argv[1])):
    print("locked", flush=True)
    sys.stdin.read()
"""


def test_a_second_monitor_is_an_error_and_a_kill_releases_the_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(window_records, "LOCK_SECONDS", 0.1)
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "locked\n"
        with pytest.raises(MonitoringError, match="Another `atnet monitor`"), monitoring_lock(tmp_path):
            pass
        process.kill()
    with monitoring_lock(tmp_path):
        pass
