"""Part the table into training, validation and test, near duplicates together.

A group of near duplicates goes where the hash of its name puts it. Nothing else is asked, above all not the other
rows: so a row keeps its side when rows are added or taken away, unless its group changes. The price is that
each label gets its share of a side in expectation, not to the row: a side cut to measure would move old rows
with each new one. The report gives the largest deviation, and the labels that a side has no row of.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from atnet.config import SPLITS, SplitConfig, SplitName
from atnet.data.near_duplicates import near_duplicate_leaders
from atnet.data.split_report import LEFT_OUT_OF, LISTED, describe
from atnet.errors import DataContractError
from atnet.schema import GROUP, ID, LABEL, SPLIT, TEXT, TEXT_HASH, normalize_text, text_hash, unit_hash

CUT_ORDER: tuple[SplitName, ...] = ("test", "validation", "train")
"""Sides along [0, 1): the test split comes first, so that another validation fraction leaves it as it is."""


@dataclass(frozen=True, slots=True)
class Splits:
    """The three sides, rows in the order they came in, and what there is to say about them."""

    tables: Mapping[SplitName, pd.DataFrame]
    report: dict[str, Any]


def split_table(table: pd.DataFrame, config: SplitConfig) -> Splits:
    """Give every row a group, a text hash and a side.

    Rows with an official side keep it; official sides that are missing are cut from train, by group.

    Raises:
        DataContractError: if there are no rows, or the official split cannot be used.
    """
    if len(table) == 0:
        raise DataContractError("The validated table has no rows. Look into the quarantine of the validate stage.")
    official = _official_sides(table)
    grouped = _with_groups(table, config)
    sides = _cut(grouped[GROUP], official, config)
    # By the official sides: what is then cut from train shares no group with them.
    left_out = (
        _duplicated(grouped[GROUP], official) if config.drop_test_duplicates else np.zeros(len(table), dtype=bool)
    )
    kept = grouped.drop(columns=SPLIT, errors="ignore")
    tables = {name: kept[(sides == name) & ~left_out].reset_index(drop=True) for name in SPLITS}
    report = {
        **describe(tables, grouped, left_out={name: left_out & (sides == name) for name in LEFT_OUT_OF}),
        "official": {"given": _is_official(table), "cut_from_train": _missing_sides(official)},
    }
    return Splits(tables=tables, report=report)


def check_splits(splits: Splits) -> None:
    """Refuse splits that cannot be trained on or judged by.

    Raises:
        DataContractError: if a side is empty, there is one label only, train has fewer rows than there are labels,
            or a label never stands in train.
    """
    train = splits.tables["train"]
    labels = sorted(set().union(*(set(side[LABEL]) for side in splits.tables.values())))
    if len(labels) < 2:
        raise DataContractError(
            f"All {splits.report['rows']} rows have the same label ({', '.join(labels)}). A classifier needs two or "
            "more: add rows of other labels, or look at data.columns.label and validate.label_map."
        )
    for name, side in splits.tables.items():
        if len(side) == 0:
            raise DataContractError(_empty_message(name, splits.report))
    if len(train) < len(labels):
        raise DataContractError(
            f"Train has {len(train)} rows for {len(labels)} labels. Add rows, or join labels with validate.label_map."
        )
    unseen = sorted(set(labels) - set(train[LABEL]))
    if unseen:
        raise DataContractError(
            f"{len(unseen)} of {len(labels)} labels stand in validation or test but never in train: {_listed(unseen)}. "
            "Add rows of them, join them with validate.label_map, or try another split.seed."
        )


def summarize(splits: Splits) -> str:
    """Say in one line how many rows went where."""
    duplicates, sides = splits.report["duplicates"], splits.tables
    sizes = ", ".join(f"{name} {len(side):,}" for name, side in sides.items())
    left_out = splits.report["rows"] - sum(map(len, sides.values()))
    return (
        f"{sizes}; {duplicates['exact_rows']:,} exact and {duplicates['near_rows']:,} near duplicates kept together, "
        f"{left_out:,} left out"
    )


def _with_groups(table: pd.DataFrame, config: SplitConfig) -> pd.DataFrame:
    texts = table[TEXT].tolist()
    hashes = np.array([text_hash(text) for text in texts], dtype=object)
    if not config.near_duplicates:
        return table.assign(**{GROUP: hashes, TEXT_HASH: hashes})
    # Different texts in the order of their hashes: the groups depend on no row order, and the leader names the group.
    firsts = pd.Series(np.arange(len(texts)), index=hashes).groupby(level=0).first()
    names = firsts.index.to_numpy(dtype=object)
    leaders = near_duplicate_leaders(
        [normalize_text(texts[row]) for row in firsts],
        similarity=config.near_duplicate_similarity,
        minhash_permutations=config.minhash_permutations,
    )
    return table.assign(**{GROUP: names[leaders][firsts.index.get_indexer(pd.Index(hashes))], TEXT_HASH: hashes})


def _is_official(table: pd.DataFrame) -> bool:
    return SPLIT in table.columns


def _official_sides(table: pd.DataFrame) -> NDArray[np.object_]:
    """Read the official sides; without a split column every row stands in train, to be cut."""
    if not _is_official(table):
        return np.full(len(table), "train", dtype=object)
    sides = table[SPLIT].to_numpy(dtype=object)
    strange = np.flatnonzero(~np.isin(sides.astype(str), SPLITS))
    if len(strange):
        raise DataContractError(
            f"{len(strange)} rows have no side in the split column, first: id {table[ID].iloc[strange[0]]} with "
            f"{sides[strange[0]]!r}. Give every row one of {', '.join(SPLITS)}, or set data.columns.split to null."
        )
    if "train" not in sides:
        raise DataContractError(
            "The split column puts no row in train. Mend the column, or set data.columns.split to null."
        )
    return sides


def _missing_sides(official: NDArray[np.object_]) -> list[SplitName]:
    present = set(official)
    return [name for name in SPLITS if name not in present]


def _cut(groups: pd.Series, official: NDArray[np.object_], config: SplitConfig) -> NDArray[np.object_]:
    """Cut the missing sides from train, each group as a whole."""
    missing = {*_missing_sides(official), "train"}
    sides = [name for name in CUT_ORDER if name in missing]
    shares = np.array([getattr(config.fractions, name) for name in sides])
    # The last bound is left out: rounding must not put a hash of almost 1 on a fourth side.
    bounds = (shares / shares.sum()).cumsum()[:-1]
    codes, names = pd.factorize(groups)
    hashes = np.array([unit_hash(name, config.seed) for name in names])
    cut = np.array(sides, dtype=object)[np.searchsorted(bounds, hashes, side="right")]
    return np.where(official == "train", cut[codes], official)


def _duplicated(groups: pd.Series, sides: NDArray[np.object_]) -> NDArray[np.bool_]:
    """Mark validation and test rows whose group stands in train too, then validation rows whose group is in test."""
    in_train = groups.isin(groups[sides == "train"]).to_numpy()
    test = (sides == "test") & ~in_train
    in_test = groups.isin(groups[test]).to_numpy()
    left_out: NDArray[np.bool_] = ((sides != "train") & in_train) | ((sides == "validation") & in_test)
    return left_out


def _empty_message(name: SplitName, report: Mapping[str, Any]) -> str:
    if report["left_out"].get(name, {}).get("rows"):
        return (
            f"Every {name} row also stands in another split and was left out. Bring {name} rows that are new, "
            "or set split.drop_test_duplicates to false."
        )
    groups = report["duplicates"]["groups"]
    return (
        f"The {name} split is empty: {report['rows']} rows in {groups} groups of near duplicates are too few to part. "
        f"Add rows, raise split.fractions.{name}, or try another split.seed."
    )


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    return ", ".join(names[:LISTED]) + more
