"""Splitting the table into training, validation and test rows."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from atnet.config import SPLITS, Params, SplitConfig
from atnet.data.splitting import Splits, check_splits, split_table
from atnet.errors import DataContractError
from atnet.files import SPLITS as SPLITS_FOLDER
from atnet.files import VALIDATED_TABLE
from atnet.files import split_table as split_file
from atnet.stages import split as stage
from atnet.storage import write_table
from tests.texts import labeled_texts


@pytest.fixture
def config(params: Params) -> SplitConfig:
    return params.split


def changed(config: SplitConfig, **values: Any) -> SplitConfig:
    """Return a copy of the section with other values."""
    return config.model_copy(update=values)


def split_by_id(splits: Splits) -> dict[str, str]:
    """Return the split of each row."""
    return {row: name for name, table in splits.tables.items() for row in table["id"]}


def test_every_row_gets_one_split_in_about_the_configured_shares(config: SplitConfig) -> None:
    table = labeled_texts(2000)
    splits = split_table(table, config)
    check_splits(splits.report)
    assert sorted(split_by_id(splits)) == sorted(table["id"])
    shares = [len(splits.tables[name]) / len(table) for name in SPLITS]
    assert np.allclose(shares, [0.8, 0.1, 0.1], atol=0.03)
    assert abs(splits.report["labels"]["largest_deviation"]["share"]) < 0.08


def test_rows_keep_their_order_and_their_columns(config: SplitConfig) -> None:
    table = labeled_texts(200).assign(rating=1.5, domain="x", split="train")
    train = split_table(table, config).tables["train"]
    assert train.columns.tolist() == ["id", "text", "label", "rating", "domain", "group", "text_hash"]
    assert train["id"].tolist() == [row for row in table["id"] if row in set(train["id"])]


def test_the_argument_is_not_changed(config: SplitConfig) -> None:
    table = labeled_texts(50)
    before = table.copy()
    split_table(table, config)
    pd.testing.assert_frame_equal(table, before)


def test_no_row_changes_its_split_when_rows_are_added_or_shuffled(config: SplitConfig) -> None:
    table = labeled_texts(600)
    few = split_table(table.head(300), changed(config, near_duplicates=False))
    many = split_table(table.sample(frac=1, random_state=1), changed(config, near_duplicates=False))
    assert split_by_id(few).items() <= split_by_id(many).items()


def test_a_row_changes_its_split_only_if_its_group_changes(config: SplitConfig) -> None:
    table = labeled_texts(800)
    copies = table.head(100).assign(id=lambda rows: "new-" + rows["id"], text=lambda rows: rows["text"] + " Again")
    few, many = split_table(table, config), split_table(pd.concat([table, copies]), config)
    groups = [pd.concat(splits.tables.values()).set_index("id")["group"] for splits in (few, many)]
    before, after = (split_by_id(splits) for splits in (few, many))
    moved = [row for row in table["id"] if before[row] != after[row]]
    assert all(groups[0][row] != groups[1][row] for row in moved)
    assert len(moved) < 50


def test_another_seed_gives_another_split(config: SplitConfig) -> None:
    table = labeled_texts(200)
    assert split_by_id(split_table(table, config)) != split_by_id(split_table(table, changed(config, seed=14)))


def test_exact_and_near_duplicates_stay_in_one_split(config: SplitConfig) -> None:
    table = labeled_texts(300)
    upper = table.assign(id=lambda rows: "upper-" + rows["id"], text=table["text"].str.upper() + "  ")
    longer = table.assign(id=lambda rows: "longer-" + rows["id"], text=table["text"] + " ok")
    splits = split_table(pd.concat([table, upper, longer]), changed(config, near_duplicate_similarity=0.6))
    assigned = split_by_id(splits)
    assert all(assigned[row] == assigned[f"upper-{row}"] == assigned[f"longer-{row}"] for row in table["id"])
    assert splits.report["duplicates"]["exact_rows"] == 300
    assert splits.report["duplicates"]["near_rows"] >= 300
    assert splits.report["duplicates"]["largest_groups"][0]["rows"] >= 3
    assert all(count == 0 for pair in splits.report["leaks"].values() for count in pair.values())


def test_a_group_is_named_after_its_smallest_text_hash(config: SplitConfig) -> None:
    table = labeled_texts(300)
    twice = pd.concat([table, table.assign(id="b-" + table["id"], text=table["text"] + " x")])
    rows = pd.concat(split_table(twice, changed(config, near_duplicate_similarity=0.5)).tables.values())
    assert (rows.groupby("group")["text_hash"].min() == rows.groupby("group")["group"].first()).all()


def test_an_official_split_is_kept(config: SplitConfig) -> None:
    table = labeled_texts(300).assign(split=np.resize(["train", "test", "train", "validation"], 300))
    splits = split_table(table, config)
    assert split_by_id(splits) == dict(zip(table["id"], table["split"], strict=True))
    assert splits.report["official"] == {"given": True, "taken_from_train": []}


def test_a_missing_validation_split_is_taken_from_train(config: SplitConfig) -> None:
    table = labeled_texts(1000).assign(split=np.resize(["train", "train", "train", "test"], 1000))
    splits = split_table(table, config)
    assert set(splits.tables["test"]["id"]) == set(table["id"][table["split"] == "test"])
    assert 50 < len(splits.tables["validation"]) < 120
    assert splits.report["official"]["taken_from_train"] == ["validation"]


def test_a_missing_test_split_is_taken_from_train(config: SplitConfig) -> None:
    table = labeled_texts(1000).assign(split=np.resize(["train", "train", "train", "validation"], 1000))
    splits = split_table(table, config)
    assert set(splits.tables["validation"]["id"]) == set(table["id"][table["split"] == "validation"])
    assert 50 < len(splits.tables["test"]) < 120


def official_with_copies() -> pd.DataFrame:
    """Return an official split in which one train text is also in test, and one test text also in validation."""
    table = labeled_texts(200).assign(split=np.resize(["train", "test", "train", "validation"], 200))
    copies = table.iloc[[0, 1]].assign(id=["train-in-test", "test-in-validation"], split=["test", "validation"])
    return pd.concat([table, copies], ignore_index=True)


def test_test_and_validation_rows_that_are_also_in_another_split_are_excluded(config: SplitConfig) -> None:
    splits = split_table(official_with_copies(), config)
    assert splits.report["excluded"] == {
        "test": {"rows": 1, "first_ids": ["train-in-test"]},
        "validation": {"rows": 1, "first_ids": ["test-in-validation"]},
    }
    assert all(count == 0 for pair in splits.report["leaks"].values() for count in pair.values())


def test_a_text_of_train_and_test_counts_as_train_even_if_validation_is_taken_from_train(config: SplitConfig) -> None:
    table = labeled_texts(300).assign(split=np.resize(["train", "train", "test"], 300))
    copies = table[table["split"] == "train"].assign(id=lambda rows: "copy-" + rows["id"], split="test")
    splits = split_table(pd.concat([table, copies]), config)
    assert {name: len(splits.tables[name]) for name in ("train", "validation")} != {"train": 200, "validation": 0}
    assert set(splits.tables["test"]["id"]) == set(table["id"][table["split"] == "test"])
    assert splits.report["excluded"]["validation"]["rows"] == 0


def test_leaks_are_counted_when_duplicates_are_kept(config: SplitConfig) -> None:
    splits = split_table(official_with_copies(), changed(config, drop_test_duplicates=False))
    assert splits.report["leaks"]["train_test"] == {"shared_group": 1, "shared_text_hash": 1}
    assert splits.report["leaks"]["validation_test"] == {"shared_group": 1, "shared_text_hash": 1}
    assert splits.report["leaks"]["train_validation"] == {"shared_group": 0, "shared_text_hash": 0}


def test_a_label_that_never_occurs_in_train_is_reported_by_name(config: SplitConfig) -> None:
    table = labeled_texts(200).assign(split=np.resize(["train", "test", "train", "validation"], 200))
    table.loc[1, "label"] = "unheard-of"
    with pytest.raises(DataContractError, match=r"1 of 3 labels occur in validation or test but .* unheard-of"):
        check_splits(split_table(table, config).report)


def test_an_empty_split_is_refused(config: SplitConfig) -> None:
    table = labeled_texts(100).assign(split="train")
    tiny = config.fractions.model_copy(update={"train": 0.899999, "validation": 0.1, "test": 0.000001})
    with pytest.raises(DataContractError, match=r"test split is empty: 100 rows in \d+ groups"):
        check_splits(split_table(table, changed(config, fractions=tiny)).report)


def test_a_split_with_only_duplicates_is_refused(config: SplitConfig) -> None:
    table = labeled_texts(100)
    copied = pd.concat([table.assign(split="train"), table.assign(split="test", id="t-" + table["id"])])
    with pytest.raises(DataContractError, match="Every test row is also in another split"):
        check_splits(split_table(copied, config).report)


def test_a_single_label_is_refused(config: SplitConfig) -> None:
    with pytest.raises(DataContractError, match=r"All 100 rows have the same label \(one\)"):
        check_splits(split_table(labeled_texts(100).assign(label="one"), config).report)


def test_fewer_rows_than_labels_are_refused(config: SplitConfig) -> None:
    table = labeled_texts(4).assign(label=list("abcd"), split=["train", "validation", "test", "test"])
    with pytest.raises(DataContractError, match="Train has 1 rows for 4 labels"):
        check_splits(split_table(table, config).report)


@pytest.mark.parametrize("unknown", [None, "holdout"])
def test_a_row_without_a_valid_official_split_is_refused(config: SplitConfig, unknown: str | None) -> None:
    table = labeled_texts(20).assign(split=[unknown, *["train"] * 19])
    with pytest.raises(DataContractError, match=f"1 rows have no valid split .* first: id {table['id'][0]}"):
        split_table(table, config)


def test_an_official_split_without_train_is_refused(config: SplitConfig) -> None:
    with pytest.raises(DataContractError, match="puts no row in train"):
        split_table(labeled_texts(20).assign(split="test"), config)


def test_an_empty_table_is_refused(config: SplitConfig) -> None:
    with pytest.raises(DataContractError, match="no rows"):
        split_table(labeled_texts(20).head(0), config)


def run_stage(project: Path, folder: Path) -> int:
    """Run the stage in a folder with the committed parameters."""
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(project / "params.yaml", folder)
    return stage.main(["--root", str(folder)])


def test_the_stage_writes_the_same_bytes_twice(project: Path, tmp_path: Path) -> None:
    contents = []
    for run in ("one", "two"):
        write_table(tmp_path / run / VALIDATED_TABLE, labeled_texts(120, "pt"))
        assert run_stage(project, tmp_path / run) == 0
        contents.append({path.name: path.read_bytes() for path in (tmp_path / run / SPLITS_FOLDER).iterdir()})
    assert contents[0] == contents[1]
    assert sorted(contents[0]) == ["report.json", "test.parquet", "train.parquet", "validation.parquet"]


def test_the_stage_writes_the_report_but_no_table_if_it_fails(
    project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_table(tmp_path / split_file("train"), labeled_texts(5))
    write_table(tmp_path / VALIDATED_TABLE, labeled_texts(60).assign(label="one"))
    assert run_stage(project, tmp_path) == 1
    assert "A classifier needs two or more" in capsys.readouterr().err
    assert [path.name for path in (tmp_path / SPLITS_FOLDER).iterdir()] == ["report.json"]


def test_a_missing_table_is_reported(project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_stage(project, tmp_path) == 1
    assert "table.parquet is missing" in capsys.readouterr().err


def test_a_real_data_set_is_split(config: SplitConfig, datasets: Path) -> None:
    table = pd.read_csv(datasets / "trec.csv.gz", dtype=str).rename_axis("id").reset_index()
    splits = split_table(table.assign(id=table["id"].astype(str)), config)
    check_splits(splits.report)
    json.dumps(splits.report)
    assert 480 <= len(splits.tables["test"]) <= 500
    assert leaking_pairs(splits) == []


def leaking_pairs(splits: Splits) -> list[str]:
    """Return the pairs of splits that share a text or a group."""
    return [pair for pair, shared in splits.report["leaks"].items() if any(shared.values())]
