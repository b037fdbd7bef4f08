"""The files of the prediction log: a folder per day (UTC) of Parquet files, which are read as one table.

Workers add small files. Once a day is over they are merged into one, and after `retention_days` the day is deleted.
"""

import contextlib
import fcntl
import os
import shutil
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

SCHEMA = pa.schema(
    [
        ("time", pa.timestamp("us", "UTC")),
        ("request_id", pa.string()),
        ("row", pa.int32()),
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
"""One row per predicted text; `row` is its position in the request, from 0. `text` is null unless
serve.prediction_log.include_texts is set. `latency_ms` is measured from the request's arrival to this text's
prediction. `tokens` counts the tokens after truncation."""
DAY_FOLDER = "date={:%Y-%m-%d}"
MERGED = "merged.parquet"
LOCK = ".lock"
MERGE_ROWS = 50_000
"""Rows in memory while files are merged."""


def read_predictions(folder: Path, first: date, last: date, columns: list[str] | None = None) -> pa.Table:
    """Return the logged predictions of these days, both included; an empty table if there are none."""
    days = [folder / DAY_FOLDER.format(first + timedelta(days=day)) for day in range((last - first).days + 1)]
    # Not at the top: a worker writes files and never reads them.
    from pyarrow import dataset

    with _locked(folder, fcntl.LOCK_SH):
        files = [str(path) for day in days for path in _files(day)]
        return dataset.dataset(files, schema=SCHEMA, format="parquet").to_table(columns=columns)


def write_predictions(folder: Path, day: date, table: pa.Table, name: str) -> None:
    """Write a file of one day; readers see either the whole file or none."""
    target = folder / DAY_FOLDER.format(day) / f"{name}.parquet"
    target.parent.mkdir(parents=True, exist_ok=True)
    # Readers skip files with a leading dot.
    part = target.with_name(f".{target.name}.part")
    try:
        pq.write_table(table, part, compression="zstd")
        os.replace(part, target)
    finally:
        part.unlink(missing_ok=True)


def delete_old_days(folder: Path, today: date, retention_days: int) -> None:
    """Delete the folders of the days before the retention period."""
    for path in folder.glob("date=*"):
        with contextlib.suppress(ValueError):
            if date.fromisoformat(path.name.removeprefix("date=")) < today - timedelta(days=retention_days):
                shutil.rmtree(path, ignore_errors=True)


def merge_day(folder: Path, day: date) -> None:
    """Merge a day's files into one, for a day that gets no more rows."""
    day_folder = folder / DAY_FOLDER.format(day)
    files = _files(day_folder)
    if len(files) < 2:
        return
    from pyarrow import dataset

    part = day_folder / f".{MERGED}.part"
    try:
        with pq.ParquetWriter(part, SCHEMA, compression="zstd") as writer:
            for batch in dataset.dataset([str(file) for file in files], schema=SCHEMA).to_batches(
                batch_size=MERGE_ROWS, batch_readahead=1, fragment_readahead=1
            ):
                if batch.num_rows:
                    writer.write_batch(batch)
        # A reader must see the files or the merged one, never both.
        with _locked(folder, fcntl.LOCK_EX):
            for file in files:
                file.unlink()
            os.replace(part, day_folder / MERGED)
    finally:
        part.unlink(missing_ok=True)


def _files(day_folder: Path) -> list[Path]:
    return sorted(path for path in day_folder.glob("*.parquet") if not path.name.startswith("."))


@contextlib.contextmanager
def _locked(folder: Path, kind: int) -> Iterator[None]:
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LOCK).open("a") as file:
        fcntl.flock(file, kind)
        yield
