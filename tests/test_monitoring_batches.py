"""Windows that are read in batches: the same rows as reading them whole, and memory that does not grow with them."""

import contextlib
import fcntl
import gzip
import json
import sys
from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from atnet.config import MonitorConfig, Params
from atnet.data.label_mapping import fold_label_settings, map_labels
from atnet.data.reader import read_labeled_texts
from atnet.errors import DataContractError, DataFileError
from atnet.file_hashes import text_sha256
from atnet.monitoring import labeled_texts, logged_predictions, scored_files, windows
from atnet.monitoring.labeled_rows import count_new_labeled_rows
from atnet.monitoring.reference import order_by_hash, read_held_out
from atnet.monitoring.row_sample import RowSample
from atnet.monitoring.windows import Window, file_window, log_window, present_columns
from atnet.schema import text_hash
from atnet.scoring.writers import CsvRows
from atnet.serving.prediction_files import SCHEMA
from atnet.text_hashes import TextHashes
from benchmarks.measure import measure
from tests.settings import LABELED, params_file, params_with
from tests.test_monitoring_windows import DAY, log_rows, write_log

LIMIT = 20


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sample few rows, and read fewer at a time."""
    monkeypatch.setattr(windows, "MAX_ROWS", LIMIT)
    for module in (logged_predictions, scored_files):
        monkeypatch.setattr(module, "READ_ROWS", 3)
    monkeypatch.setattr(scored_files, "BATCH_BYTES", 1000)
    monkeypatch.setattr(labeled_texts, "BATCH_BYTES", 100)


@pytest.fixture(scope="module")
def labeled() -> Params:
    return params_with(
        LABELED, {"data.columns": {"slices": ["shop"]}, "validate": {"label_map": {"spam": None, "good": "positive"}}}
    )


def some_texts(rows: int, *, seed: int = 0) -> list[str]:
    """Return texts of which some are repeated."""
    return [f"text {number}" for number in np.random.default_rng(seed).integers(0, rows, rows)]


def sampled(rows: Sequence[Any], texts: Sequence[str]) -> list[Any]:
    """Return what sorting all rows stably by the hash of their text leaves of them; few rows stay as they are."""
    if len(rows) <= LIMIT:
        return list(rows)
    order = sorted(range(len(rows)), key=lambda row: text_sha256(texts[row]))
    return [rows[row] for row in order[:LIMIT]]


def note(rows: int) -> list[str]:
    return [f"Of {rows:,} rows, {LIMIT:,} were sampled by the hash of their text."] if rows > LIMIT else []


@pytest.mark.parametrize("rows", [0, 1, 19, 20, 21, 41, 500])
@pytest.mark.parametrize("batch", [1, 7, 100])
def test_a_sample_is_the_start_of_the_table_in_a_stable_order(rows: int, batch: int) -> None:
    rng = np.random.default_rng(rows)
    keys = [None if key == 0 else f"{key:02d}" for key in rng.integers(0, 40, rows)]
    table = pa.table({"key": pa.array(keys, pa.string()), "row": np.arange(rows)})
    sample = RowSample(LIMIT, "key")
    sample.add(table[:0])
    for start in range(0, rows, batch):
        sample.add(table[start : start + batch])
        assert sum(part.num_rows for part in sample._tables) <= 2 * LIMIT + batch
    order = pc.sort_indices(table, sort_keys=[("key", "ascending")])[:LIMIT]
    assert sample.table().equals(table.take(order) if rows > LIMIT else table)
    assert sample.rows == rows


def test_rows_that_are_added_to_a_copy_are_not_in_the_original() -> None:
    sample = RowSample(2, "key")
    sample.add(pa.table({"key": ["c", "d"]}))
    added = sample.copy()
    for _ in range(3):
        added.add(pa.table({"key": ["b", "a"]}))
    assert (sample.rows, sample.table()["key"].to_pylist()) == (2, ["c", "d"])
    assert (added.rows, added.table()["key"].to_pylist()) == (8, ["a", "a"])


@pytest.mark.parametrize("rows", [5, 20, 21, 120])
def test_days_of_the_log_are_sampled_as_if_they_were_read_whole(rows: int, tmp_path: Path) -> None:
    texts = [some_texts(rows, seed=day) for day in range(3)]
    for number, day_texts in enumerate(texts):
        for part, start in enumerate(range(0, rows, 40)):
            table = log_rows(day_texts[start : start + 40], positive=0.5 + 0.1 * number)
            write_log(tmp_path, DAY + timedelta(days=number), table, f"part-{part}")
    window = log_window(tmp_path, DAY, DAY + timedelta(days=2))
    joined = [text for day_texts in texts for text in day_texts]
    positive = np.repeat([0.5, 0.6, 0.7], rows)
    expected = sampled(list(zip(joined, positive, strict=True)), joined)
    assert window.table["text"].tolist() == [text for text, _ in expected]
    assert [row["positive"] for row in window.table["probabilities"]] == pytest.approx([p for _, p in expected])
    assert window.notes == note(3 * rows)
    assert window.rows_by_day == {str(DAY + timedelta(days=number)): rows for number in range(3)}


def test_no_row_of_a_file_that_is_damaged_at_its_end_is_used(tmp_path: Path) -> None:
    write_log(tmp_path, DAY, log_rows(["good"]), "part-0")
    damaged = write_log(tmp_path, DAY, log_rows(["unused"]))
    pq.write_table(log_rows(some_texts(60)), damaged, row_group_size=10)
    last = pq.read_metadata(damaged).row_group(5).column(4)
    content = bytearray(damaged.read_bytes())
    content[last.dictionary_page_offset : last.data_page_offset] = b"\xff" * (
        last.data_page_offset - last.dictionary_page_offset
    )
    damaged.write_bytes(content)
    with pq.ParquetFile(damaged) as file:
        assert file.read_row_group(0).num_rows == 10, "the start of the file can be read"
    window = log_window(tmp_path, DAY, DAY)
    assert window.table["text"].tolist() == ["good"]
    assert window.rows_by_day == {str(DAY): 1}
    (only,) = window.notes
    assert "1 of 2 files of 2026-11-03 are damaged" in only


@pytest.mark.parametrize("is_damaged", [False, True])
def test_days_can_be_merged_once_they_have_been_read(is_damaged: bool, tmp_path: Path) -> None:
    path = write_log(tmp_path, DAY, log_rows(["one"]))
    if is_damaged:
        path.write_bytes(b"PAR1")
    log_window(tmp_path, DAY, date(2026, 11, 4))
    with (tmp_path / ".lock").open("rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)


def write_scored(path: Path, texts: list[str]) -> Path:
    """Write scored rows in the format of the file name, with a quoted line break in each text."""
    table = log_rows([f'{text},\n"quoted"' for text in texts])
    rows = [{**row, "time": "now", "probabilities": dict(row["probabilities"])} for row in table.to_pylist()]
    format_name = path.suffixes[0]
    if format_name == ".parquet":
        pq.write_table(table, path, row_group_size=11)
        return path
    if format_name == ".jsonl":
        content = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    else:
        nested = [{**row, "probabilities": json.dumps(row["probabilities"])} for row in rows]
        content = pd.DataFrame(nested).to_csv(index=False)
    path.write_bytes(gzip.compress(content.encode()) if path.suffix == ".gz" else content.encode())
    return path


SCORED = ["scored.parquet", "scored.jsonl", "scored.csv", "scored.jsonl.gz", "scored.csv.gz"]


@pytest.mark.parametrize("name", SCORED)
@pytest.mark.parametrize("rows", [1, 20, 150])
def test_scored_files_are_sampled_as_if_they_were_read_whole(
    name: str, rows: int, tmp_path: Path, labeled: Params
) -> None:
    texts = some_texts(rows)
    window = file_window(write_scored(tmp_path / name, texts), labeled.data, labeled.validate_)
    written = [f'{text},\n"quoted"' for text in texts]
    assert window.table["text"].tolist() == sampled(written, written)
    assert window.table["text_sha256"].tolist() == [text_sha256(text) for text in window.table["text"]]
    assert window.table["probabilities"].iloc[0] == {"negative": pytest.approx(0.2), "positive": 0.8}
    assert set(window.table["tokens"]) == {3}
    assert set(window.table["version"]) == {3}
    assert window.notes == note(rows)


@pytest.mark.parametrize("name", ["scored.csv", "scored.parquet"])
def test_a_scored_file_without_rows_is_a_window_without_rows(name: str, tmp_path: Path, labeled: Params) -> None:
    path = write_scored(tmp_path / name, ["one"])
    if name.endswith("csv"):
        path.write_text(path.read_text().splitlines()[0] + "\n")
    else:
        pq.write_table(log_rows([]), path)
    assert len(file_window(path, labeled.data, labeled.validate_).table) == 0


def test_numbers_of_a_scored_csv_may_be_missing_and_written_as_decimals(tmp_path: Path, labeled: Params) -> None:
    path = write_scored(tmp_path / "scored.csv", some_texts(50))
    table = pd.read_csv(path)
    table.assign(tokens=table["tokens"].where(table.index != 3)).drop(columns="version").to_csv(path, index=False)
    window = file_window(path, labeled.data, labeled.validate_)
    whole = log_rows(table["text"].tolist()).to_pandas().assign(missing=table.index == 3)
    expected = sampled(whole["missing"].tolist(), whole["text"].tolist())
    assert window.table["tokens"].tolist() == [None if missing else 3 for missing in expected]
    assert window.table["version"].isna().all()


def test_a_line_separator_in_a_text_does_not_end_a_scored_row(tmp_path: Path, labeled: Params) -> None:
    path = write_scored(tmp_path / "scored.jsonl", ["one\u2028two", "three\x85four"])
    table = file_window(path, labeled.data, labeled.validate_).table
    assert table["text"].tolist() == ['one\u2028two,\n"quoted"', 'three\x85four,\n"quoted"']


@pytest.mark.parametrize("name", SCORED)
def test_a_scored_file_that_is_damaged_behind_its_first_batch_is_an_error(
    name: str, tmp_path: Path, labeled: Params
) -> None:
    path = write_scored(tmp_path / name, some_texts(300))
    content = path.read_bytes()
    end = len(content) * 2 // 3
    path.write_bytes(content[: max(end, content.find(b"negative", end))])
    with pytest.raises(DataFileError, match=r"scored\.[a-z.]+ (is damaged|is a gzip file that is cut short)"):
        file_window(path, labeled.data, labeled.validate_)


def labeled_rows(rows: int) -> pd.DataFrame:
    rng = np.random.default_rng(rows)
    texts = np.array(some_texts(rows), dtype=object)
    texts[rng.random(rows) < 0.1] = "  "
    return pd.DataFrame(
        {
            "text": texts,
            "label": rng.choice(["good", "negative", "spam", ""], rows),
            "shop": rng.choice(["a", "b", ""], rows),
            "rating": rng.integers(-2, 3, rows).astype(str),
            "other": "x",
        }
    )


def write_texts(path: Path, table: pd.DataFrame) -> Path:
    """Write texts in the format of the file name."""
    if path.suffix == ".parquet":
        table.to_parquet(path, index=False)
    elif path.suffix == ".jsonl":
        table.to_json(path, orient="records", lines=True)
    else:
        table.to_csv(path, index=False, sep="\t" if ".tsv" in path.name else ",")
    return path


def read_whole(path: Path, params: Params) -> Window:
    """Read a file of texts as it was read before there were batches, and sample it."""
    table = read_labeled_texts(path, present_columns(path, params.data)).table
    notes = []
    if ("rating" if params.validate_.label_from_rating is not None else "label") in table:
        mapped = map_labels(table, fold_label_settings(params.validate_))
        excluded = int(mapped.excluded_by.notna().sum())
        notes += [f"Rows excluded by a labeling rule, as in the pipeline: {excluded}."] if excluded else []
        table = mapped.table[mapped.excluded_by.isna()]
    blank = table["text"].isna() | (table["text"].str.strip() == "")
    notes += [f"Rows without a text, excluded: {blank.sum()}."] if blank.any() else []
    table = table[~blank].drop(columns=["split", "weight"], errors="ignore").reset_index(drop=True)
    table = table.assign(text_sha256=[text_sha256(text) for text in table["text"]])
    chosen = sampled(range(len(table)), table["text"].tolist())
    return Window("", "", "", table.iloc[chosen].reset_index(drop=True), [*notes, *note(len(table))])


@pytest.mark.parametrize("name", ["texts.csv", "texts.tsv", "texts.csv.gz", "texts.jsonl", "texts.parquet"])
@pytest.mark.parametrize("rows", [1, 12, 150])
@pytest.mark.parametrize("columns", [["text"], ["text", "label", "shop"], ["text", "label"]])
def test_files_of_texts_are_sampled_as_if_they_were_read_whole(
    name: str, rows: int, columns: list[str], tmp_path: Path, labeled: Params
) -> None:
    path = write_texts(tmp_path / name, labeled_rows(rows)[columns].assign(other="x"))
    window, whole = file_window(path, labeled.data, labeled.validate_), read_whole(path, labeled)
    pd.testing.assert_frame_equal(window.table, whole.table)
    assert window.notes == whole.notes


def test_ratings_are_sampled_as_if_they_were_read_whole(tmp_path: Path, params: Params) -> None:
    path = write_texts(tmp_path / "rated.csv", labeled_rows(150)[["text", "rating", "shop"]])
    window, whole = file_window(path, params.data, params.validate_), read_whole(path, params)
    pd.testing.assert_frame_equal(window.table, whole.table)
    assert window.notes == whole.notes
    assert len(window.notes) == 3


def test_a_value_that_cannot_be_read_is_counted_in_the_whole_file(tmp_path: Path, params: Params) -> None:
    table = labeled_rows(150)
    table.loc[[30, 90, 149], "rating"] = "many"
    path = write_texts(tmp_path / "rated.csv", table)
    with pytest.raises(DataContractError) as whole:
        read_labeled_texts(path, present_columns(path, params.data))
    with pytest.raises(DataContractError, match=r"data row 31 .* \(3 such rows\)") as error:
        file_window(path, params.data, params.validate_)
    assert str(error.value) == str(whole.value)


def test_a_column_that_only_the_last_line_has_is_read(tmp_path: Path, labeled: Params) -> None:
    lines = [{"text": f"text {row}"} for row in range(15)] + [{"text": "text 15", "label": "good"}]
    path = tmp_path / "texts.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    window = file_window(path, labeled.data, labeled.validate_)
    assert window.table["label"].dropna().tolist() == ["positive"]
    pd.testing.assert_frame_equal(window.table, read_whole(path, labeled).table)


@pytest.mark.parametrize("name", ["texts.csv", "texts.jsonl"])
def test_a_file_without_rows_is_an_error(name: str, tmp_path: Path, labeled: Params) -> None:
    (tmp_path / name).write_text("text\n" if name.endswith("csv") else "\n")
    with pytest.raises(DataFileError, match=r"no rows|is empty"):
        file_window(tmp_path / name, labeled.data, labeled.validate_)


@pytest.mark.parametrize("name", ["own.csv", "own.jsonl", "own.parquet"])
def test_new_labeled_rows_are_counted_as_if_the_file_was_read_whole(name: str, tmp_path: Path, labeled: Params) -> None:
    columns = labeled.data.columns.model_copy(update={"id": None})
    data = labeled.data.model_copy(update={"path": name, "columns": columns})
    params = labeled.model_copy(update={"data": data})
    table = labeled_rows(150)
    write_texts(tmp_path / name, table)
    known = set(table["text"].iloc[:40].map(text_hash))
    used = table[table["label"].isin(["good", "negative"])]
    expected = len(set(used["text"].map(text_hash)) - known)
    assert 0 < expected < 100
    assert count_new_labeled_rows(params, tmp_path, TextHashes.of(known)) == expected
    assert count_new_labeled_rows(params, tmp_path / "missing", TextHashes.of()) == 0


@pytest.mark.parametrize("batch", [1, 9, 1000])
@pytest.mark.parametrize("limit", [5, 60, 1000])
def test_the_reference_is_the_one_of_the_whole_splits(batch: int, limit: int, monitor_config: MonitorConfig) -> None:
    config = monitor_config.model_copy(update={"max_reference_rows": limit, "min_window_rows": 30})
    rng = np.random.default_rng(3)
    table = pd.DataFrame({"text": [f"text {number}" for number in rng.integers(0, 150, 400)], "row": range(400)})
    hashes = table["text"].map(text_hash)
    trained = set(hashes[:25])
    batches = [table[start : start + batch].reset_index(drop=True) for start in range(0, 400, batch)]
    held_out = read_held_out(batches, TextHashes.of(trained), config)
    whole = table.assign(text_hash=hashes)[~hashes.isin(trained)].drop_duplicates("text_hash")
    chosen = np.sort(order_by_hash(whole["text_hash"], config.seed)[:limit])
    pd.testing.assert_frame_equal(held_out.reference.table, whole.iloc[chosen].reset_index(drop=True))
    assert len(held_out.hashes) == hashes.nunique()


def test_too_few_held_out_texts_are_counted_without_repeated_and_trained_ones(monitor_config: MonitorConfig) -> None:
    config = monitor_config.model_copy(update={"max_reference_rows": 10, "min_window_rows": 30})
    table = pd.DataFrame({"text": [f"text {number % 70}" for number in range(200)]})
    trained = TextHashes.of(text_hash(f"text {number}") for number in range(11))
    with pytest.raises(DataContractError, match="has 59 distinct held-out texts; 60 are needed"):
        read_held_out([table[:90], table[90:]], trained, config)


@pytest.fixture
def monitor_config(params: Params) -> MonitorConfig:
    return params.monitor


READ_WINDOW = """
import sys
from datetime import date
from pathlib import Path
from atnet.monitoring.windows import file_window, log_window
from atnet.storage import load_params
params = load_params(Path("params.yaml"))
if sys.argv[1] == "log":
    window = log_window(Path("log"), date(2026, 11, 3), date(2026, 11, 3))
else:
    window = file_window(Path(sys.argv[1]), params.data, params.validate_)
assert len(window.table) == 100_000
assert "100,000 were sampled" in window.notes[0]
"""
READ_HELD_OUT = """
import sys
from pathlib import Path
from atnet.monitoring.reference import read_held_out
from atnet.storage import load_params
from atnet.table_batches import SELECTED_FROM_ROWS, read_batches
from atnet.text_hashes import TextHashes
batches = read_batches(Path(sys.argv[1]), batch_rows=SELECTED_FROM_ROWS)
held_out = read_held_out(batches, TextHashes.of(), load_params(Path("params.yaml")).monitor)
assert len(held_out.reference) < 10_000 < len(held_out.hashes)
"""
COUNT_LABELED = """
from pathlib import Path
from atnet.monitoring.labeled_rows import count_new_labeled_rows
from atnet.storage import load_params
from atnet.text_hashes import TextHashes
assert count_new_labeled_rows(load_params(Path("params.yaml")), Path(), TextHashes.of()) >= 50_000
"""


def large_batch(start: int, rows: int) -> pa.Table:
    """Build rows of the log with different texts of some 300 characters."""
    words = "some words that make a text of the usual length of a short review " * 4
    texts = [f"{number} {words}{number}" for number in range(start, start + rows)]
    first = log_rows(["one"])
    table = first.take(pa.array(np.zeros(rows, np.int64)))
    for name, values in {"text": texts, "text_sha256": [text_sha256(text) for text in texts]}.items():
        table = table.set_column(table.column_names.index(name), name, pa.array(values))
    return table


def write_large(path: Path, rows: int) -> None:
    """Write many rows: a day of the log, or a file in the format of its name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    is_parquet = path.suffix == ".parquet"
    schema = pa.schema([SCHEMA.field("text")]) if path.name == "texts.csv" else SCHEMA
    with contextlib.ExitStack() as stack:
        stream = stack.enter_context(path.open("wb"))
        writer = pq.ParquetWriter(stream, schema, compression="zstd") if is_parquet else CsvRows(stream, schema)
        stack.callback(writer.close)
        for start in range(0, rows, 30_000):
            table = large_batch(start, min(30_000, rows - start)).select(schema.names).combine_chunks()
            for batch in table.to_batches():
                writer.write_batch(batch) if is_parquet else writer.write(batch)


def peak_bytes(folder: Path, code: str, name: str, rows: int) -> int:
    """Read that many rows in a separate process; return its peak memory."""
    write_large(folder / name, rows)
    return measure([sys.executable, "-c", code, name.split("/")[0]], folder).peak_bytes


@pytest.mark.slow
@pytest.mark.parametrize("name", ["log/date=2026-11-03/merged.parquet", "scored.parquet", "scored.csv", "texts.csv"])
def test_the_rows_of_a_large_window_are_not_in_memory(name: str, tmp_path: Path) -> None:
    params_file(tmp_path, LABELED)
    few, many = (peak_bytes(tmp_path, READ_WINDOW, name, rows) for rows in (250_000, 600_000))
    # The texts alone take 100 MB more, and the hashes 20 MB.
    assert many - few < 60e6


@pytest.mark.slow
def test_of_large_held_out_splits_and_data_files_only_hashes_are_in_memory(tmp_path: Path) -> None:
    params_file(tmp_path, LABELED, {"data": {"path": "scored.csv"}, "data.columns": {"id": None}})
    for name, code in (("scored.parquet", READ_HELD_OUT), ("scored.csv", COUNT_LABELED)):
        few, many = (peak_bytes(tmp_path, code, name, rows) for rows in (150_000, 500_000))
        # The texts alone take 100 MB more, and as strings the hashes 40 MB.
        assert many - few < 35e6
