"""The prediction log: what is written, what a full disk costs, how old files are merged and deleted."""

import logging
import os
import threading
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pyarrow as pa
import pytest

from atnet.config import Params, PredictionLogConfig
from atnet.serving import prediction_log
from atnet.serving.loaded_model import LoadedModel
from atnet.serving.prediction_files import (
    SCHEMA,
    delete_old_days,
    merge_day,
    read_predictions,
    write_predictions,
)
from atnet.serving.prediction_jobs import PredictionJob, ScoredText
from atnet.serving.prediction_log import PredictionLog
from atnet.serving.service_metrics import WorkerMetrics
from tests.service import wait_for

TODAY = datetime.now(UTC).date()
MODEL = cast(LoadedModel, SimpleNamespace(labels=("no", "yes"), version=7, sha256="ab"))


def _config(**changes: Any) -> PredictionLogConfig:
    values = {
        "folder": "x",
        "include_texts": False,
        "flush_seconds": 0.1,
        "max_buffered_rows": 1000,
        "retention_days": 3,
    }
    return PredictionLogConfig.model_validate({**values, **changes})


def _scored(texts: list[str]) -> list[ScoredText]:
    job = cast(PredictionJob, SimpleNamespace(texts=texts, request_id="r", received=0.0))
    return [ScoredText(job, row, "yes", 0.75, [0.25, 0.75], 4, 0.5) for row in range(len(texts))]


def _rows(folder: Path) -> list[dict[str, Any]]:
    return read_predictions(folder, TODAY - timedelta(days=1), TODAY + timedelta(days=1)).to_pylist()


def _value(metric: Any) -> float:
    return float(metric._value.get())


def test_rows_have_the_schema_and_the_text_only_if_asked(tmp_path: Path) -> None:
    for texts, expected in ((False, None), (True, "good")):
        folder = tmp_path / str(texts)
        log = PredictionLog(folder, _config(include_texts=texts), WorkerMetrics())
        log.start()
        log.add(MODEL, _scored(["good"]))
        log.stop()
        (row,) = _rows(folder)
        assert list(row) == SCHEMA.names
        assert row["text"] == expected
        assert dict(row["probabilities"]) == {"no": 0.25, "yes": 0.75}
        assert (row["label"], row["score"], row["version"], row["tokens"]) == ("yes", 0.75, 7, 4)


def test_a_day_without_predictions_is_an_empty_table(tmp_path: Path) -> None:
    assert read_predictions(tmp_path, TODAY, TODAY).num_rows == 0


def test_at_most_the_bounded_number_of_rows_waits(tmp_path: Path) -> None:
    metrics = WorkerMetrics()
    log = PredictionLog(tmp_path, _config(max_buffered_rows=50, flush_seconds=60.0), metrics)
    log.add(MODEL, _scored([str(number) for number in range(80)]))
    log.start()
    log.stop()
    assert sorted(row["row"] for row in _rows(tmp_path)) == list(range(30, 80))
    assert (_value(metrics.log_rows["dropped"]), _value(metrics.log_rows["written"])) == (30, 50)


@pytest.mark.slow
def test_a_full_disk_is_counted_and_logged_once_and_writing_goes_on_when_there_is_room(
    small_disk: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (small_disk / "filler").write_bytes(os.urandom(1_000_000))
    metrics, folder = WorkerMetrics(), small_disk / "log"
    log = PredictionLog(folder, _config(include_texts=True, flush_seconds=0.01), metrics)
    caplog.set_level(logging.INFO)
    log.start()
    texts = [os.urandom(200).hex() for _ in range(300)]
    log.add(MODEL, _scored(texts))
    wait_for(lambda: _value(metrics.log_errors) >= 3)
    assert caplog.text.count("cannot be written (No space left on device)") == 1
    (small_disk / "filler").unlink()
    wait_for(lambda: _value(metrics.log_rows["written"]) == 300)
    log.stop()
    assert [row["text"] for row in sorted(_rows(folder), key=lambda row: row["row"])] == texts
    assert "can be written again" in caplog.text


@pytest.mark.slow
def test_a_disk_that_stays_full_costs_the_oldest_rows(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_text("not a folder")
    metrics = WorkerMetrics()
    log = PredictionLog(tmp_path / "file", _config(max_buffered_rows=600, flush_seconds=0.01), metrics)
    log.start()
    for _ in range(10):
        log.add(MODEL, _scored(["a"] * 300))
        wait_for(lambda: not log._rows)
    log.stop()
    assert caplog.text.count("cannot be written") == 1
    assert _value(metrics.log_rows["dropped"]) >= 10 * 300 - 600
    assert _value(metrics.log_rows["written"]) == 0


def test_adding_rows_never_waits_for_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blocked = threading.Event()
    monkeypatch.setattr(prediction_log, "write_predictions", lambda *_: blocked.wait(20))
    log = PredictionLog(tmp_path, _config(flush_seconds=0.01), WorkerMetrics())
    log.start()
    for _ in range(20):
        log.add(MODEL, _scored(["a"] * 100))
    blocked.set()
    log.stop()


# Files of past days


def _table(rows: int) -> pa.Table:
    return pa.Table.from_pylist(
        [{"row": row, "label": "yes", "probabilities": [("yes", 1.0)]} for row in range(rows)], SCHEMA
    )


def test_a_finished_day_becomes_one_file_with_the_same_rows(tmp_path: Path) -> None:
    day = date(2026, 1, 31)
    for part in range(5):
        write_predictions(tmp_path, day, _table(3 + part), f"part-{part}")
    before = read_predictions(tmp_path, day, day)
    merge_day(tmp_path, day)
    merge_day(tmp_path, day)
    assert [path.name for path in (tmp_path / "date=2026-01-31").iterdir()] == ["merged.parquet"]
    assert read_predictions(tmp_path, day, day).sort_by("row").equals(before.sort_by("row"))
    assert read_predictions(tmp_path, day, day, columns=["label"]).column_names == ["label"]


def test_days_are_deleted_after_the_retention_period_and_nothing_else_is(tmp_path: Path) -> None:
    for day in range(1, 6):
        write_predictions(tmp_path, date(2026, 3, day), _table(1), "part")
    (tmp_path / "date=notes").mkdir()
    delete_old_days(tmp_path, date(2026, 3, 6), retention_days=3)
    assert sorted(path.name for path in tmp_path.glob("date=*")) == [
        "date=2026-03-03",
        "date=2026-03-04",
        "date=2026-03-05",
        "date=notes",
    ]


def test_the_committed_parameters_log_no_texts(params: Params) -> None:
    assert params.serve.prediction_log is not None
    assert params.serve.prediction_log.include_texts is False
    assert params.serve.logging.include_texts is False
