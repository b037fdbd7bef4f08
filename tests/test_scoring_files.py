"""Scoring files: formats, order, rejected rows, columns, ids."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from atnet.errors import ConfigurationError, DataFileError
from atnet.scoring.manifest import ScoringModel
from atnet.scoring.score import find_pending
from tests.scoringproject import (
    NOW,
    TEXTS,
    job,
    load_predictor,
    local_model,
    run,
    score_in_process,
    write_csv,
    write_project,
)


@pytest.fixture(autouse=True)
def _in_process(monkeypatch: pytest.MonkeyPatch) -> None:
    score_in_process(monkeypatch)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_project(tmp_path)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> ScoringModel:
    return local_model(tmp_path_factory.mktemp("model"))


def read(path: Path) -> pd.DataFrame:
    """Read an output with nested columns as dictionaries and lists."""
    name = path.name.removesuffix(".gz")
    if name.endswith(".parquet"):
        table = pq.read_table(path).to_pandas()
        table["probabilities"] = [None if pairs is None else dict(pairs) for pairs in table["probabilities"]]
        return table
    if name.endswith(".jsonl"):
        text = (gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()).decode()
        return pd.DataFrame([json.loads(line) for line in text.splitlines()])
    table = pd.read_csv(path, keep_default_na=False, na_values=[""])
    table["probabilities"] = [json.loads(value) for value in table["probabilities"]]
    return table


def rejected(path: Path) -> list[dict[str, Any]]:
    lines = path.with_name(f"_{path.name}.rejected.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def manifest(path: Path) -> dict[str, Any]:
    values: dict[str, Any] = json.loads(path.with_name(f"_{path.name}.manifest.json").read_text(encoding="utf-8"))
    return values


def _csv(path: Path, table: pd.DataFrame) -> None:
    table.to_csv(path, index=False)


def _tsv_gz(path: Path, table: pd.DataFrame) -> None:
    table.to_csv(path, index=False, sep="\t")


def _jsonl(path: Path, table: pd.DataFrame) -> None:
    table.to_json(path, orient="records", lines=True, force_ascii=False)


def _parquet(path: Path, table: pd.DataFrame) -> None:
    table.to_parquet(path, index=False)


@pytest.mark.parametrize(
    ("name", "write", "output"),
    [
        ("in.csv", _csv, "out.parquet"),
        ("in.tsv.gz", _tsv_gz, "out.csv"),
        ("in.jsonl", _jsonl, "out.jsonl"),
        ("in.parquet", _parquet, "out.csv.gz"),
        ("in.csv", _csv, "out.jsonl.gz"),
    ],
)
def test_every_format_goes_in_and_comes_out(
    root: Path, model: ScoringModel, name: str, write: Callable[[Path, pd.DataFrame], None], output: str
) -> None:
    texts = [*TEXTS, "ação boa, 'good' \"quoted\"\nand broken", "مرحبا good 😀"]
    write(root / name, pd.DataFrame({"id": [f"é{row}" for row in range(len(texts))], "text": texts}))
    run(job(root, name, output, with_text=True), model)
    scored = read(root / output)
    assert scored["text"].tolist() == texts
    expected = load_predictor(model).predict(texts)
    assert scored["id"].tolist() == [f"é{row}" for row in range(len(texts))]
    assert scored["label"].tolist() == expected.predicted
    assert scored["score"].to_numpy() == pytest.approx(expected.scores, abs=1e-12)
    assert [list(row.values()) for row in scored["probabilities"]] == [
        pytest.approx(row, abs=1e-12) for row in expected.probabilities.tolist()
    ]


def test_the_output_has_the_columns_of_the_prediction_log(root: Path, model: ScoringModel) -> None:
    write_csv(root / "in.csv", 6)
    run(job(root, "in.csv", "out.parquet"), model)
    table = pq.read_table(root / "out.parquet")
    assert table.schema.names == [
        *("id", "label", "score", "probabilities", "version", "model_sha256", "row", "time"),
        *("text_sha256", "text", "tokens", "unknown_word_share"),
    ]
    first = table.to_pylist()[0]
    assert (first["row"], first["version"], first["model_sha256"], first["time"]) == (1, 1, model.sha256, NOW)
    assert first["text"] is None
    # "a good film, number 0": only "good" is a word of the model.
    assert (first["tokens"], first["unknown_word_share"]) == (6, pytest.approx(5 / 6))
    run(job(root, "in.csv", "with.parquet", with_text=True), model)
    assert pq.read_table(root / "with.parquet")["text"][0].as_py() == "a good film, number 0"


def test_rows_that_fail_a_check_are_set_aside_with_the_reason(root: Path, model: ScoringModel) -> None:
    texts = ["good", None, "bad", "   ", "x" * 20_001, "fine", "\x00\x01\x02 bad", "\ufffd\ufffd"]
    _parquet(root / "in.parquet", pd.DataFrame({"id": [f"r{row}" for row in range(8)], "text": texts}))
    outcome = run(job(root, "in.parquet", "out.parquet"), model)
    scored = read(root / "out.parquet")
    assert scored["id"].tolist() == ["r0", "r2", "r5"]
    assert scored["row"].tolist() == [1, 3, 6]
    rejections = rejected(root / "out.parquet")
    assert [(row["row"], row["id"], row["text"]) for row in rejections] == [
        (number + 1, f"r{number}", texts[number]) for number in (1, 3, 4, 6, 7)
    ]
    assert [row["reasons"] for row in rejections] == [
        "text_not_null",
        "text_not_blank; text_words",
        "text_characters",
        "nonprinting_characters",
        "replacement_characters",
    ]
    counted = manifest(root / "out.parquet")
    assert (counted["rows_in"], counted["rows_out"], counted["rows_rejected"]) == (8, 3, 5)
    assert counted["rejected_by_reason"]["text_not_null"] == 1
    assert "5 rows rejected (" in outcome.summary()


def test_rejected_rows_can_stay_in_the_output_without_a_label(root: Path, model: ScoringModel) -> None:
    _jsonl(root / "in.jsonl", pd.DataFrame({"id": ["a", "b", "c"], "text": ["good", "", "bad"]}))
    run(job(root, "in.jsonl", "out.parquet", keep_rejected=True), model)
    scored = read(root / "out.parquet")
    assert scored["id"].tolist() == ["a", "b", "c"]
    assert scored["label"].dropna().tolist() == ["positive", "negative"]
    assert np.isnan(scored["score"][1])
    assert scored["probabilities"][1] is None
    assert [row["id"] for row in rejected(root / "out.parquet")] == ["b"]
    counted = manifest(root / "out.parquet")
    assert (counted["rows_in"], counted["rows_out"], counted["rows_rejected"]) == (3, 3, 1)


def test_rejected_rows_of_an_earlier_run_do_not_stay(root: Path, model: ScoringModel) -> None:
    (root / "in.csv").write_text("id,text\na,\n")
    run(job(root, "in.csv", "out.csv"), model)
    assert len(rejected(root / "out.csv")) == 1
    (root / "in.csv").write_text("id,text\na,good\n")
    run(job(root, "in.csv", "out.csv"), model)
    assert not (root / "_out.csv.rejected.jsonl").exists()


def test_the_strongest_words_are_added_on_request(root: Path, model: ScoringModel) -> None:
    _csv(root / "in.csv", pd.DataFrame({"id": ["a", "b"], "text": ["Good, bad, awful", "x"]}))
    run(job(root, "in.csv", "out.parquet", explain=2), model)
    explained = pq.read_table(root / "out.parquet")["explanation"].to_pylist()
    assert [(word["word"], word["start"], word["end"]) for word in explained[0]] == [("awful", 11, 16), ("Good", 0, 4)]
    assert [word["contribution"] for word in explained[0]] == pytest.approx([4, -2])
    run(job(root, "in.csv", "out.csv", explain=1), model)
    explanations = pd.read_csv(root / "out.csv")["explanation"].map(json.loads)
    assert [word["word"] for word in explanations[0]] == ["awful"]


@pytest.mark.parametrize("content", ["", "\n\n", "id,text\n", "\ufeffid,text"])
@pytest.mark.parametrize("output", ["out.parquet", "out.csv", "out.jsonl"])
def test_an_empty_partition_succeeds_with_no_rows(root: Path, model: ScoringModel, content: str, output: str) -> None:
    (root / "in.csv").write_text(content, encoding="utf-8")
    outcome = run(job(root, "in.csv", output), model)
    assert not outcome.failed
    assert manifest(root / output)["rows_out"] == 0
    if output == "out.parquet":
        assert pq.read_table(root / output).num_rows == 0
    if output == "out.csv":
        assert (root / output).read_text().startswith('"id","label"')
    assert run(job(root, "in.csv", output), model).scored == ()


def test_an_input_without_ids_is_numbered_on_request(root: Path, model: ScoringModel) -> None:
    (root / "in.csv").write_text("text\ngood\nbad\n")
    failed = run(job(root, "in.csv", "out.csv"), model).failed
    assert "in.csv has no column 'id'" in failed[0].message
    assert "--number-rows" in failed[0].message
    run(job(root, "in.csv", "out.csv", number_rows=True), model)
    assert pd.read_csv(root / "out.csv")["id"].tolist() == ["row-000001", "row-000002"]


def test_other_columns_can_be_named(root: Path, model: ScoringModel) -> None:
    _csv(root / "in.csv", pd.DataFrame({"key": [7, 8], "id": ["a", "a"], "review": ["good", "bad"]}))
    run(job(root, "in.csv", "out.csv", text_column="review", id_column="key"), model)
    assert pd.read_csv(root / "out.csv")["id"].tolist() == [7, 8]


@pytest.mark.parametrize("name", ["out", "out.txt", "out.parquet.gz", "out.xlsx", "out.gz"])
def test_an_output_of_an_unknown_format_is_refused(root: Path, model: ScoringModel, name: str) -> None:
    write_csv(root / "in.csv", 2)
    with pytest.raises(ConfigurationError, match=r"must end in \.parquet, \.csv"):
        run(job(root, "in.csv", name), model)


@pytest.mark.parametrize("target", ["in.csv/out.csv", "/proc/out.csv", "/proc/folder/out.csv"])
def test_an_output_that_cannot_be_written_is_refused_before_the_model_is_fetched(root: Path, target: str) -> None:
    write_csv(root / "in.csv", 2)
    with pytest.raises(ConfigurationError, match=rf"{target} cannot be written: .* Choose another path\."):
        find_pending(job(root, "in.csv", target), model_sha256=None)


def test_links_that_point_at_each_other_are_no_input(root: Path) -> None:
    (root / "loop.csv").symlink_to("loop.csv")
    with pytest.raises(DataFileError, match=r"loop\.csv does not exist. Check the path"):
        find_pending(job(root, "loop.csv", "out.csv"), model_sha256=None)


@pytest.mark.parametrize(("source", "target", "name"), [("", "out.csv", "INPUT"), ("in.csv", " ", "OUTPUT")])
def test_an_empty_path_is_not_the_project_folder(root: Path, source: str, target: str, name: str) -> None:
    write_csv(root / "in.csv", 2)
    with pytest.raises(ConfigurationError, match=f"{name} is empty. Give the path"):
        find_pending(job(root, source, target), model_sha256=None)


def test_the_input_is_never_the_output(root: Path, model: ScoringModel) -> None:
    write_csv(root / "in.csv", 2)
    with pytest.raises(ConfigurationError, match="is the input"):
        run(job(root, "in.csv", "./in.csv"), model)
    write_csv(root / "in" / "a.csv", 2)
    with pytest.raises(ConfigurationError, match="is inside"):
        run(job(root, "in", "in/scored"), model)


def test_a_broken_file_fails_before_anything_is_scored(root: Path, model: ScoringModel) -> None:
    rows = write_csv(root / "in.csv", 5000)
    with (root / "in.csv").open("a") as file:
        file.write("too,many,values,here\n")
    (failure,) = run(job(root, "in.csv", "out.csv"), model).failed
    assert f"data row {len(rows) + 1:,} has 4 values" in failure.message
    assert [path.name for path in root.iterdir() if "out" in path.name] == []
