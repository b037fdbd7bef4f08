"""The texts of a window: days of the prediction log, a scored file, or a file of texts.

Columns of a window's table, one row per text: `text` (null if texts were not written), `text_sha256`, and, depending on
the source, `label` (true label) and slices, or `predicted`, `probabilities` (label -> probability), `version`,
`model_sha256`, `tokens`, `unknown`.
"""

from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from atnet.config import DataConfig, ValidateConfig
from atnet.data.columns import MissingColumnsError
from atnet.data.label_mapping import fold_label_settings, map_labels
from atnet.data.reader import read_labeled_texts, read_raw_columns
from atnet.errors import DataFileError
from atnet.file_hashes import file_sha256, text_sha256
from atnet.monitoring.logged_predictions import read_day
from atnet.monitoring.scored_files import is_scored_file, read_scored_file
from atnet.schema import ID, LABEL, RATING, SPLIT, TEXT, WEIGHT

TEXT_SHA256, PREDICTED, PROBABILITIES = "text_sha256", "predicted", "probabilities"
VERSION, MODEL_SHA256, TOKENS, UNKNOWN = "version", "model_sha256", "tokens", "unknown"
LOG = "predictions"
MAX_ROWS = 100_000
"""Logged or scored rows of a window that are used; of more, those whose text has the smallest hash."""


@dataclass(frozen=True, slots=True)
class Window:
    """The texts of a window, as they were read."""

    key: str
    """Identifies the window: if it is monitored again, the new record replaces the old one."""
    name: str
    """For people."""
    source: str
    """Path of the file, or `predictions` for the log."""
    table: pd.DataFrame
    notes: list[str] = field(default_factory=list)
    """What is wrong with the files, one sentence each."""
    rows_by_day: dict[str, int] = field(default_factory=dict)
    """Rows of each day of the prediction log."""


def log_window(folder: Path, first: date, last: date) -> Window:
    """Read days of the prediction log, both included; missing days and damaged files are noted.

    Raises:
        DataFileError: if the folder does not exist.
    """
    if not folder.is_dir():
        raise DataFileError(
            f"{folder} does not exist: no predictions have been logged. Start the service with "
            "serve.prediction_log set, or name a file: `atnet monitor FILE`."
        )
    days = [read_day(folder, first + timedelta(days=number)) for number in range((last - first).days + 1)]
    table, sampled = _sample(pa.concat_tables(day.table for day in days))
    return Window(
        key=f"log:{first}/{last}",
        name=str(first) if first == last else f"{first} to {last}",
        source=LOG,
        table=_prediction_frame(table),
        notes=[*(note for day in days for note in day.notes), *sampled],
        rows_by_day={day.day.isoformat(): len(day.table) for day in days},
    )


def file_window(path: Path, data: DataConfig, validate: ValidateConfig) -> Window:
    """Read a file of scored rows or of texts; of texts as the pipeline reads its data, with the columns it has.

    Raises:
        DataFileError: if the file is missing, empty or damaged.
        DataContractError: if it has no text column.
    """
    if is_scored_file(path):
        rows, notes = _sample(read_scored_file(path))
        table = _prediction_frame(rows)
    else:
        table, notes = _read_texts(path, data, validate)
    return Window(
        key=f"file:{file_sha256(path)[:16]}", name=path.name, source=str(path.resolve()), table=table, notes=notes
    )


def present_columns(path: Path, data: DataConfig) -> DataConfig:
    """Return section `data` without the teacher's columns, and without the optional columns that the file lacks."""
    data = data.model_copy(update={"columns": data.columns.model_copy(update={"teacher": None})})
    try:
        read_raw_columns(path, data)
        return data
    except MissingColumnsError as error:
        present = error.present
    names = {key: getattr(data.columns, key) for key in (LABEL, ID, SPLIT, RATING, WEIGHT)}
    update = {key: name if name in present else None for key, name in names.items()}
    slices = [name for name in data.columns.slices if name in present]
    columns = data.columns.model_copy(update={**update, "slices": slices})
    return data.model_copy(update={"columns": columns})


def _read_texts(path: Path, data: DataConfig, validate: ValidateConfig) -> tuple[pd.DataFrame, list[str]]:
    table = read_labeled_texts(path, present_columns(path, data)).table
    notes: list[str] = []
    if (RATING if validate.label_from_rating is not None else LABEL) in table:
        labeled = map_labels(table, fold_label_settings(validate))
        table = labeled.table[labeled.excluded_by.isna()]
        excluded = len(labeled.table) - len(table)
        if excluded:
            notes.append(f"Rows excluded by a labeling rule, as in the pipeline: {excluded:,}.")
    blank = table[TEXT].isna() | (table[TEXT].str.strip() == "")
    if blank.any():
        notes.append(f"Rows without a text, excluded: {int(blank.sum()):,}.")
    table = table[~blank].drop(columns=[SPLIT, WEIGHT], errors="ignore").reset_index(drop=True)
    return table.assign(**{TEXT_SHA256: [text_sha256(text) for text in table[TEXT]]}), notes


def _sample(table: pa.Table) -> tuple[pa.Table, list[str]]:
    """Return at most MAX_ROWS rows, rows of the same text together, and a note if there are more."""
    if len(table) <= MAX_ROWS:
        return table, []
    smallest = pc.sort_indices(table, sort_keys=[(TEXT_SHA256, "ascending")])[:MAX_ROWS]
    return table.take(smallest), [f"Of {len(table):,} rows, {MAX_ROWS:,} were sampled by the hash of their text."]


def _prediction_frame(table: pa.Table) -> pd.DataFrame:
    """Return logged or scored rows as a window's table."""
    names = {"label": PREDICTED, "unknown_word_share": UNKNOWN}
    columns = {names.get(name, name): table[name].to_pylist() for name in table.column_names}
    columns[PROBABILITIES] = [None if pairs is None else dict(pairs) for pairs in columns[PROBABILITIES]]
    return pd.DataFrame({name: pd.Series(values, dtype=object) for name, values in columns.items()})
