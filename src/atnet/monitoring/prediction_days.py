"""The service's prediction log as files: which belong to a day, and the rows of one of them."""

import contextlib
import fcntl
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from atnet.errors import DataFileError

LOG_LOCK = ".lock"
"""The service holds it while it merges files."""
DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
READ: dict[str, str] = {
    "text_sha256": "text_sha256",
    "text": "text",
    "label": "predicted",
    "probabilities": "probabilities",
    "version": "version",
    "model_sha256": "model_sha256",
    "tokens": "tokens",
    "unknown_word_share": "unknown",
}
"""Column of the log -> column of a window. The log's `label` is the model's answer, not a true label."""


@dataclass(frozen=True, slots=True)
class DayFiles:
    """The Parquet files of one day."""

    paths: Sequence[Path]


def find_days(folder: Path) -> dict[date, DayFiles]:
    """Find the log's files by day: the first date in a file's path below the folder.

    Files whose names begin with a dot are still being written.
    """
    paths: dict[date, list[Path]] = {}
    for path in sorted(folder.rglob("*.parquet")):
        inside = path.relative_to(folder)
        match = DAY.search(inside.as_posix())
        if match is None or any(part.startswith(".") for part in inside.parts):
            continue
        try:
            paths.setdefault(date.fromisoformat(match[0]), []).append(path)
        except ValueError:
            continue
    return {day: DayFiles(files) for day, files in paths.items()}


@contextlib.contextmanager
def reading_log(folder: Path) -> Iterator[None]:
    """Keep the service from merging files while they are read; without its lock file there is no service."""
    try:
        file = (folder / LOG_LOCK).open("rb")
    except FileNotFoundError:
        yield
        return
    with file:
        fcntl.flock(file, fcntl.LOCK_SH)
        yield


def read_file(path: Path | None) -> pd.DataFrame:
    """Read the columns of a window from one file; without a path, the same columns without rows.

    Raises:
        DataFileError: if the file is damaged or lacks a column.
    """
    if path is None:
        return pd.DataFrame({name: pd.Series([], dtype=object) for name in READ.values()})
    try:
        # Not read_table: it would take a folder's name `date=…` for a column.
        with pq.ParquetFile(path) as file:
            missing = [name for name in READ if name not in file.schema_arrow.names]
            table = None if missing else file.read(columns=list(READ))
    except (pa.ArrowException, OSError) as error:
        raise DataFileError(f"{path} is damaged ({str(error).splitlines()[0]}).") from error
    if table is None:
        raise DataFileError(f"{path} lacks the column {missing[0]}.")
    columns = {new: table[old].to_pylist() for old, new in READ.items()}
    columns["probabilities"] = [_as_dict(value) for value in columns["probabilities"]]
    return pd.DataFrame({name: pd.Series(values, dtype=object) for name, values in columns.items()})


def _as_dict(value: Any) -> dict[str, float]:
    """Return label -> probability; a map comes as pairs, a struct as a dictionary."""
    pairs = value.items() if isinstance(value, dict) else value or ()
    return {str(label): float(probability) for label, probability in pairs}
