"""Read the service's prediction log day by day; a damaged file does not hide the rest of its day."""

import contextlib
import fcntl
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from atnet.serving.prediction_files import DAY_FOLDER, LOCK, SCHEMA, read_predictions

COLUMNS = ("text_sha256", "text", "label", "probabilities", "version", "model_sha256", "tokens", "unknown_word_share")
"""What monitoring needs of a logged or scored row; `label` is the predicted label."""
EMPTY = pa.schema([SCHEMA.field(name) for name in COLUMNS]).empty_table()
MAX_NAMED = 3
"""Damaged files named in a note."""


@dataclass(frozen=True, slots=True)
class LoggedDay:
    """The predictions of one day (UTC)."""

    day: date
    table: pa.Table
    """The columns COLUMNS."""
    notes: list[str] = field(default_factory=list)
    """What is missing, one sentence each."""


def read_day(folder: Path, day: date) -> LoggedDay:
    """Read the predictions of a day; a missing day and damaged files are noted."""
    try:
        table = read_predictions(folder, day, day, list(COLUMNS))
    except (pa.ArrowException, OSError):
        return _read_files(folder, day)
    if not day_files(folder, day):
        return LoggedDay(day, table, [f"No predictions were logged on {day}."])
    return LoggedDay(day, table)


def day_files(folder: Path, day: date) -> list[Path]:
    """List the complete files of a day."""
    return sorted(path for path in (folder / DAY_FOLDER.format(day)).glob("*.parquet") if path.name[0] != ".")


def count_rows(folder: Path, day: date) -> int:
    """Count the rows of a day's readable files."""
    return sum(_rows(path) for path in day_files(folder, day))


def _read_files(folder: Path, day: date) -> LoggedDay:
    """Read those files of a day that are not damaged."""
    tables, damaged = [EMPTY], []
    with _no_merge(folder):
        files = day_files(folder, day)
        for path in files:
            try:
                # Not read_table: it would read the folder's name `date=...` as a column.
                with pq.ParquetFile(path) as file:
                    tables.append(file.read(columns=list(COLUMNS)).cast(EMPTY.schema))
            except (pa.ArrowException, OSError, ValueError, KeyError) as error:
                damaged.append(f"{path} ({str(error).splitlines()[0]})")
    return LoggedDay(day, pa.concat_tables(tables), _damage_notes(damaged, len(files), day))


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
