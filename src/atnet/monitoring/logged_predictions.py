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
from atnet.serving.prediction_files import DAY_FOLDER, LOCK, SCHEMA
from atnet.table_batches import BUFFER_BYTES

COLUMNS = ("text_sha256", "text", "label", "probabilities", "version", "model_sha256", "tokens", "unknown_word_share")
"""The columns of a logged or scored row that monitoring needs; `label` is the predicted label."""
LARGE_TEXT = pa.field("text", pa.large_string())
"""The texts of a sample may exceed 2 GB in total."""
EMPTY = pa.schema([LARGE_TEXT if name == "text" else SCHEMA.field(name) for name in COLUMNS]).empty_table()
"""A table of COLUMNS without rows."""
READ_ROWS = 10_000
"""Rows that are read at a time."""
MAX_NAMED = 3
"""Damaged files named in a note."""


@dataclass(frozen=True, slots=True)
class LoggedDay:
    """The predictions of one day (UTC)."""

    sample: RowSample
    """Sample of the rows of earlier days and of this one, with the columns COLUMNS."""
    rows: int
    """Rows of this day alone."""
    notes: list[str] = field(default_factory=list)
    """What is missing, one sentence each."""


def read_day(folder: Path, day: date, earlier: RowSample) -> LoggedDay:
    """Add the predictions of a day to a sample of earlier days; a missing day and damaged files are noted."""
    sample, damaged = earlier, []
    with _no_merge(folder):
        files = day_files(folder, day)
        for path in files:
            try:
                sample = _with_file(path, sample)
            except (pa.ArrowException, OSError, ValueError, KeyError) as error:
                damaged.append(f"{path} ({str(error).splitlines()[0]})")
    notes = [] if files else [f"No predictions were logged on {day}."]
    if damaged:
        notes += _damage_notes(damaged, len(files), day)
    return LoggedDay(sample, sample.rows - earlier.rows, notes)


def stream_file(path: Path) -> Iterator[pa.Table]:
    """Read the columns COLUMNS of a Parquet file in batches; a column that it lacks is null.

    Raises:
        pyarrow.ArrowException, OSError, ValueError: if the file is damaged, when the damaged part is reached.
    """
    # Not a dataset, which would read ahead; nor read_table, which would read the folder's name `date=...` as a column.
    # Without threads, which cost more than they save: a day may have thousands of small files.
    with pq.ParquetFile(path, buffer_size=BUFFER_BYTES) as file:
        present = [name for name in COLUMNS if name in file.schema_arrow.names]
        for batch in file.iter_batches(READ_ROWS, columns=present, use_threads=False):
            columns = [
                batch[field.name] if field.name in present else pa.nulls(batch.num_rows, field.type)
                for field in EMPTY.schema
            ]
            yield pa.table(columns, names=list(COLUMNS)).cast(EMPTY.schema)


def day_files(folder: Path, day: date) -> list[Path]:
    """List the complete files of a day."""
    return sorted(path for path in (folder / DAY_FOLDER.format(day)).glob("*.parquet") if path.name[0] != ".")


def count_rows(folder: Path, day: date) -> int:
    """Count the rows of a day's readable files."""
    return sum(_rows(path) for path in day_files(folder, day))


def _with_file(path: Path, sample: RowSample) -> RowSample:
    """Return a new sample with the rows of a file added; the given one is unchanged, in case the file is damaged."""
    added = sample.copy()
    for rows in stream_file(path):
        added.add(rows)
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
