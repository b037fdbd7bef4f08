"""The texts of a window: days of the prediction log, a scored file, or a file of texts.

Columns of a window's table, one row per text: `text` (null if texts were not written), `text_sha256`, and, depending on
the source, `label` (true label) and slices, or `predicted`, `probabilities` (label -> probability), `version`,
`model_sha256`, `tokens`, `unknown`.
"""

from collections import Counter, deque
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path

import pandas as pd
import pyarrow as pa

from atnet.config import DataConfig, ValidateConfig
from atnet.data.columns import MissingColumnsError
from atnet.data.label_mapping import fold_label_settings, map_labels
from atnet.data.reader import detect_format, stream_raw_columns
from atnet.errors import DataFileError
from atnet.file_hashes import file_sha256, text_sha256
from atnet.monitoring.labeled_texts import stream_labeled_texts
from atnet.monitoring.logged_predictions import EMPTY, read_day
from atnet.monitoring.row_sample import RowSample
from atnet.monitoring.scored_files import is_scored_file, stream_scored_file
from atnet.schema import ID, LABEL, RATING, SPLIT, TEXT, WEIGHT

TEXT_SHA256, PREDICTED, PROBABILITIES = "text_sha256", "predicted", "probabilities"
VERSION, MODEL_SHA256, TOKENS, UNKNOWN = "version", "model_sha256", "tokens", "unknown"
LOG = "predictions"
MAX_ROWS = 100_000
"""Largest number of rows used from a window. From more rows, those whose text has the smallest hash are used, so that
rows with the same text stay together."""
EXCLUDED = "Rows excluded by a labeling rule, as in the pipeline"
BLANK = "Rows without a text, excluded"


@dataclass(frozen=True, slots=True)
class Window:
    """The texts of a window, as they were read."""

    key: str
    """Identifies the window: if it is monitored again, the new record replaces the old one."""
    name: str
    """For display."""
    source: str
    """Path of the file, or `predictions` for the log."""
    table: pd.DataFrame
    notes: list[str] = field(default_factory=list)
    """What is wrong with the files, one sentence each."""
    rows_by_day: dict[str, int] = field(default_factory=dict)
    """Rows of each day of the prediction log."""


def log_window(folder: Path, first: date, last: date) -> Window:
    """Read days of the prediction log, both included, in batches; missing days and damaged files are noted.

    Raises:
        DataFileError: if the folder does not exist.
    """
    if not folder.is_dir():
        raise DataFileError(
            f"{folder} does not exist: no predictions have been logged. Start the service with "
            "serve.prediction_log set, or name a file: `atnet monitor FILE`."
        )
    sample, notes, rows_by_day = _new_sample(), [], {}
    for number in range((last - first).days + 1):
        day = first + timedelta(days=number)
        logged = read_day(folder, day, sample)
        sample, rows_by_day[day.isoformat()] = logged.sample, logged.rows
        notes += logged.notes
    return Window(
        key=f"log:{first}/{last}",
        name=str(first) if first == last else f"{first} to {last}",
        source=LOG,
        table=_prediction_frame(sample.table()),
        notes=[*notes, *_sample_notes(sample)],
        rows_by_day=rows_by_day,
    )


def file_window(path: Path, data: DataConfig, validate: ValidateConfig) -> Window:
    """Read a file of scored rows or of texts; texts are read as the pipeline reads them, but columns may be missing.

    Raises:
        DataFileError: if the file is missing, empty or damaged.
        DataContractError: if it has no text column.
    """
    if is_scored_file(path):
        sample = _new_sample()
        for batch in stream_scored_file(path):
            sample.add(batch)
        table, notes = _prediction_frame(sample.table()), _sample_notes(sample)
    else:
        table, notes = _read_texts(path, data, validate)
    return Window(
        key=f"file:{file_sha256(path)[:16]}", name=path.name, source=str(path.resolve()), table=table, notes=notes
    )


def present_columns(path: Path, data: DataConfig) -> DataConfig:
    """Return section `data` without the teacher's columns, and without the optional columns that the file lacks."""
    data = data.model_copy(update={"columns": data.columns.model_copy(update={"teacher": None})})
    try:
        _find_columns(path, data)
        return data
    except MissingColumnsError as error:
        present = error.present
    names = {key: getattr(data.columns, key) for key in (LABEL, ID, SPLIT, RATING, WEIGHT)}
    update = {key: name if name in present else None for key, name in names.items()}
    slices = [name for name in data.columns.slices if name in present]
    columns = data.columns.model_copy(update={**update, "slices": slices})
    return data.model_copy(update={"columns": columns})


def _find_columns(path: Path, data: DataConfig) -> None:
    """Read just enough of a file to detect a missing column.

    Raises:
        MissingColumnsError: if a column is missing.
    """
    batches = stream_raw_columns(path, data)
    if detect_format(path, data) == "jsonl":
        # A key that no line has is missing.
        deque(batches, maxlen=0)
    else:
        next(batches, None)


def _read_texts(path: Path, data: DataConfig, validate: ValidateConfig) -> tuple[pd.DataFrame, list[str]]:
    settings = fold_label_settings(validate)
    sample, counts = RowSample(MAX_ROWS, TEXT_SHA256), Counter[str]()
    for batch in stream_labeled_texts(path, present_columns(path, data)):
        usable = _usable_texts(batch, settings, counts)
        sample.add(pa.Table.from_pandas(usable, preserve_index=False))
    notes = [f"{reason}: {rows:,}." for reason in (EXCLUDED, BLANK) if (rows := counts[reason])]
    return sample.table().to_pandas(), [*notes, *_sample_notes(sample)]


def _usable_texts(batch: pd.DataFrame, settings: ValidateConfig, counts: Counter[str]) -> pd.DataFrame:
    """Return the rows of a batch that have a text and are not excluded by a labeling rule; count the others."""
    if (RATING if settings.label_from_rating is not None else LABEL) in batch:
        labeled = map_labels(batch, settings)
        counts[EXCLUDED] += int(labeled.excluded_by.notna().sum())
        batch = labeled.table[labeled.excluded_by.isna()]
    blank = batch[TEXT].isna() | (batch[TEXT].str.strip() == "")
    counts[BLANK] += int(blank.sum())
    usable = batch[~blank].drop(columns=[SPLIT, WEIGHT], errors="ignore")
    hashes = [text_sha256(text) for text in usable[TEXT]]
    # An explicit type, because none could be inferred from no rows.
    return usable.assign(**{TEXT_SHA256: pd.Series(hashes, index=usable.index, dtype="str")})


def _new_sample() -> RowSample:
    """Return an empty sample for logged or scored rows."""
    sample = RowSample(MAX_ROWS, TEXT_SHA256)
    sample.add(EMPTY)
    return sample


def _sample_notes(sample: RowSample) -> list[str]:
    if sample.rows <= MAX_ROWS:
        return []
    return [f"Of {sample.rows:,} rows, {MAX_ROWS:,} were sampled by the hash of their text."]


def _prediction_frame(table: pa.Table) -> pd.DataFrame:
    """Return logged or scored rows as a window's table."""
    names = {"label": PREDICTED, "unknown_word_share": UNKNOWN}
    columns = {names.get(name, name): table[name].to_pylist() for name in table.column_names}
    columns[PROBABILITIES] = [None if pairs is None else dict(pairs) for pairs in columns[PROBABILITIES]]
    return pd.DataFrame({name: pd.Series(values, dtype=object) for name, values in columns.items()})
