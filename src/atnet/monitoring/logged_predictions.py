"""Read the service's prediction log day by day; a damaged file does not hide the rest of its day."""

import contextlib
import fcntl
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from atnet.monitoring.row_sample import RowSample
from atnet.serving.prediction_files import BUFFER_BYTES, DAY_FOLDER, LOCK, READ_ROWS, SCHEMA, stream_predictions

COLUMNS = ("text_sha256", "text", "label", "probabilities", "version", "model_sha256", "tokens", "unknown_word_share")
"""What monitoring needs of a logged or scored row; `label` is the predicted label."""
LARGE_TEXT = pa.field("text", pa.large_string())
"""The texts of a sample may have more than 2 GB together."""
EMPTY = pa.schema([LARGE_TEXT if name == "text" else SCHEMA.field(name) for name in COLUMNS]).empty_table()
"""A table of COLUMNS without rows."""
MAX_NAMED = 3
"""Damaged files named in a note."""


@dataclass(frozen=True, slots=True)
class LoggedDay:
    """The predictions of one day (UTC)."""

    sample: RowSample
    """Of the rows of earlier days and of this one, with the columns COLUMNS."""
    rows: int
    """Of this day alone."""
    notes: list[str] = field(default_factory=list)
    """What is missing, one sentence each."""


def read_day(folder: Path, day: date, earlier: RowSample) -> LoggedDay:
    """Add the predictions of a day to a sample of earlier days; a missing day and damaged files are noted."""
    sample = earlier.copy()
    try:
        with contextlib.closing(stream_predictions(folder, day, day, list(COLUMNS))) as batches:
            for batch in batches:
                sample.add(as_logged(batch))
    except (pa.ArrowException, OSError):
        return _read_files(folder, day, earlier)
    notes = [] if day_files(folder, day) else [f"No predictions were logged on {day}."]
    return LoggedDay(sample, sample.rows - earlier.rows, notes)


def as_logged(batch: pa.RecordBatch) -> pa.Table:
    """Return the columns COLUMNS of a batch, with the types of the log.

    Raises:
        pyarrow.ArrowException, ValueError: if it has other columns or types.
    """
    return pa.Table.from_batches([batch]).cast(EMPTY.schema)


def day_files(folder: Path, day: date) -> list[Path]:
    """List the complete files of a day."""
    return sorted(path for path in (folder / DAY_FOLDER.format(day)).glob("*.parquet") if path.name[0] != ".")


def count_rows(folder: Path, day: date) -> int:
    """Count the rows of a day's readable files."""
    return sum(_rows(path) for path in day_files(folder, day))


def _read_files(folder: Path, day: date, earlier: RowSample) -> LoggedDay:
    """Add the rows of those files of a day that are not damaged."""
    sample, damaged = earlier.copy(), []
    with _no_merge(folder):
        files = day_files(folder, day)
        for path in files:
            try:
                sample = _with_file(path, sample)
            except (pa.ArrowException, OSError, ValueError, KeyError) as error:
                damaged.append(f"{path} ({str(error).splitlines()[0]})")
    return LoggedDay(sample, sample.rows - earlier.rows, _damage_notes(damaged, len(files), day))


def _with_file(path: Path, sample: RowSample) -> RowSample:
    """Return the sample with the rows of a file added; the given sample stays as it is, if the file is damaged."""
    added = sample.copy()
    # Not read_table: it would read the folder's name `date=...` as a column.
    with pq.ParquetFile(path, buffer_size=BUFFER_BYTES) as file:
        for batch in file.iter_batches(READ_ROWS, columns=list(COLUMNS)):
            added.add(as_logged(batch))
    return added


def _damage_notes(damaged: Sequence[str], files: int, day: date) -> list[str]:
    named = "; ".join(damaged[:MAX_NAMED]) + ("; …" if len(damaged) > MAX_NAMED else "")
    return [f"{len(damaged)} of {files} files of {day} are damaged; their rows are missing here: {named}."]


@contextlib.contextmanager
def _no_merge(folder: Path) -> Iterator[None]:
    """Keep the service from merging a day's files while they are read one by one."""
    with (folder / LOCK).open("a") as file:
        fcntl.flock(file, fcntl.LOCK_SH)
        yield


def _rows(path: Path) -> int:
    try:
        return int(pq.read_metadata(path).num_rows)
    except (pa.ArrowException, OSError):
        return 0
