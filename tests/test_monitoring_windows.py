"""Reading windows: days of the prediction log in whatever state they are, and files of texts."""

import fcntl
import threading
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from atnet.config import Params
from atnet.errors import DataContractError, DataFileError
from atnet.monitoring.inputs import clock_notes
from atnet.monitoring.schedule import Days, due_windows, late_row_notes
from atnet.monitoring.windows import file_window, log_window, text_sha256
from tests.settings import LABELLED, params_with
from tests.test_monitoring_records import record

SCHEMA = pa.schema(
    [
        ("time", pa.timestamp("us", "UTC")),
        ("request_id", pa.string()),
        ("text_sha256", pa.string()),
        ("text", pa.string()),
        ("label", pa.string()),
        ("score", pa.float64()),
        ("probabilities", pa.map_(pa.string(), pa.float64())),
        ("version", pa.int64()),
        ("model_sha256", pa.string()),
        ("latency_ms", pa.float64()),
        ("tokens", pa.int32()),
        ("unknown_word_share", pa.float64()),
    ]
)
"""As the service writes it."""
DAY = date(2026, 11, 3)


def log_rows(texts: list[str], *, with_text: bool = True, sha256: str = "a" * 64, positive: float = 0.8) -> pa.Table:
    """Make rows of the prediction log."""
    rows = [
        {
            "time": datetime(2026, 11, 3, 12),
            "request_id": str(number),
            "text_sha256": text_sha256(text),
            "text": text if with_text else None,
            "label": "positive",
            "score": positive,
            "probabilities": [("negative", 1 - positive), ("positive", positive)],
            "version": 3,
            "model_sha256": sha256,
            "latency_ms": 1.0,
            "tokens": len(text.split()),
            "unknown_word_share": 0.1,
        }
        for number, text in enumerate(texts)
    ]
    return pa.Table.from_pylist(rows, SCHEMA)


def write_log(folder: Path, day: date, table: pa.Table, name: str = "part-1") -> Path:
    """Write a file of a day as the service does."""
    path = folder / f"date={day}" / f"{name}.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path)
    return path


def test_a_day_of_several_files_is_one_window(tmp_path: Path) -> None:
    write_log(tmp_path, DAY, log_rows(["one text", "two texts"]))
    write_log(tmp_path, DAY, log_rows(["three texts here"]), "part-2")
    (tmp_path / f"date={DAY}" / ".part-3.parquet.part").write_bytes(b"half")
    window = log_window(tmp_path, DAY, DAY)
    assert (window.name, window.notes) == ("2026-11-03", [])
    assert window.table["text"].tolist() == ["one text", "two texts", "three texts here"]
    assert window.table["probabilities"].iloc[0] == {"negative": pytest.approx(0.2), "positive": 0.8}
    assert window.table["predicted"].tolist() == ["positive"] * 3
    assert "label" not in window.table
    assert window.rows_by_day == {"2026-11-03": 3}


def test_files_named_by_day_are_read_too(tmp_path: Path) -> None:
    pq.write_table(log_rows(["one"]), tmp_path / "2026-11-03.parquet")
    pq.write_table(log_rows(["two"]), tmp_path / "2026-11-03-worker-2.parquet")
    pq.write_table(log_rows(["other day"]), tmp_path / "2026-11-04.parquet")
    assert sorted(log_window(tmp_path, DAY, DAY).table["text"]) == ["one", "two"]


def test_the_log_is_not_read_while_the_service_merges_its_files(tmp_path: Path) -> None:
    write_log(tmp_path, DAY, log_rows(["one"]))
    lock = tmp_path / ".lock"
    lock.touch()
    found: list[int] = []
    with lock.open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        reader = threading.Thread(target=lambda: found.append(len(log_window(tmp_path, DAY, DAY).table)))
        reader.start()
        reader.join(0.3)
        assert found == []
    reader.join(60)
    assert found == [1]


def test_probabilities_may_be_a_struct(tmp_path: Path) -> None:
    table = log_rows(["one"])
    struct = pa.array([{"negative": 0.3, "positive": 0.7}])
    place = table.schema.get_field_index("probabilities")
    write_log(tmp_path, DAY, table.set_column(place, "probabilities", struct))
    assert log_window(tmp_path, DAY, DAY).table["probabilities"].iloc[0] == {"negative": 0.3, "positive": 0.7}


def test_a_damaged_and_a_missing_day_are_named_and_the_others_are_read(tmp_path: Path) -> None:
    write_log(tmp_path, DAY, log_rows(["one"]))
    damaged = write_log(tmp_path, DAY, log_rows(["two"]), "part-2")
    damaged.write_bytes(damaged.read_bytes()[:100])
    lacking = write_log(tmp_path, DAY, log_rows(["three"]).drop_columns(["tokens"]), "part-3")
    window = log_window(tmp_path, DAY, date(2026, 11, 5))
    assert window.table["text"].tolist() == ["one"]
    assert window.rows_by_day == {"2026-11-03": 1, "2026-11-04": 0, "2026-11-05": 0}
    first, *missing = window.notes
    assert "2 of 3 files of 2026-11-03 cannot be read" in first
    assert str(damaged) in first
    assert f"{lacking} lacks the column tokens" in first
    assert missing == ["No predictions were logged on 2026-11-04.", "No predictions were logged on 2026-11-05."]


def test_without_a_log_the_next_step_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataFileError, match="atnet monitor FILE"):
        log_window(tmp_path / "predictions", DAY, DAY)


@pytest.fixture(scope="module")
def labelled() -> Params:
    return params_with(LABELLED, {"data.columns": {"slices": ["shop"]}})


def write_csv(path: Path, **columns: list[Any]) -> Path:
    pd.DataFrame(columns).to_csv(path, index=False)
    return path


def test_a_file_of_texts_alone_is_read(tmp_path: Path, labelled: Params) -> None:
    path = write_csv(tmp_path / "texts.csv", text=["one", "", "two"], other=[1, 2, 3])
    window = file_window(path, labelled.data, labelled.validate_)
    assert window.table["text"].tolist() == ["one", "two"]
    assert "label" not in window.table
    assert window.notes == ["Rows without a text, left out: 1."]
    assert window.name == "texts.csv"


def test_a_file_with_labels_and_slices_keeps_them(tmp_path: Path, labelled: Params) -> None:
    path = write_csv(tmp_path / "rows.csv", id=["a", "b"], text=["one", "two"], label=["x", ""], shop=["s", "t"])
    table = file_window(path, labelled.data, labelled.validate_).table
    assert table["label"].isna().tolist() == [False, True]
    assert table["shop"].tolist() == ["s", "t"]


def test_labels_are_made_from_ratings_as_the_pipeline_makes_them(tmp_path: Path, params: Params) -> None:
    path = write_csv(tmp_path / "rated.csv", text=["good", "bad", "neutral"], rating=[2.0, -1.5, 0.1])
    window = file_window(path, params.data, params.validate_)
    assert window.table["label"].tolist() == ["positive", "negative"]
    assert window.notes == ["Rows excluded by a labeling rule, as in the pipeline: 1."]


def test_a_file_without_the_text_column_is_refused(tmp_path: Path, labelled: Params) -> None:
    path = write_csv(tmp_path / "rows.csv", body=["one"])
    with pytest.raises(DataContractError, match="no column 'text'"):
        file_window(path, labelled.data, labelled.validate_)


def test_the_same_content_is_the_same_window_under_any_name(tmp_path: Path, labelled: Params) -> None:
    windows = [
        file_window(write_csv(tmp_path / name, text=[text]), labelled.data, labelled.validate_)
        for name, text in (("a.csv", "one"), ("b.csv", "one"), ("c.csv", "two"))
    ]
    assert windows[0].key == windows[1].key != windows[2].key


def days(first: int, last: int) -> Days:
    return Days(date(2026, 11, first), date(2026, 11, last))


def log_record(first: int, last: int, rows: int = 5, **changes: object) -> Any:
    return record(f"log:2026-11-{first:02d}/2026-11-{last:02d}", rows_by_day={f"2026-11-{first:02d}": rows}, **changes)


def test_without_records_the_newest_window_is_due() -> None:
    assert due_windows([], date(2026, 11, 4), 1) == [days(3, 3)]
    assert due_windows([], date(2026, 11, 8), 7) == [days(1, 7)]


def test_missed_days_are_made_up_for_and_the_day_that_runs_is_not_due() -> None:
    found = due_windows([log_record(1, 1)], date(2026, 11, 4), 1)
    assert found == [days(2, 2), days(3, 3)]
    assert due_windows([log_record(3, 3)], date(2026, 11, 4), 1) == []
    assert due_windows([log_record(1, 7)], date(2026, 11, 10), 7) == []


def test_a_clock_that_was_ahead_does_not_stop_monitoring() -> None:
    ahead = record("log:2031-01-01/2031-01-01")
    assert due_windows([log_record(2, 2), ahead], date(2026, 11, 4), 1) == [days(3, 3)]


def test_a_clock_that_is_behind_is_named_and_its_newest_day_monitored() -> None:
    windows = [log_record(3, 3, recorded_at="2026-11-04T02:00:00+00:00")]
    now = datetime.fromisoformat("2026-10-02T02:00:00+00:00")
    assert due_windows(windows, now.date(), 1) == [Days(date(2026, 10, 1), date(2026, 10, 1))]
    (note,) = clock_notes(windows, now)
    assert "before the newest record" in note
    assert clock_notes(windows, datetime.fromisoformat("2026-11-05T02:00:00+00:00")) == []


def test_rows_that_came_after_a_day_was_monitored_are_named(tmp_path: Path) -> None:
    write_log(tmp_path, DAY, log_rows([f"text {number}" for number in range(7)]))
    (note,) = late_row_notes([log_record(3, 3, rows=5)], tmp_path, days(4, 4))
    assert "logged after it was monitored: 2." in note
    assert "--since 2026-11-03 --until 2026-11-03" in note
    assert late_row_notes([log_record(3, 3, rows=7)], tmp_path, days(4, 4)) == []
    assert late_row_notes([log_record(3, 3, rows=5)], tmp_path, days(3, 3)) == []
