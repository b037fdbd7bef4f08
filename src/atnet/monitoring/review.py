"""`atnet review`: list rows worth a person's time; `atnet review --read`: merge what was filled in."""

import contextlib
import hashlib
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import filelock
import pandas as pd
import yaml

from atnet.analysis.acts import learner, read_split
from atnet.analysis.subsets import make_folds
from atnet.analysis.suspects import find_suspects, fold_tasks, suspect_table
from atnet.config import Params
from atnet.data.labelling import expected_labels
from atnet.errors import DataFileError, MonitoringError
from atnet.monitoring.champion import load_challenger, load_champion
from atnet.monitoring.raw_rows import read_raw, write_raw
from atnet.monitoring.records import monitoring_lock, of_model, read_windows
from atnet.monitoring.review_candidates import collect_candidates
from atnet.monitoring.review_file import read_review, write_review
from atnet.monitoring.review_list import select_rows
from atnet.monitoring.review_merge import Merged, merge_review
from atnet.storage import FLOW_LOCK, project_root, read_table, write_table
from atnet.table import ID, LABEL, SPLIT, TEXT, TEXT_HASH, text_hash
from atnet.versioning import run_dvc

logger = logging.getLogger(__name__)

LISTS = "review"
NEWEST_WINDOWS = 7
"""Windows whose texts are candidates."""


@dataclass(frozen=True, slots=True)
class ReviewList:
    """A list that was written."""

    path: Path
    by_reason: dict[str, int]
    windows: int
    """Windows whose texts were candidates."""
    has_challenger: bool


@dataclass(frozen=True, slots=True)
class MergedReview:
    """A review that was merged."""

    merged: Merged
    skipped: int
    """Rows whose label was left empty."""
    data: Path
    """The data file, relative to the project."""
    md5: str
    """Of the new data version, as DVC names it."""
    moved: bool
    """The data file is another one than `data.path`, which has to be set to it."""


def write_list(params: Params, root: Path, *, rows: int | None, output: Path | None, now: datetime) -> ReviewList:
    """Choose the rows and write them as CSV, with a copy to check the corrected file against.

    Raises:
        MonitoringError: if there is nothing to list, or another process is at work.
        AtnetError: if the champion or the splits cannot be read.
    """
    config, folder = params.monitor, root / params.monitor.folder
    with monitoring_lock(folder):
        champion = load_champion(params, root)
        records = of_model(read_windows(folder), champion.sha256)[-NEWEST_WINDOWS:]
        challenger = load_challenger(params, root)
        candidates = collect_candidates(params, root, champion, challenger[1] if challenger else None, records)
        chosen = select_rows(
            candidates,
            label_issues(params) if config.review.label_issues > 0 else _no_issues(),
            rows=rows or config.review.rows,
            issue_share=config.review.label_issues,
            known=champion.known_hashes | _labeled_hashes(params, root),
        )
        if chosen.empty:
            raise MonitoringError(
                "There is nothing to review: no label looks wrong, and no monitored window has texts without a label. "
                "Log texts (or monitor a file of them), run `atnet monitor`, then list again."
            )
        slices = [column for column in params.data.columns.slices if column in candidates.table]
        listed = chosen.merge(candidates.table[[TEXT_HASH, *slices]], on=TEXT_HASH, how="left")
        digest = hashlib.sha256("\n".join(chosen[ID]).encode()).hexdigest()[:8]
        path = output or folder / LISTS / f"review-{now:%Y-%m-%d}-{digest}.csv"
        write_table(folder / LISTS / f"{digest}.parquet", listed)
        write_review(path, chosen)
    counts = {str(reason): int(count) for reason, count in chosen["reason"].value_counts().items()}
    return ReviewList(path, counts, len(records), candidates.challenger is not None)


def merge_file(params: Params, root: Path, path: Path, *, allow_new_labels: bool = False) -> MergedReview:
    """Merge a corrected list into a new version of the data, tracked by DVC; all of it or nothing. Safe to repeat.

    Raises:
        MonitoringError: naming what is wrong with the file, or with the data file as a place to write to.
        StoreError: if DVC cannot track the new version; the data file is written by then, and repeating tracks it.
    """
    folder = root / params.monitor.folder
    with monitoring_lock(folder), _no_flow(root):
        listed = _listed_rows(folder)
        champion_labels = load_champion(params, root).predictor.labels
        labels = sorted({*champion_labels, *expected_labels(params.validate_, champion_labels)})
        review = read_review(path, listed, labels, allow_new=allow_new_labels)
        source, target = _data_files(params, root)
        raw = read_raw(source, params.data)
        merged = merge_review(raw, review.labels, listed, params.data.columns, params.validate_)
        if merged.added or merged.corrected or source != target:
            write_raw(target, raw, merged.rows)
        md5 = _track(root, target)
    relative = target.relative_to(root)
    return MergedReview(merged, review.skipped, relative, md5, moved=relative != Path(params.data.path))


def label_issues(params: Params) -> pd.DataFrame:
    """Judge the labels of the current training and validation rows out of fold, the likeliest wrong first."""
    tables = [read_split(params, name).assign(**{SPLIT: name}) for name in ("train", "validation")]
    table = pd.concat(tables, ignore_index=True)
    folds = make_folds(table, params.analyse.folds, seed=params.analyse.seed)
    answers = list(learner(params.monitor.review.model, params)(fold_tasks(folds, table)))
    found = find_suspects(table, folds, answers)
    issues = suspect_table(table, found)
    return issues.assign(**{TEXT_HASH: [text_hash(text) for text in issues[TEXT]]})


def _no_issues() -> pd.DataFrame:
    return pd.DataFrame(columns=[ID, TEXT, TEXT_HASH, LABEL, "suggested", "score", SPLIT])


def _labeled_hashes(params: Params, root: Path) -> frozenset[str]:
    """Return the hashes of the texts in the data file, and in data that reviews have made."""
    hashes: set[str] = set()
    for path in {*_data_files(params, root)}:
        if path.is_file():
            rows = read_raw(path, params.data).rows
            hashes.update(text_hash(str(row.get(params.data.columns.text) or "")) for row in rows)
    return frozenset(hashes)


def _listed_rows(folder: Path) -> pd.DataFrame:
    tables = [read_table(path) for path in sorted((folder / LISTS).glob("*.parquet"))]
    if not tables:
        raise MonitoringError(f"No list has been written in {folder / LISTS}. Run `atnet review` first.")
    return pd.concat(tables, ignore_index=True).drop_duplicates(ID)


def _data_files(params: Params, root: Path) -> tuple[Path, Path]:
    """Return the file that holds the newest labels, and the file to write.

    A stage's output is made again by its stage, so reviewed rows go to a file of their own beside it.

    Raises:
        MonitoringError: if the data follow a source outside, where a correction would be lost with the next update.
    """
    path = root / params.data.path
    tracked = _tracking_file(root, path)
    if tracked is not None:
        if (yaml.safe_load(tracked.read_text(encoding="utf-8")) or {}).get("deps"):
            raise MonitoringError(
                f"{params.data.path} is imported ({tracked.relative_to(root)}): the next update would undo a review. "
                "Correct the data at their source, or track a copy of your own with `dvc add`."
            )
        return path, path
    target = root / params.monitor.review.folder / path.name
    if not path.is_file() and not target.is_file():
        raise DataFileError(f"{params.data.path} is missing. Run `dvc repro`, or `dvc checkout`.")
    return (target if target.is_file() else path), target


def _tracking_file(root: Path, path: Path) -> Path | None:
    """Find the `.dvc` file that tracks a file, or a folder it lies in."""
    for tracked in (path, *path.parents):
        if tracked == root or not tracked.is_relative_to(root):
            return None
        beside = tracked.with_name(f"{tracked.name}.dvc")
        if beside.is_file():
            return beside
    return None


def _track(root: Path, target: Path) -> str:
    tracked = _tracking_file(root, target)
    name = str((tracked.with_suffix("") if tracked else target).relative_to(root))
    run_dvc(["add", name], root)
    content = yaml.safe_load((root / f"{name}.dvc").read_text(encoding="utf-8"))
    return str(content["outs"][0]["md5"])


@contextlib.contextmanager
def _no_flow(root: Path) -> Iterator[None]:
    """Keep flows from reading the data while it is written."""
    path = project_root(root) / FLOW_LOCK
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with filelock.FileLock(path, timeout=5.0):
            yield
    except filelock.Timeout:
        raise MonitoringError(
            f"A flow is running in this project: it holds {FLOW_LOCK}. Read the review when it has ended."
        ) from None
