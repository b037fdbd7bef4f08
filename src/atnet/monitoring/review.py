"""`atnet review`: list rows worth labeling; `atnet review --read`: merge the completed list into the data."""

import hashlib
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import pandas as pd

from atnet.analysis.folds import make_folds
from atnet.analysis.label_issues import find_label_issues, fold_tasks, label_issue_table
from atnet.analysis.run import make_learner, read_split
from atnet.config import Params
from atnet.data.label_mapping import expected_labels
from atnet.data.reader import stream_raw_columns
from atnet.errors import MonitoringError
from atnet.file_system import require_writable, require_writable_folder
from atnet.monitoring.champion import load_challenger, load_champion
from atnet.monitoring.raw_rows import read_raw, write_raw
from atnet.monitoring.review_candidates import collect_candidates
from atnet.monitoring.review_data import data_files, no_flow, track_data
from atnet.monitoring.review_file import read_review, write_review
from atnet.monitoring.review_list import ISSUE_COLUMNS, ReviewCandidates, select_rows
from atnet.monitoring.review_merge import MergedRows, merge_review
from atnet.monitoring.window_records import monitoring_lock, of_model, read_windows
from atnet.schema import ID, SPLIT, TEXT, TEXT_HASH, text_hash
from atnet.storage import read_table, write_table
from atnet.text_hashes import TextHashes

logger = logging.getLogger(__name__)

LISTS = "review"
MAX_WINDOWS = 7
"""Newest windows whose texts are candidates."""


@dataclass(frozen=True, slots=True)
class ReviewList:
    """A list that was written."""

    path: Path
    rows_by_reason: dict[str, int]
    has_challenger: bool


@dataclass(frozen=True, slots=True)
class MergedReview:
    """A review that was merged."""

    merged: MergedRows
    skipped: int
    """Rows whose label was left empty."""
    data: Path
    """The data file, relative to the project."""
    md5: str
    """MD5 of the new data version."""
    moved: bool
    """Whether `data.path` has to be set to the data file."""


def write_list(params: Params, root: Path, *, rows: int | None, output: Path | None, now: datetime) -> ReviewList:
    """Select the rows and write them as CSV, with a copy against which the completed file is checked.

    Raises:
        ConfigurationError: if the list cannot be written.
        MonitoringError: if there is nothing to list, or another command is running.
        AtnetError: if the champion or the splits cannot be read.
    """
    folder = root / params.monitor.output_folder
    require_writable_folder(folder)
    if output is not None:
        require_writable(output)
    with monitoring_lock(folder):
        candidates, known = _candidates(params, root)
        selected = select_rows(
            candidates,
            label_issues(params),
            rows=rows or params.monitor.review.rows,
            issue_fraction=params.monitor.review.label_issue_fraction,
            known=known,
        )
        if selected.empty:
            raise MonitoringError(
                "There is nothing to review: no label looks wrong, and no monitored window has texts without a label. "
                "Log texts (serve.prediction_log.include_texts) or monitor a file of texts, then list again."
            )
        slices = [column for column in params.data.columns.slices if column in candidates.table]
        listed = selected.merge(candidates.table[[TEXT_HASH, *slices]], on=TEXT_HASH, how="left")
        digest = hashlib.sha256("\n".join(selected[ID]).encode()).hexdigest()[:8]
        path = output or folder / LISTS / f"review-{now:%Y-%m-%d}-{digest}.csv"
        write_table(folder / LISTS / f"{digest}.parquet", listed)
        write_review(path, selected)
    counts = {str(reason): int(count) for reason, count in selected["reason"].value_counts().items()}
    return ReviewList(path, counts, candidates.challenger is not None)


def merge_file(params: Params, root: Path, path: Path, *, allow_new_labels: bool = False) -> MergedReview:
    """Merge a completed list into a new version of the data, tracked by DVC; completely or not at all. Safe to repeat.

    Raises:
        MonitoringError: naming what is wrong with the list or with the data file.
        StoreError: if DVC cannot track the new version; the data file is written by then, and repeating tracks it.
    """
    folder = root / params.monitor.output_folder
    with monitoring_lock(folder), no_flow(root):
        listed = _listed_rows(folder)
        model_labels = load_champion(params, root).predictor.labels
        labels = sorted({*model_labels, *expected_labels(params.validate_, model_labels)})
        review = read_review(path, listed, labels, allow_new=allow_new_labels)
        source, target = data_files(params, root)
        raw = read_raw(source, params.data)
        merged = merge_review(raw, review.labels, listed, params.data.columns, params.validate_)
        if merged.added or merged.corrected or source != target:
            write_raw(target, raw, merged.rows)
        md5 = track_data(root, target)
    relative = target.relative_to(root)
    return MergedReview(merged, review.skipped, relative, md5, moved=relative != Path(params.data.path))


def label_issues(params: Params) -> pd.DataFrame:
    """Find labels of the current training and validation rows that are probably wrong, lowest quality first."""
    review = params.monitor.review
    if review.label_issue_fraction == 0:
        return pd.DataFrame(columns=list(ISSUE_COLUMNS))
    table = pd.concat([read_split(name).assign(**{SPLIT: name}) for name in ("train", "validation")])
    table = table.reset_index(drop=True)
    folds = make_folds(table, params.analyze.folds, seed=params.analyze.seed)
    predictions = list(make_learner(review.label_issue_model, params)(fold_tasks(folds, table)))
    issues = label_issue_table(table, find_label_issues(table, folds, predictions))
    return issues.assign(**{TEXT_HASH: [text_hash(text) for text in issues[TEXT]]})[list(ISSUE_COLUMNS)]


def _candidates(params: Params, root: Path) -> tuple[ReviewCandidates, TextHashes]:
    """Return the candidates, and the hashes of the texts that already have a label."""
    champion = load_champion(params, root)
    records = of_model(read_windows(root / params.monitor.output_folder), champion.sha256)[-MAX_WINDOWS:]
    candidates = collect_candidates(params, root, champion, load_challenger(params, root), records)
    return candidates, champion.known_hashes | TextHashes.union(_labeled_hashes(params, root))


def _labeled_hashes(params: Params, root: Path) -> Iterator[TextHashes]:
    """Yield the hashes of the texts in the data file and in reviewed data."""
    for path in {*data_files(params, root)}:
        if path.is_file():
            for batch in stream_raw_columns(path, params.data):
                yield TextHashes.of(text_hash(text or "") for text in batch[params.data.columns.text].to_pylist())


def _listed_rows(folder: Path) -> pd.DataFrame:
    tables = [read_table(path) for path in sorted((folder / LISTS).glob("*.parquet"))]
    if not tables:
        raise MonitoringError(f"No list has been written in {folder / LISTS}. Run `atnet review` first.")
    return pd.concat(tables, ignore_index=True).drop_duplicates(ID)
