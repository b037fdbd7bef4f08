"""Reading windows: days of the prediction log, complete or damaged, scored files, and files of texts."""

import fcntl
import json
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
from atnet.file_hashes import text_sha256
from atnet.monitoring import windows
from atnet.monitoring.due_windows import LogDays, due_windows, late_row_notes
from atnet.monitoring.monitor_inputs import clock_notes
from atnet.monitoring.scored_files import is_scored_file
from atnet.monitoring.windows import file_window, log_window
from atnet.serving.prediction_files import SCHEMA, write_predictions
from tests.settings import LABELED, params_with
from tests.test_monitoring_records import record

DAY = date(2026, 11, 3)


def log_rows(texts: list[str], *, with_text: bool = True, sha256: str = "a" * 64, positive: float = 0.8) -> pa.Table:
    """Build rows of the prediction log."""
    rows = [
        {
            "time": datetime(2026, 11, 3, 12),
            "request_id": str(number),
            "row": 0,
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
    write_predictions(folder, day, table, name)
    return folder / f"date={day}" / f"{name}.parquet"


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


def test_the_log_is_not_read_while_the_service_merges_its_files(tmp_path: Path) -> None:
    write_log(tmp_path, DAY, log_rows(["one"]))
    lock = tmp_path / ".lock"
    lock.touch()
    rows: list[int] = []
    with lock.open("rb") as locked:
        fcntl.flock(locked, fcntl.LOCK_EX)
        reader = threading.Thread(target=lambda: rows.append(len(log_window(tmp_path, DAY, DAY).table)))
        reader.start()
        reader.join(0.3)
        assert rows == []
    reader.join(60)
    assert rows == [1]


def test_damaged_files_and_missing_days_are_named_and_the_rest_is_read(tmp_path: Path) -> None:
    write_log(tmp_path, DAY, log_rows(["one"]))
    damaged = write_log(tmp_path, DAY, log_rows(["two"]), "part-2")
    damaged.write_bytes(damaged.read_bytes()[:100])
    other = write_log(tmp_path, DAY, pa.table({"tokens": ["many"]}), "part-3")
    window = log_window(tmp_path, DAY, date(2026, 11, 5))
    assert window.table["text"].tolist() == ["one"]
    assert window.rows_by_day == {"2026-11-03": 1, "2026-11-04": 0, "2026-11-05": 0}
    first, *missing = window.notes
    assert "2 of 3 files of 2026-11-03 are damaged" in first
    assert str(damaged) in first
    assert str(other) in first
    assert missing == ["No predictions were logged on 2026-11-04.", "No predictions were logged on 2026-11-05."]


def test_of_very_many_rows_a_sample_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(windows, "MAX_ROWS", 5)
    write_log(tmp_path, DAY, log_rows([f"text {number % 8}" for number in range(16)]))
    window = log_window(tmp_path, DAY, DAY)
    assert len(window.table) == 5
    assert window.table["text"].nunique() == 3, "rows of the same text stay together"
    assert window.notes == ["Of 16 rows, 5 were sampled by the hash of their text."]
    assert window.rows_by_day == {"2026-11-03": 16}


def test_a_missing_log_is_an_error_with_the_next_step(tmp_path: Path) -> None:
    with pytest.raises(DataFileError, match="atnet monitor FILE"):
        log_window(tmp_path / "predictions", DAY, DAY)


def write_scored(path: Path, *, with_text: bool = True) -> Path:
    """Write two scored rows in the format of the file name; texts contain separators, quotes and line breaks."""
    rows = log_rows(['one, "quoted"\nline', "two"], with_text=with_text).to_pylist()
    values = [{**row, "probabilities": dict(row["probabilities"]), "time": "2026-11-03", "id": "a"} for row in rows]
    if path.suffix == ".parquet":
        pq.write_table(log_rows(['one, "quoted"\nline', "two"], with_text=with_text), path)
    elif path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in values))
    else:
        nested = [{**row, "probabilities": json.dumps(row["probabilities"])} for row in values]
        pd.DataFrame(nested).to_csv(path, index=False)
    return path


@pytest.mark.parametrize("name", ["scored.parquet", "scored.jsonl", "scored.csv"])
@pytest.mark.parametrize("with_text", [True, False])
def test_a_scored_file_is_read_with_its_predictions(
    name: str, with_text: bool, tmp_path: Path, labeled: Params
) -> None:
    path = write_scored(tmp_path / name, with_text=with_text)
    window = file_window(path, labeled.data, labeled.validate_)
    assert window.table["text"].tolist() == (['one, "quoted"\nline', "two"] if with_text else [None, None])
    assert window.table["predicted"].tolist() == ["positive", "positive"]
    assert window.table["probabilities"].iloc[1] == {"negative": pytest.approx(0.2), "positive": 0.8}
    assert window.table["tokens"].tolist() == [3, 1]
    assert "label" not in window.table, "a predicted label is not a true label"


def test_a_damaged_scored_file_is_an_error_with_the_next_step(tmp_path: Path, labeled: Params) -> None:
    path = write_scored(tmp_path / "scored.jsonl")
    path.write_text(path.read_text()[:-30])
    with pytest.raises(DataFileError, match="Score its rows again"):
        file_window(path, labeled.data, labeled.validate_)


def test_a_file_of_texts_is_not_a_scored_file(tmp_path: Path) -> None:
    assert not is_scored_file(write_csv(tmp_path / "texts.csv", text=["model_sha256,probabilities,text_sha256"]))


@pytest.fixture(scope="module")
def labeled() -> Params:
    return params_with(LABELED, {"data.columns": {"slices": ["shop"]}})


def write_csv(path: Path, **columns: list[Any]) -> Path:
    pd.DataFrame(columns).to_csv(path, index=False)
    return path


def test_a_file_of_texts_alone_is_read(tmp_path: Path, labeled: Params) -> None:
    path = write_csv(tmp_path / "texts.csv", text=["one", "", "two"], other=[1, 2, 3])
    window = file_window(path, labeled.data, labeled.validate_)
    assert window.table["text"].tolist() == ["one", "two"]
    assert "label" not in window.table
    assert window.notes == ["Rows without a text, excluded: 1."]
    assert window.name == "texts.csv"


def test_a_file_with_labels_and_slices_keeps_them(tmp_path: Path, labeled: Params) -> None:
    path = write_csv(tmp_path / "rows.csv", id=["a", "b"], text=["one", "two"], label=["x", ""], shop=["s", "t"])
    table = file_window(path, labeled.data, labeled.validate_).table
    assert table["label"].isna().tolist() == [False, True]
    assert table["shop"].tolist() == ["s", "t"]


def test_labels_are_derived_from_ratings_as_in_the_pipeline(tmp_path: Path, params: Params) -> None:
    path = write_csv(tmp_path / "rated.csv", text=["good", "bad", "neutral"], rating=[2.0, -1.5, 0.1])
    window = file_window(path, params.data, params.validate_)
    assert window.table["label"].tolist() == ["positive", "negative"]
    assert window.notes == ["Rows excluded by a labeling rule, as in the pipeline: 1."]


def test_a_file_without_the_text_column_is_an_error(tmp_path: Path, labeled: Params) -> None:
    path = write_csv(tmp_path / "rows.csv", body=["one"])
    with pytest.raises(DataContractError, match="no column 'text'"):
        file_window(path, labeled.data, labeled.validate_)


def test_the_same_content_is_the_same_window_under_any_name(tmp_path: Path, labeled: Params) -> None:
    windows = [
        file_window(write_csv(tmp_path / name, text=[text]), labeled.data, labeled.validate_)
        for name, text in (("a.csv", "one"), ("b.csv", "one"), ("c.csv", "two"))
    ]
    assert windows[0].key == windows[1].key != windows[2].key


def days(first: int, last: int) -> LogDays:
    return LogDays(date(2026, 11, first), date(2026, 11, last))


def log_record(first: int, last: int, rows: int = 5, **changes: object) -> Any:
    return record(f"log:2026-11-{first:02d}/2026-11-{last:02d}", rows_by_day={f"2026-11-{first:02d}": rows}, **changes)


def test_without_records_the_newest_window_is_due() -> None:
    assert due_windows([], date(2026, 11, 4), 1) == [days(3, 3)]
    assert due_windows([], date(2026, 11, 8), 7) == [days(1, 7)]


def test_missed_days_are_due_and_the_current_day_is_not() -> None:
    assert due_windows([log_record(1, 1)], date(2026, 11, 4), 1) == [days(2, 2), days(3, 3)]
    assert due_windows([log_record(3, 3)], date(2026, 11, 4), 1) == []
    assert due_windows([log_record(1, 7)], date(2026, 11, 10), 7) == []


def test_a_clock_that_was_ahead_does_not_stop_monitoring() -> None:
    ahead = record("log:2031-01-01/2031-01-01")
    assert due_windows([log_record(2, 2), ahead], date(2026, 11, 4), 1) == [days(3, 3)]


def test_a_clock_that_is_behind_is_noted_and_its_newest_day_is_due() -> None:
    windows = [log_record(3, 3, recorded_at="2026-11-04T02:00:00+00:00")]
    now = datetime.fromisoformat("2026-10-02T02:00:00+00:00")
    assert due_windows(windows, now.date(), 1) == [LogDays(date(2026, 10, 1), date(2026, 10, 1))]
    (note,) = clock_notes(windows, now)
    assert "before the newest record" in note
    assert clock_notes(windows, datetime.fromisoformat("2026-11-05T02:00:00+00:00")) == []


def test_rows_logged_after_a_day_was_monitored_are_noted(tmp_path: Path) -> None:
    write_log(tmp_path, DAY, log_rows([f"text {number}" for number in range(7)]))
    (note,) = late_row_notes([log_record(3, 3, rows=5)], tmp_path, days(4, 4))
    assert "that were logged after it was monitored: 2." in note
    assert "--since 2026-11-03 --until 2026-11-03" in note
    assert late_row_notes([log_record(3, 3, rows=7)], tmp_path, days(4, 4)) == []
    assert late_row_notes([log_record(3, 3, rows=5)], tmp_path, days(3, 3)) == []
