"""The texts of a window: days of the prediction log, or a file of texts.

Columns of a window's table, one row per text: `text` (null where texts are not logged), `text_sha256`, and by source
`label` (true label) and slices, or `predicted`, `probabilities` (label -> probability), `version`, `model_sha256`,
`tokens`, `unknown`.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path

import pandas as pd

from atnet.config import DataConfig, ValidateConfig
from atnet.data.labelling import map_labels
from atnet.data.source import load_source, read_source
from atnet.errors import DataContractError, DataFileError
from atnet.monitoring.prediction_days import DayFiles, find_days, read_file, reading_log
from atnet.table import ID, LABEL, RATING, SPLIT, TEXT, WEIGHT

TEXT_SHA256, PREDICTED, PROBABILITIES = "text_sha256", "predicted", "probabilities"
VERSION, MODEL_SHA256, TOKENS, UNKNOWN = "version", "model_sha256", "tokens", "unknown"
LOG = "predictions"
LISTED_FILES = 3


@dataclass(frozen=True, slots=True)
class Window:
    """The texts to compare, as they were read."""

    key: str
    """Names the window: monitored again, it takes the place of the earlier record."""
    name: str
    """As people write it."""
    source: str
    """Path of the file, or `predictions` for the log."""
    table: pd.DataFrame
    notes: list[str] = field(default_factory=list)
    """What was wrong with the files, one sentence each."""
    rows_by_day: dict[str, int] = field(default_factory=dict)
    """Rows read of each day of a prediction log."""


def log_window(folder: Path, first: date, last: date) -> Window:
    """Read the days of a prediction log, both included; a damaged or missing file is noted and left out.

    Raises:
        DataFileError: if the folder does not exist.
    """
    if not folder.is_dir():
        raise DataFileError(
            f"{folder} does not exist: no predictions have been logged. Start the service with a prediction log, set "
            "monitor.predictions in params.yaml to its folder, or name a file: `atnet monitor FILE`."
        )
    days = [first + timedelta(days=number) for number in range((last - first).days + 1)]
    frames, notes, rows_by_day = [], [], {}
    with reading_log(folder):
        found = find_days(folder)
        for day in days:
            frame, day_notes = _read_day(found.get(day), day)
            frames.append(frame)
            notes += day_notes
            rows_by_day[day.isoformat()] = len(frame)
    return Window(
        key=f"log:{first}/{last}",
        name=str(first) if first == last else f"{first} to {last}",
        source=LOG,
        table=pd.concat(frames, ignore_index=True),
        notes=notes,
        rows_by_day=rows_by_day,
    )


def file_window(path: Path, data: DataConfig, validate: ValidateConfig) -> Window:
    """Read a file of texts as the pipeline reads its data; labels, ratings and slices are read where it has them.

    Raises:
        DataFileError: if the file is missing, empty or damaged.
        DataContractError: if it has no text column.
    """
    columns = present_columns(path, data)
    table = load_source(path, columns)
    notes = []
    if (validate.label_from_rating is not None and RATING in table) or (
        validate.label_from_rating is None and LABEL in table
    ):
        labeled = map_labels(table, validate)
        excluded = int(labeled.left_out.notna().sum())
        table = labeled.table[labeled.left_out.isna()]
        if excluded:
            notes.append(f"Rows excluded by a labeling rule, as in the pipeline: {excluded:,}.")
    blank = table[TEXT].isna() | (table[TEXT].str.strip() == "")
    if blank.any():
        notes.append(f"Rows without a text, left out: {int(blank.sum()):,}.")
    table = table[~blank].drop(columns=[SPLIT, WEIGHT], errors="ignore").reset_index(drop=True)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return Window(
        key=f"file:{digest[:16]}",
        name=path.name,
        source=str(path.resolve()),
        table=table.assign(**{TEXT_SHA256: [text_sha256(text) for text in table[TEXT]]}),
        notes=notes,
    )


def present_columns(path: Path, data: DataConfig) -> DataConfig:
    """Return the data section with only those columns that the file has; the text column is needed.

    Raises:
        DataContractError: if there is no text column.
    """
    bare = dict.fromkeys((LABEL, ID, SPLIT, RATING, WEIGHT))
    known = data.columns.model_copy(update={**bare, "slices": []})
    read_source(path, data.model_copy(update={"columns": known}))
    for update in [
        *({key: getattr(data.columns, key)} for key in bare),
        *({"slices": [s]} for s in data.columns.slices),
    ]:
        added = {key: [*known.slices, *value] if key == "slices" else value for key, value in update.items()}
        candidate = known.model_copy(update=added)
        try:
            read_source(path, data.model_copy(update={"columns": candidate}))
        except DataContractError:
            continue
        known = candidate
    return data.model_copy(update={"columns": known})


def text_sha256(text: str) -> str:
    """Hash a text as the service does."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _read_day(files: DayFiles | None, day: date) -> tuple[pd.DataFrame, list[str]]:
    if files is None:
        return read_file(None), [f"No predictions were logged on {day}."]
    frames, damaged = [read_file(None)], []
    for path in files.paths:
        try:
            frames.append(read_file(path))
        except DataFileError as error:
            damaged.append(str(error))
    return pd.concat(frames, ignore_index=True), _damage_notes(damaged, len(files.paths), day)


def _damage_notes(damaged: Sequence[str], files: int, day: date) -> list[str]:
    if not damaged:
        return []
    listed = " ".join(damaged[:LISTED_FILES]) + (" …" if len(damaged) > LISTED_FILES else "")
    return [f"{len(damaged)} of {files} files of {day} cannot be read; their rows are missing here. {listed}"]
