"""Split the table into training, validation and test rows, near duplicates together.

The hash of a group's name alone decides the split of the group. The other rows do not matter, so a row keeps its split
when rows are added or removed, unless its group changes. The drawback: each label gets its share of a split in
expectation, not exactly; a stratified split would move old rows with each new one. The report gives the largest
deviation, and the labels that are missing from a split.


Rows that only a teacher labels do not take part in this: they are training rows, without those that are in a group
with validation or test rows. So the splits of the labeled rows are the same with them and without them.

Letters in array names: N rows, U distinct texts.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from atnet.batch_engine import BatchMapper
from atnet.config import SPLITS, SplitConfig, SplitName
from atnet.data.near_duplicates import spilled_bytes
from atnet.data.split_report import MAX_EXAMPLES, AssignedRows, hash_name, split_report
from atnet.data.split_rows import NO_OFFICIAL_SPLIT, SplitRows, collect_rows, group_texts
from atnet.errors import DataContractError
from atnet.schema import GROUP, SPLIT, TEXT_HASH, unit_hash
from atnet.table_batches import TableSource

HASH_ORDER: tuple[SplitName, ...] = ("test", "validation", "train")
"""Splits along [0, 1): test comes first, so that another validation fraction does not change it."""
TEACHER_FOLDER = "teacher"
"""Below the folder for signatures: those of all texts, if a teacher labels some of them alone."""
TRAIN, VALIDATION, TEST = (SPLITS.index(name) for name in SPLITS)


@dataclass(frozen=True, slots=True)
class Splits:
    """The three splits, rows in their original order, and a report about them."""

    tables: Mapping[SplitName, pd.DataFrame]
    report: dict[str, Any]


@dataclass(frozen=True, slots=True)
class SplitPlan:
    """The group and the split of every row, and a report about the splits."""

    assigned: AssignedRows
    report: dict[str, Any]

    def divide(self, batch: pd.DataFrame, first_row: int) -> dict[SplitName, pd.DataFrame]:
        """Divide a batch of the table among the splits and add its groups and text hashes.

        Args:
            batch: all columns of the table.
            first_row: position in the table of its first row.
        """
        assigned, rows = self.assigned, slice(first_row, first_row + len(batch))
        text = assigned.rows.text_N[rows]
        names = assigned.rows.names_U
        added = {
            GROUP: [hash_name(value) for value in names[assigned.group_U[text]].tolist()],
            TEXT_HASH: [hash_name(value) for value in names[text].tolist()],
        }
        frame = batch.drop(columns=SPLIT, errors="ignore").assign(
            **{name: pd.Series(values, index=batch.index, dtype="str") for name, values in added.items()}
        )
        split, used = assigned.split_N[rows], ~assigned.excluded_N[rows]
        return {name: frame[(split == position) & used] for position, name in enumerate(SPLITS)}


def plan_split(source: TableSource, config: SplitConfig, folder: Path, mapper: BatchMapper = map) -> SplitPlan:
    """Assign a group, a text hash and a split to every row.

    Rows with an official split keep it; official splits that are missing are taken from train, by group.

    Args:
        source: the validated table.
        config: shares, and what a near duplicate is.
        folder: an empty folder for signatures.
        mapper: calls the functions of single batches.

    Raises:
        DataContractError: if there are no rows, or the official split cannot be used.
    """
    rows = collect_rows(source, mapper)
    if len(rows) == 0:
        raise DataContractError("The validated table has no rows. See quarantine.parquet of the validate stage.")
    group_U = np.arange(len(rows.names_U), dtype=np.int32)
    if config.near_duplicates:
        group_U = group_texts(source, rows, rows.hard_U, config, folder, mapper)
    official_N = np.full(len(rows), TRAIN, dtype=np.int8) if rows.official_N is None else rows.official_N
    official_N = np.where(rows.hard_N, official_N, np.int8(NO_OFFICIAL_SPLIT))
    group_N = group_U[rows.text_N]
    split_N = _assign(group_N, official_N, rows, config)
    # By the official splits: what is then taken from train shares no group with the others.
    excluded_N = np.zeros(len(rows), dtype=bool)
    if config.drop_test_duplicates:
        excluded_N = _duplicates_of_other_splits(group_N, official_N, len(group_U))
    assigned = AssignedRows(rows, group_U, split_N, excluded_N)
    if not rows.hard_N.all():
        assigned = _with_teacher_only(assigned, source, config, folder, mapper)
    taken = {"given": rows.official_N is not None, "taken_from_train": _missing_splits(official_N)}
    return SplitPlan(assigned, {**split_report(assigned, source), "official": taken})


def split_table(table: pd.DataFrame, config: SplitConfig) -> Splits:
    """Split a table in memory, see `plan_split`."""
    with TemporaryDirectory() as folder:
        plan = plan_split(TableSource.of(table), config, Path(folder))
    parts = plan.divide(table, 0)
    return Splits({name: parts[name].reset_index(drop=True) for name in SPLITS}, plan.report)


def needed_disk(rows: int, table_bytes: int, config: SplitConfig, *, has_teacher: bool = False) -> int:
    """Estimate an upper bound on the bytes of signatures and outputs, for a table of that size."""
    signatures = 0
    if config.near_duplicates:
        signatures = spilled_bytes(
            rows,
            table_bytes,
            similarity=config.near_duplicate_similarity,
            minhash_permutations=config.minhash_permutations,
        )
    if has_teacher:
        # The signatures of the labeled rows, then those of all rows.
        signatures *= 2
    # Two hashes of 16 digits are added to each row.
    return signatures + table_bytes + 32 * rows


def check_splits(report: Mapping[str, Any]) -> None:
    """Check that a model can be trained and evaluated on the splits.

    Raises:
        DataContractError: if a split is empty, there is only one label, train has fewer rows than there are labels,
            or a label never occurs in train.
    """
    splits = report["splits"]
    train = splits["train"]
    labels = sorted(set().union(*(split["labels"] for split in splits.values())))
    if len(labels) < 2:
        raise DataContractError(
            f"All {report['rows']} rows have the same label ({', '.join(labels)}). A classifier needs two or "
            "more: add rows with other labels, or check data.columns.label and validate.label_map."
        )
    for name in SPLITS:
        if splits[name]["rows"] == 0:
            raise DataContractError(_empty_split_message(name, report))
    if train["rows"] < len(labels):
        raise DataContractError(
            f"Train has {train['rows']} rows for {len(labels)} labels. Add rows, or merge labels with "
            "validate.label_map."
        )
    unseen = sorted(set(labels) - set(train["labels"]))
    if unseen:
        raise DataContractError(
            f"{len(unseen)} of {len(labels)} labels occur in validation or test but never in train: {_listed(unseen)}. "
            "Add rows with them, merge them with validate.label_map, or try another split.seed."
        )


def summarize(report: Mapping[str, Any]) -> str:
    """Return how many rows each split has, where they come from, and from which splits rows were excluded."""
    duplicates, official = report["duplicates"], report["official"]
    rows = {name: report["splits"][name]["rows"] for name in SPLITS}
    sizes = ", ".join(f"{name} {count:,}" for name, count in rows.items())
    lines = [
        f"{sizes}; {duplicates['exact_rows']:,} exact and {duplicates['near_rows']:,} near duplicates kept together"
    ]
    if official["given"]:
        lines += [
            f"the file has no official {name} split: {rows[name]:,} {name} rows were taken from train"
            for name in official["taken_from_train"]
        ]
    teacher = report.get("teacher_only")
    if teacher is not None:
        lines.append(
            f"{teacher['rows']:,} rows labeled by the teacher only are in train too; {teacher['excluded']['rows']:,} "
            "others excluded: held out, or near duplicates of validation or test rows"
        )
    excluded = {name: counts["rows"] for name, counts in report["excluded"].items() if counts["rows"]}
    if excluded:
        listed = ", ".join(f"{count:,} {name} rows" for name, count in excluded.items())
        lines.append(f"{listed} excluded: their text, or a near duplicate, is also in another split")
    return "\n  ".join(lines)


def _with_teacher_only(
    assigned: AssignedRows, source: TableSource, config: SplitConfig, folder: Path, mapper: BatchMapper
) -> AssignedRows:
    """Put the rows that only the teacher labels into train, without those whose text is held out or almost is."""
    rows, group_U = assigned.rows, assigned.group_U
    if config.near_duplicates:
        (folder / TEACHER_FOLDER).mkdir()
        all_U = np.ones(len(rows.names_U), dtype=bool)
        with_teacher_U = group_texts(source, rows, all_U, config, folder / TEACHER_FOLDER, mapper)
        group_U = np.where(rows.hard_U, group_U, group_U[with_teacher_U])
    else:
        with_teacher_U = group_U
    held_out_N = rows.hard_N & (assigned.split_N != TRAIN) & ~assigned.excluded_N
    kept_out_N = np.zeros(len(rows), dtype=bool) if rows.official_N is None else rows.official_N != TRAIN
    leaking_N = _share_group(with_teacher_U[rows.text_N], held_out_N, len(group_U))
    # A bucket of very many texts may hide in the second grouping what the first one found.
    leaking_N |= _share_group(group_U[rows.text_N], held_out_N, len(group_U))
    return AssignedRows(
        rows,
        group_U,
        split_N=np.where(rows.hard_N, assigned.split_N, np.int8(TRAIN)),
        excluded_N=np.where(rows.hard_N, assigned.excluded_N, leaking_N | kept_out_N),
    )


def _missing_splits(official_N: NDArray[np.int8]) -> list[SplitName]:
    return [name for position, name in enumerate(SPLITS) if not (official_N == position).any()]


def _assign(
    group_N: NDArray[np.int32], official_N: NDArray[np.int8], rows: SplitRows, config: SplitConfig
) -> NDArray[np.int8]:
    """Return the split of each row: the official one, or, within train, the one that the group's hash selects."""
    missing = {*_missing_splits(official_N), "train"}
    names = [name for name in HASH_ORDER if name in missing]
    shares = np.array([getattr(config.fractions, name) for name in names])
    # Without the last bound: rounding must not put a hash of almost 1 into a fourth split.
    bounds = (shares / shares.sum()).cumsum()[:-1]
    positions = np.array([SPLITS.index(name) for name in names], dtype=np.int8)
    split_U = np.zeros(len(rows.names_U), dtype=np.int8)
    groups = np.unique(group_N)
    hashes = np.fromiter((unit_hash(hash_name(rows.names_U[group]), config.seed) for group in groups), np.float64)
    split_U[groups] = positions[np.searchsorted(bounds, hashes, side="right")]
    return np.where(official_N == TRAIN, split_U[group_N], official_N)


def _duplicates_of_other_splits(
    group_N: NDArray[np.int32], official_N: NDArray[np.int8], texts: int
) -> NDArray[np.bool_]:
    """Mark validation and test rows whose group is also in train, and validation rows whose group is also in test."""
    in_train = _share_group(group_N, official_N == TRAIN, texts)
    in_test = _share_group(group_N, (official_N == TEST) & ~in_train, texts)
    duplicates: NDArray[np.bool_] = ((official_N != TRAIN) & in_train) | ((official_N == VALIDATION) & in_test)
    return duplicates


def _share_group(group_N: NDArray[np.int32], among_N: NDArray[np.bool_], texts: int) -> NDArray[np.bool_]:
    """Mark the rows whose group has a row among the given ones."""
    present = np.zeros(texts, dtype=bool)
    present[group_N[among_N]] = True
    marked: NDArray[np.bool_] = present[group_N]
    return marked


def _empty_split_message(name: SplitName, report: Mapping[str, Any]) -> str:
    if report["excluded"].get(name, {}).get("rows"):
        return (
            f"Every {name} row is also in another split and was excluded. Add {name} rows with new texts, "
            "or set split.drop_test_duplicates to false."
        )
    groups = report["duplicates"]["groups"]
    return (
        f"The {name} split is empty: {report['rows']} rows in {groups} groups of near duplicates are too few to split. "
        f"Add rows, raise split.fractions.{name}, or try another split.seed."
    )


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - MAX_EXAMPLES} more" if len(names) > MAX_EXAMPLES else ""
    return ", ".join(names[:MAX_EXAMPLES]) + more
