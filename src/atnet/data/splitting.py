"""Split the table into training, validation and test rows, near duplicates together.

The hash of a group's name alone decides the split of the group. The other rows do not matter, so a row keeps its split
when rows are added or removed, unless its group changes. The price: each label gets its share of a split in
expectation, not exactly; a stratified split would move old rows with each new one. The report gives the largest
deviation, and the labels that are missing from a split.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from atnet.config import SPLITS, SplitConfig, SplitName
from atnet.data.near_duplicates import near_duplicate_leaders
from atnet.data.split_report import HELD_OUT, MAX_EXAMPLES, split_report
from atnet.errors import DataContractError
from atnet.schema import GROUP, ID, LABEL, SPLIT, TEXT, TEXT_HASH, normalize_text, text_hash, unit_hash

HASH_ORDER: tuple[SplitName, ...] = ("test", "validation", "train")
"""Splits along [0, 1): test comes first, so that another validation fraction does not change it."""


@dataclass(frozen=True, slots=True)
class Splits:
    """The three splits, rows in their original order, and a report about them."""

    tables: Mapping[SplitName, pd.DataFrame]
    report: dict[str, Any]


def split_table(table: pd.DataFrame, config: SplitConfig) -> Splits:
    """Assign a group, a text hash and a split to every row.

    Rows with an official split keep it; official splits that are missing are taken from train, by group.

    Raises:
        DataContractError: if there are no rows, or the official split cannot be used.
    """
    if len(table) == 0:
        raise DataContractError("The validated table has no rows. See quarantine.parquet of the validate stage.")
    official = _official_splits(table)
    grouped = _with_groups(table, config)
    assigned = _assign(grouped[GROUP], official, config)
    # By the official splits: what is then taken from train shares no group with the others.
    excluded = (
        _duplicates_of_other_splits(grouped[GROUP], official)
        if config.drop_test_duplicates
        else np.zeros(len(table), dtype=bool)
    )
    rows = grouped.drop(columns=SPLIT, errors="ignore")
    tables = {name: rows[(assigned == name) & ~excluded].reset_index(drop=True) for name in SPLITS}
    report = {
        **split_report(tables, grouped, excluded={name: excluded & (assigned == name) for name in HELD_OUT}),
        "official": {"given": _has_official_split(table), "taken_from_train": _missing_splits(official)},
    }
    return Splits(tables=tables, report=report)


def check_splits(splits: Splits) -> None:
    """Check that a model can be trained and evaluated on the splits.

    Raises:
        DataContractError: if a split is empty, there is only one label, train has fewer rows than there are labels,
            or a label never occurs in train.
    """
    train = splits.tables["train"]
    labels = sorted(set().union(*(set(table[LABEL]) for table in splits.tables.values())))
    if len(labels) < 2:
        raise DataContractError(
            f"All {splits.report['rows']} rows have the same label ({', '.join(labels)}). A classifier needs two or "
            "more: add rows with other labels, or check data.columns.label and validate.label_map."
        )
    for name, table in splits.tables.items():
        if len(table) == 0:
            raise DataContractError(_empty_split_message(name, splits.report))
    if len(train) < len(labels):
        raise DataContractError(
            f"Train has {len(train)} rows for {len(labels)} labels. Add rows, or merge labels with validate.label_map."
        )
    unseen = sorted(set(labels) - set(train[LABEL]))
    if unseen:
        raise DataContractError(
            f"{len(unseen)} of {len(labels)} labels occur in validation or test but never in train: {_listed(unseen)}. "
            "Add rows with them, merge them with validate.label_map, or try another split.seed."
        )


def summarize(splits: Splits) -> str:
    """Return how many rows each split has, where they come from, and from which splits rows were excluded."""
    duplicates, tables, official = splits.report["duplicates"], splits.tables, splits.report["official"]
    sizes = ", ".join(f"{name} {len(table):,}" for name, table in tables.items())
    lines = [
        f"{sizes}; {duplicates['exact_rows']:,} exact and {duplicates['near_rows']:,} near duplicates kept together"
    ]
    if official["given"]:
        lines += [
            f"the file has no official {name} split: {len(tables[name]):,} {name} rows were taken from train"
            for name in official["taken_from_train"]
        ]
    excluded = {name: counts["rows"] for name, counts in splits.report["excluded"].items() if counts["rows"]}
    if excluded:
        listed = ", ".join(f"{rows:,} {name} rows" for name, rows in excluded.items())
        lines.append(f"{listed} excluded: their text, or a near duplicate, is also in another split")
    return "\n  ".join(lines)


def _with_groups(table: pd.DataFrame, config: SplitConfig) -> pd.DataFrame:
    texts = table[TEXT].tolist()
    hashes = np.array([text_hash(text) for text in texts], dtype=object)
    if not config.near_duplicates:
        return table.assign(**{GROUP: hashes, TEXT_HASH: hashes})
    # Distinct texts in the order of their hashes: row order does not change the groups, and the leader names the group.
    first_rows = pd.Series(np.arange(len(texts)), index=hashes).groupby(level=0).first()
    names = first_rows.index.to_numpy(dtype=object)
    leaders = near_duplicate_leaders(
        [normalize_text(texts[row]) for row in first_rows],
        similarity=config.near_duplicate_similarity,
        minhash_permutations=config.minhash_permutations,
    )
    return table.assign(**{GROUP: names[leaders][first_rows.index.get_indexer(pd.Index(hashes))], TEXT_HASH: hashes})


def _has_official_split(table: pd.DataFrame) -> bool:
    return SPLIT in table.columns


def _official_splits(table: pd.DataFrame) -> NDArray[np.object_]:
    """Return the official split of each row; without a split column every row is in train, to be divided."""
    if not _has_official_split(table):
        return np.full(len(table), "train", dtype=object)
    official = table[SPLIT].to_numpy(dtype=object)
    unknown = np.flatnonzero(~np.isin(official.astype(str), SPLITS))
    if len(unknown):
        raise DataContractError(
            f"{len(unknown)} rows have no valid split in the split column, first: id {table[ID].iloc[unknown[0]]} with "
            f"{official[unknown[0]]!r}. Set each row to one of {', '.join(SPLITS)}, or set data.columns.split to null."
        )
    if "train" not in official:
        raise DataContractError(
            "The split column puts no row in train. Fix the column, or set data.columns.split to null."
        )
    return official


def _missing_splits(official: NDArray[np.object_]) -> list[SplitName]:
    present = set(official)
    return [name for name in SPLITS if name not in present]


def _assign(groups: pd.Series, official: NDArray[np.object_], config: SplitConfig) -> NDArray[np.object_]:
    """Return the split of each row: the official one, or, within train, the one that the group's hash selects."""
    missing = {*_missing_splits(official), "train"}
    names = [name for name in HASH_ORDER if name in missing]
    shares = np.array([getattr(config.fractions, name) for name in names])
    # Without the last bound: rounding must not put a hash of almost 1 into a fourth split.
    bounds = (shares / shares.sum()).cumsum()[:-1]
    codes, group_names = pd.factorize(groups)
    hashes = np.array([unit_hash(name, config.seed) for name in group_names])
    by_group = np.array(names, dtype=object)[np.searchsorted(bounds, hashes, side="right")]
    return np.where(official == "train", by_group[codes], official)


def _duplicates_of_other_splits(groups: pd.Series, splits: NDArray[np.object_]) -> NDArray[np.bool_]:
    """Mark validation and test rows whose group is also in train, and validation rows whose group is also in test."""
    in_train = groups.isin(groups[splits == "train"]).to_numpy()
    test = (splits == "test") & ~in_train
    in_test = groups.isin(groups[test]).to_numpy()
    duplicates: NDArray[np.bool_] = ((splits != "train") & in_train) | ((splits == "validation") & in_test)
    return duplicates


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
