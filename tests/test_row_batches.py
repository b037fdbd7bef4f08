"""Stages in batches write what they write for the whole table, and leave no temporary files."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from atnet import files, table_batches
from atnet.cli.check import check_inputs
from atnet.config import Params
from atnet.data import delimited, validate_file
from atnet.data.repeated_ids import RepeatedIds, find_repeated_ids
from atnet.errors import AtnetError
from atnet.files import SPILL
from atnet.inference import Predictor
from atnet.spill import require_free_disk, spill_folder
from atnet.stages import split as split_stage
from atnet.stages import tokenize as tokenize_stage
from atnet.stages import validate as validate_stage
from atnet.storage import write_table
from atnet.table_batches import TableSource, read_batches, table_writer
from atnet.text.spilled_lists import SpilledLists
from tests.settings import LABELED, params_file, params_with
from tests.texts import labeled_texts
from tests.tinymodel import write_tiny_model

COLUMNS = {
    "id": "id",
    "text": "text",
    "label": "label",
    "split": "part",
    "rating": "rating",
    "weight": None,
    "slices": ["domain"],
}
CHANGES: dict[str, Any] = {
    "data": {"path": "rows.csv", "columns": COLUMNS},
    "validate": {
        "label_map": {"one": "negative", "none": None},
        "labels": ["negative", "positive"],
        "max_quarantined_fraction": 1.0,
        "text_words": {"min_value": 1, "max_value": 6, "severity": "critical"},
        "text_characters": {"min_value": 10, "max_value": 60, "severity": "warning"},
    },
}
OUTPUTS = [files.VALIDATED, files.SPLITS, files.TOKENS]


def faulty_rows(rows: int) -> pd.DataFrame:
    """Return rows of which many fail a check: long, blank and repeated texts, wrong labels, repeated ids."""
    rng = np.random.default_rng(3)
    table = labeled_texts(rows).assign(
        part=rng.choice(["train", "train", "dev", "test"], size=rows),
        rating=rng.choice(["1.5", "-2", ""], size=rows),
        domain=rng.choice(["a", "b", ""], size=rows),
    )
    table["label"] = np.where(
        rng.random(rows) < 0.2, rng.choice(["one", "none", " positive", "odd", ""], rows), table["label"]
    )
    kind = rng.random(rows)
    table.loc[kind < 0.05, "text"] = " \u200b"
    table.loc[(kind > 0.05) & (kind < 0.1), "text"] = "bro\ufffdken"
    table.loc[(kind > 0.1) & (kind < 0.2), "text"] = "the same text again"
    table.loc[(kind > 0.2) & (kind < 0.3), "text"] += " and some words more than that"
    table["id"] = np.where(rng.random(rows) < 0.05, np.roll(table["id"], 40), table["id"])
    return table


def contents(root: Path) -> dict[str, bytes]:
    """Return every output file of the three stages."""
    paths = [path for folder in OUTPUTS for path in (root / folder).rglob("*") if path.is_file()]
    return {str(path.relative_to(root)): path.read_bytes() for path in paths}


def run_stages(root: Path, **engine: Any) -> dict[str, bytes]:
    """Write the data, run the stages with an engine and return what they wrote."""
    root.mkdir()
    faulty_rows(600).to_csv(root / "rows.csv", index=False)
    (root / "expectations.yaml").write_text(
        "expectations: [{type: expect_column_values_to_be_between, kwargs: {column: rating, min_value: -1}}]\n"
    )
    params_file(root, LABELED, CHANGES, {"engine": engine})
    for stage in (validate_stage, split_stage, tokenize_stage):
        assert stage.main(["--root", str(root)]) == 0
    return contents(root)


@pytest.mark.slow
def test_small_batches_give_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = run_stages(tmp_path / "whole")
    monkeypatch.setattr(delimited, "BLOCK_BYTES", 3000)
    monkeypatch.setattr(table_batches.read_batches, "__kwdefaults__", {"batch_rows": 37})
    batches = 0
    check_batch = validate_file.check_batch

    def counting(*arguments: Any) -> Any:
        nonlocal batches
        batches += 1
        return check_batch(*arguments)

    monkeypatch.setattr(validate_file, "check_batch", counting)
    parts = run_stages(tmp_path / "parts")
    assert batches > 5
    assert len(whole) > 15
    assert [name for name in whole if parts[name] != whole[name]] == []
    assert list((tmp_path / "parts" / SPILL).iterdir()) == []


def test_invalid_values_of_all_batches_are_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    table = labeled_texts(300).assign(rating="1", part="train")
    table.loc[[150, 299], "rating"] = "{many}"
    table.loc[200, "part"] = "elsewhere"
    table.to_csv(tmp_path / "rows.csv", index=False)
    (tmp_path / "expectations.yaml").write_text("expectations: []\n")
    params_file(tmp_path, LABELED, {"data": {"path": "rows.csv", "columns": {**COLUMNS, "slices": []}}})
    monkeypatch.setattr(delimited, "BLOCK_BYTES", 3000)
    assert validate_stage.main(["--root", str(tmp_path)]) == 1
    printed = capsys.readouterr().err
    assert "the rating of data row 151 is '{many}', which is not a number (2 such rows)" in printed
    assert "the split of data row 201 is 'elsewhere' (1 such rows)" in printed
    assert not (tmp_path / files.VALIDATED_TABLE).exists()
    assert list((tmp_path / SPILL).iterdir()) == []


def checked(params: Params) -> list[str] | str:
    """Return the lines of `atnet check`, or its error."""
    try:
        return check_inputs(params)
    except AtnetError as error:
        return str(error)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"validate": {**CHANGES["validate"], "label_map": {"none": None, "ones": "negative"}}},
        {"validate": {**CHANGES["validate"], "labels": ["negative"], "label_map": {}}},
        {"validate": {**CHANGES["validate"], "max_quarantined_fraction": 0.0}},
        {"data": {**CHANGES["data"], "columns": {**COLUMNS, "rating": "domain", "weight": "id"}}},
    ],
)
def test_check_says_the_same_of_small_batches(
    changes: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    faulty_rows(400).to_csv("rows.csv", index=False)
    params = params_with(LABELED, {**CHANGES, **changes})
    whole = checked(params)
    monkeypatch.setattr(delimited, "BLOCK_BYTES", 3000)
    assert checked(params) == whole
    assert not list((tmp_path / SPILL).glob("*"))


@pytest.mark.parametrize("rows", [0, 1, 99, 100, 101, 350])
def test_a_table_written_in_batches_has_the_bytes_of_one_written_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows: int
) -> None:
    table = labeled_texts(400).head(rows).assign(number=np.arange(rows) / 7, missing=None).astype({"missing": "str"})
    monkeypatch.setattr(table_batches, "GROUP_ROWS", 1 << 20)
    write_table(tmp_path / "whole.parquet", table)
    with table_writer(tmp_path / "parts.parquet") as writer:
        for start in range(0, max(rows, 1), 30):
            writer.write(table.iloc[start : start + 30])
    assert (tmp_path / "parts.parquet").read_bytes() == (tmp_path / "whole.parquet").read_bytes()


def test_row_groups_end_at_the_same_rows_as_in_a_table_written_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table_batches, "GROUP_ROWS", 100)
    with table_writer(tmp_path / "parts.parquet") as writer:
        for start in range(0, 350, 30):
            writer.write(labeled_texts(350).iloc[start : start + 30])
    with table_batches.pq.ParquetFile(tmp_path / "parts.parquet") as file:
        assert [file.metadata.row_group(group).num_rows for group in range(file.num_row_groups)] == [100, 100, 100, 50]
    read = pd.concat(read_batches(tmp_path / "parts.parquet", batch_rows=40))
    pd.testing.assert_frame_equal(read, labeled_texts(350))


def test_a_table_that_fails_half_way_leaves_no_file(tmp_path: Path) -> None:
    def write() -> None:
        with table_writer(tmp_path / "parts.parquet") as writer:
            writer.write(labeled_texts(30))
            raise ValueError("half way")

    with pytest.raises(ValueError, match="half way"):
        write()
    assert list(tmp_path.iterdir()) == []


def test_a_table_without_rows_has_one_empty_batch(tmp_path: Path) -> None:
    write_table(tmp_path / "empty.parquet", labeled_texts(5).head(0))
    source = TableSource.at(tmp_path / "empty.parquet")
    assert [(len(batch), batch.columns.tolist()) for batch in source.batches(["text"])] == [(0, ["text"])]


def test_some_rows_are_read_as_they_are_in_the_whole_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # All values of the last batches are missing: read alone, they would have another type.
    table = pd.DataFrame({"text": [f"não {row}" for row in range(20)], "year": [2020, None] * 5 + [None] * 10})
    write_table(tmp_path / "table.parquet", table)
    for batch_rows in (3, 100):
        monkeypatch.setattr(table_batches, "SELECTED_FROM_ROWS", batch_rows)
        selected = table_batches.read_rows(tmp_path / "table.parquet", [17, 2, 2, 3, 0])
        pd.testing.assert_frame_equal(selected, table.loc[[0, 2, 3, 17]], check_index_type=False)
        assert table_batches.read_rows(tmp_path / "table.parquet", []).empty


@pytest.mark.parametrize("characters", [1, 7, 1 << 21])
def test_texts_are_tokenized_the_same_in_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, characters: int
) -> None:
    write_tiny_model(tmp_path)
    predictor = Predictor.load(tmp_path)
    texts = ["good", "", "é bad " * 5, "fine", "", "awful good"]
    monkeypatch.setattr("atnet.inference.MAX_ENCODED_CHARACTERS", characters)
    assert predictor.encode(texts) == [predictor.encode([text])[0] for text in texts]
    assert predictor.encode([]) == []


def test_ids_are_counted_over_all_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    ids = pd.Series(["a", "b", "a", "c", "b", "a"], index=pd.RangeIndex(1, 7))
    batches = [ids[:2], ids[2:3], ids[3:]]

    def counted(repeated: RepeatedIds) -> list[int]:
        return [int(count) for batch in batches for count in repeated.of(batch.index)]

    assert counted(find_repeated_ids(lambda: batches)) == [0, 0, 1, 0, 1, 2]
    monkeypatch.setattr("atnet.data.repeated_ids.hash_ids", lambda batch: np.zeros(len(batch), np.uint64))
    assert counted(find_repeated_ids(lambda: batches)) == [0, 0, 1, 0, 1, 2], "equal hashes are not equal ids"


@pytest.mark.parametrize("limit", [2**31 - 1, 3])
def test_many_values_get_wide_offsets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: int) -> None:
    monkeypatch.setattr("atnet.text.spilled_lists.MAX_SMALL_OFFSET", limit)
    lists = SpilledLists(tmp_path / "tokens", np.int32)
    lists.append(np.arange(5), np.array([2, 3]))
    lists.append(np.arange(4), np.array([0, 4]))
    lists.close()
    assert lists.list_array().to_pylist() == [[0, 1], [2, 3, 4], [], [0, 1, 2, 3]]
    assert lists.truncated(2).list_array().to_pylist() == [[0, 1], [2, 3], [], [0, 1]]


def test_a_spill_folder_is_removed_after_an_error(tmp_path: Path) -> None:
    def spill() -> None:
        with spill_folder(tmp_path, "split") as folder:
            (folder / "band").write_bytes(b"x")
            raise ValueError("stop")

    with pytest.raises(ValueError, match="stop"):
        spill()
    assert list((tmp_path / SPILL).iterdir()) == []


HOLD = """
import sys, time; from pathlib import Path; from atnet.spill import spill_folder
with spill_folder(Path(sys.argv[1]), "split") as folder:
    (folder / "band").write_bytes(b"x"); print("ready", flush=True); time.sleep(600)
"""


def test_a_killed_process_leaves_a_folder_that_the_next_start_removes_and_a_running_one_keeps_its_own(
    tmp_path: Path,
) -> None:
    running = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert running.stdout is not None
    try:
        assert running.stdout.readline() == "ready\n"
        with spill_folder(tmp_path, "tokenize"):
            assert (tmp_path / SPILL / f"split-{running.pid}" / "band").exists()
        os.kill(running.pid, signal.SIGKILL)
        running.wait()
        assert (tmp_path / SPILL / f"split-{running.pid}" / "band").exists()
        with spill_folder(tmp_path, "tokenize") as folder:
            names = {path.name for path in (tmp_path / SPILL).iterdir()}
            assert names == {folder.name, f"{folder.name}.lock"}
    finally:
        running.kill()
        running.wait()
        running.stdout.close()
    assert list((tmp_path / SPILL).iterdir()) == []


def test_too_little_disk_is_one_message_before_the_work_starts(tmp_path: Path) -> None:
    with pytest.raises(AtnetError, match=r"GB free, and stage split of 5 rows needs about 1,?000000000\.0 GB\. Free"):
        require_free_disk(tmp_path, 10**18, "stage split of 5 rows")


def test_a_stage_refuses_to_start_on_a_full_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run_stages(tmp_path / "project")
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 1000}))
    for name, stage in (("tokenize", tokenize_stage), ("split", split_stage), ("validate", validate_stage)):
        assert stage.main(["--root", str(tmp_path / "project")]) == 1
        assert f"stage {name} of" in capsys.readouterr().err
