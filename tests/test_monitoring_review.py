"""The review list: which rows are listed, how the filled list is checked and merged into the data."""

import gzip
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from atnet.cli.app import command_line
from atnet.errors import DataFileError, MonitoringError
from atnet.monitoring import review
from atnet.monitoring.monitor import MonitorRequest, monitor
from atnet.monitoring.raw_rows import read_raw, write_raw
from atnet.monitoring.review import merge_file, write_list
from atnet.monitoring.review_file import read_review, write_review
from atnet.monitoring.review_list import (
    COLUMNS,
    DISAGREEMENT,
    DRIFT,
    ISSUE_COLUMNS,
    LABEL_ISSUE,
    LEAST_CERTAIN,
    ReviewCandidates,
    select_rows,
)
from atnet.monitoring.review_merge import merge_review
from atnet.schema import text_hash
from atnet.text_hashes import TextHashes
from tests.monitoredproject import NOW, MonitoredProject, make_monitored_project, new_texts
from tests.settings import LABELED, params_with

LABELS = ("negative", "positive")


def candidates(rows: int, *, challenger: bool = True, seed: int = 0) -> ReviewCandidates:
    rng = np.random.default_rng(seed)
    texts = [f"text number {row}" for row in range(rows)]
    probabilities, other = (rng.beta(2, 2, rows) for _ in range(2))
    table = pd.DataFrame(
        {"text": texts, "text_hash": [text_hash(text) for text in texts], "predicted": "positive", "source": "window"}
    )
    return ReviewCandidates(
        table=table,
        probabilities=np.stack([1 - probabilities, probabilities], axis=1),
        drift_scores=rng.normal(size=rows),
        challenger=np.stack([1 - other, other], axis=1) if challenger else None,
    )


def issues(count: int) -> pd.DataFrame:
    texts = [f"old text {row}" for row in range(count)]
    rows = [
        (f"old-{row}", text, text_hash(text), "positive", "negative", 0.01 * row, "train")
        for row, text in enumerate(texts)
    ]
    return pd.DataFrame(rows, columns=list(ISSUE_COLUMNS))


def select(texts: ReviewCandidates, old: pd.DataFrame, **options: Any) -> pd.DataFrame:
    return select_rows(texts, old, **{"rows": 40, "issue_fraction": 0.25, "known": TextHashes.of(), **options})


def test_every_reason_has_its_share_and_no_text_is_listed_twice() -> None:
    listed = select(candidates(200), issues(30))
    assert len(listed) == 40
    assert listed["text_hash"].is_unique
    counts = listed["reason"].value_counts().to_dict()
    assert counts == {DISAGREEMENT: 10, LEAST_CERTAIN: 10, DRIFT: 10, LABEL_ISSUE: 10}


def test_each_reason_takes_its_strongest_texts_first() -> None:
    texts = candidates(200, challenger=False)
    listed = select(texts, issues(0), rows=20)
    assert set(listed["reason"]) == {LEAST_CERTAIN, DRIFT}
    hashes = texts.table["text_hash"].tolist()
    assert listed["text_hash"].iloc[0] == hashes[np.abs(texts.probabilities[:, 0] - 0.5).argmin()]
    assert listed["text_hash"].iloc[1] == hashes[texts.drift_scores.argmax()]


def test_disagreements_are_texts_for_which_the_models_predict_different_labels() -> None:
    texts = candidates(100)
    assert texts.challenger is not None
    listed = select(texts, issues(0))
    rows = texts.table["text_hash"].isin(listed.loc[listed["reason"] == DISAGREEMENT, "text_hash"])
    assert (texts.challenger[rows].argmax(axis=1) != texts.probabilities[rows].argmax(axis=1)).all()


def test_texts_that_have_a_label_are_not_listed() -> None:
    texts = candidates(60)
    known = set(texts.table["text_hash"].iloc[:55])
    listed = select(texts, issues(0), known=TextHashes.of(known))
    assert len(listed) == 5
    assert not set(listed["text_hash"]) & known


def test_rows_that_one_kind_lacks_go_to_the_other() -> None:
    assert len(select(candidates(5), issues(50))) == 40
    assert len(select(candidates(200), issues(2))) == 40
    assert select(candidates(0), issues(0)).empty
    assert list(select(candidates(0), issues(0)).columns) == list(COLUMNS)


def listed_rows(texts: list[str]) -> pd.DataFrame:
    rows = [
        (f"review-{text_hash(text)}", text, text_hash(text), DRIFT, "positive", 0.6, "", "window") for text in texts
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS))


TEXTS = ["=SUM(A1)", 'she said "no", twice', "two\nlines", "ção ótima", "plain"]


@pytest.fixture
def listed() -> pd.DataFrame:
    return listed_rows(TEXTS)


def filled(path: Path, listed: pd.DataFrame, labels: list[str]) -> pd.DataFrame:
    write_review(path, listed)
    table = pd.read_csv(path, dtype=str, keep_default_na=False)
    assert (table["label"] == "").all()
    assert list(table.columns[:3]) == ["id", "label", "text"]
    return table.assign(label=labels)


def test_a_filled_list_is_read_and_empty_labels_are_skipped(tmp_path: Path, listed: pd.DataFrame) -> None:
    path = tmp_path / "list.csv"
    filled(path, listed, ["positive", " negative ", "", "positive", ""]).to_csv(path, index=False)
    filled_review = read_review(path, listed, LABELS, allow_new=False)
    assert list(filled_review.labels.values()) == ["positive", "negative", "positive"]
    assert filled_review.skipped == 2


@pytest.mark.parametrize("separator", [";", "\t"])
def test_a_list_saved_with_another_separator_is_read(separator: str, tmp_path: Path, listed: pd.DataFrame) -> None:
    path = tmp_path / "list.csv"
    filled(path, listed, ["positive"] * 5).to_csv(path, index=False, sep=separator, encoding="utf-8-sig")
    assert len(read_review(path, listed, LABELS, allow_new=False).labels) == 5


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"id,text\n1,good\n", "has no column 'label'"), (b"id,label,text\n1,positive,caf\xe9\n", "is not utf-8")],
)
def test_a_file_that_is_no_review_list_is_refused_without_advice_for_the_data_file(
    content: bytes, reason: str, tmp_path: Path, listed: pd.DataFrame
) -> None:
    (tmp_path / "list.csv").write_bytes(content)
    with pytest.raises(DataFileError, match=rf"{reason}.*\. Give a list that `atnet review` wrote, saved as") as error:
        read_review(tmp_path / "list.csv", listed, LABELS, allow_new=False)
    assert "params.yaml" not in str(error.value)


def test_all_problems_are_named_at_once(tmp_path: Path, listed: pd.DataFrame) -> None:
    path = tmp_path / "list.csv"
    table = filled(path, listed, ["positive", "neutral", "positive", "negative", "negative"])
    table.loc[2, "text"] = "another text"
    table.loc[4, "id"] = "shared_project-up"
    pd.concat([table, table.iloc[[0]]]).to_csv(path, index=False)
    with pytest.raises(MonitoringError) as caught:
        read_review(path, listed, LABELS, allow_new=False)
    message = str(caught.value)
    assert "ids that are on no list: 1 ('shared_project-up')" in message
    assert f"repeated ids: 1 ({table['id'][0]!r})" in message
    assert f"changed texts: 1 ({table['id'][2]!r})" in message
    assert "unknown labels: 1 ('neutral'; known: negative, positive; --new-labels accepts others)" in message
    assert "was not merged" in message


def test_new_labels_are_accepted_on_request(tmp_path: Path, listed: pd.DataFrame) -> None:
    path = tmp_path / "list.csv"
    filled(path, listed, ["neutral"] * 5).to_csv(path, index=False)
    assert set(read_review(path, listed, LABELS, allow_new=True).labels.values()) == {"neutral"}


ROWS = pd.DataFrame(
    {
        "id": ["a", "b", "c"],
        "text": ["plain", "=old", "x"],
        "label": ["negative", "positive", "positive"],
        "note": ["1", "", "zwei"],
    }
)


def write_data(path: Path) -> None:
    if ".parquet" in path.name:
        ROWS.assign(note=[1.5, None, 2.0]).to_parquet(path, index=False)
        return
    if ".jsonl" in path.name:
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in ROWS.to_dict("records"))
    else:
        text = ROWS.to_csv(index=False, sep=";" if "semicolon" in path.name else ",", lineterminator="\n")
    content = text.encode()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)


@pytest.mark.parametrize("name", ["rows.csv", "semicolon.csv", "rows.csv.gz", "rows.jsonl", "rows.parquet"])
def test_a_data_file_keeps_its_format_its_other_columns_and_its_other_rows(
    name: str, tmp_path: Path, listed: pd.DataFrame
) -> None:
    params = params_with(LABELED)
    path = tmp_path / name
    write_data(path)
    raw = read_raw(path, params.data)
    plain, formula = f"review-{text_hash('plain')}", f"review-{text_hash('=SUM(A1)')}"
    merged = merge_review(raw, {plain: "positive", formula: "negative"}, listed, params.data.columns, params.validate_)
    assert (merged.added, merged.corrected, merged.confirmed) == (1, 1, 0)
    write_raw(path, raw, merged.rows)
    again = read_raw(path, params.data)
    assert again.columns == raw.columns
    assert again.rows[1:3] == raw.rows[1:3]
    assert again.rows[0] == {**raw.rows[0], "label": "positive"}
    assert (again.rows[3]["id"], again.rows[3]["text"], again.rows[3]["label"]) == (formula, "=SUM(A1)", "negative")
    repeated = merge_review(
        again, {plain: "positive", formula: "negative"}, listed, params.data.columns, params.validate_
    )
    assert (repeated.added, repeated.corrected, repeated.confirmed) == (0, 0, 2)
    assert repeated.rows == again.rows


def test_labels_from_ratings_are_written_as_the_median_rating(tmp_path: Path, listed: pd.DataFrame) -> None:
    params = params_with({"data.columns": {"slices": []}})
    path = tmp_path / "rated.csv"
    pd.DataFrame({"id": ["a", "b", "c"], "text": ["plain", "u", "v"], "rating": [-1.0, 2.0, 3.0]}).to_csv(
        path, index=False
    )
    raw = read_raw(path, params.data)
    labels = {listed["id"][4]: "positive", listed["id"][0]: "negative"}
    merged = merge_review(raw, labels, listed, params.data.columns, params.validate_)
    assert [row["rating"] for row in merged.rows] == ["2", "2.0", "3.0", "-2"]
    confirmed = merge_review(raw, {listed["id"][4]: "negative"}, listed, params.data.columns, params.validate_)
    assert (confirmed.confirmed, confirmed.rows[0]["rating"]) == (1, "-1.0")
    with pytest.raises(MonitoringError, match="derives only positive and negative"):
        merge_review(raw, {listed["id"][0]: "neutral"}, listed, params.data.columns, params.validate_)


def test_new_rows_of_an_official_split_go_to_training(tmp_path: Path, listed: pd.DataFrame) -> None:
    params = params_with(LABELED, {"data.columns": {"split": "part", "slices": ["shop"]}})
    path = tmp_path / "rows.csv"
    pd.DataFrame({"id": ["a"], "text": ["b"], "label": ["negative"], "part": ["test"], "shop": ["s"]}).to_csv(
        path, index=False
    )
    raw = read_raw(path, params.data)
    rows = listed.assign(shop=["north", None, "x", "y", "z"])
    merged = merge_review(
        raw, {rows["id"][0]: "positive", rows["id"][1]: "positive"}, rows, params.data.columns, params.validate_
    )
    assert [(row["part"], row["shop"]) for row in merged.rows] == [("test", "s"), ("train", "north"), ("train", "")]


@pytest.fixture(scope="module")
def shared_project(
    tmp_path_factory: pytest.TempPathFactory, empty_store: Path, dvc_installed: None
) -> MonitoredProject:
    """Create a project whose newest window has drifted, with a challenger and its data tracked by DVC."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        root = tmp_path_factory.mktemp("reviewed")
        project = make_monitored_project(root, empty_store)
        project.release_challenger()
        dvc(root, "init", "--no-scm")
        dvc(root, "add", project.params.data.path)
        list(monitor(project.params, root, MonitorRequest(project.window("texts", new_texts(70, 1))), now=NOW))
    return project


@pytest.fixture
def project(shared_project: MonitoredProject, monkeypatch: pytest.MonkeyPatch) -> Iterator[MonitoredProject]:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(shared_project.root)
    data = shared_project.root / shared_project.params.data.path
    before, tracked = data.read_bytes(), Path(f"{data}.dvc").read_bytes()
    yield shared_project
    data.unlink()
    data.write_bytes(before)
    Path(f"{data}.dvc").write_bytes(tracked)
    shutil.rmtree(shared_project.folder / review.LISTS, ignore_errors=True)


def dvc(root: Path, *arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "dvc", *arguments], cwd=root, check=True, capture_output=True)


def fill(path: Path, label: str = "positive", rows: int = 10) -> pd.DataFrame:
    table = pd.read_csv(path, dtype=str, keep_default_na=False)
    table.loc[table.index[:rows], "label"] = label
    table.to_csv(path, index=False)
    return table


@pytest.mark.slow
def test_a_list_is_written_filled_in_and_merged_into_a_new_data_version(project: MonitoredProject) -> None:
    data = project.root / project.params.data.path
    before, tracked = len(pd.read_csv(data)), Path(f"{data}.dvc").read_text()
    written = CliRunner().invoke(command_line("review"), ["review", "--rows", "40"])
    assert written.exit_code == 0, written.output
    (path,) = (project.folder / review.LISTS).glob("*.csv")
    table = fill(path)
    assert set(table["reason"]) == {DISAGREEMENT, LEAST_CERTAIN, DRIFT, LABEL_ISSUE}
    merged = CliRunner().invoke(command_line("review"), ["review", "--read", str(path)])
    assert merged.exit_code == 0, merged.output
    assert "30 left empty" in merged.output
    rows = pd.read_csv(data)
    added = rows[rows["id"].str.startswith("review-")]
    assert len(rows) == before + len(added)
    assert set(added["label"]) == {"positive"}
    now = Path(f"{data}.dvc").read_text()
    assert now != tracked
    assert next(line for line in now.splitlines() if "md5" in line).split()[-1] in merged.output
    again = CliRunner().invoke(command_line("review"), ["review", "--read", str(path)])
    assert "0 rows added, 0 labels corrected, 10 unchanged" in again.output
    assert Path(f"{data}.dvc").read_text() == now


@pytest.mark.slow
def test_a_list_with_problems_changes_nothing(project: MonitoredProject) -> None:
    written = write_list(project.params, project.root, rows=20, output=None, now=NOW)
    table = fill(written.path)
    table.loc[3, "id"] = "unknown"
    table.to_csv(written.path, index=False)
    data = project.root / project.params.data.path
    before = data.read_bytes(), Path(f"{data}.dvc").read_bytes()
    with pytest.raises(MonitoringError, match="on no list"):
        merge_file(project.params, project.root, written.path)
    assert (data.read_bytes(), Path(f"{data}.dvc").read_bytes()) == before


@pytest.mark.slow
def test_reading_again_completes_a_review_that_was_killed_before_dvc(
    project: MonitoredProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = write_list(project.params, project.root, rows=20, output=None, now=NOW)
    fill(written.path)
    data = Path(f"{project.root / project.params.data.path}.dvc")
    tracked = data.read_text()
    with monkeypatch.context() as patch:
        patch.setattr(review, "track_data", _killed)
        with pytest.raises(KeyboardInterrupt):
            merge_file(project.params, project.root, written.path)
    assert data.read_text() == tracked
    merged_review = merge_file(project.params, project.root, written.path)
    assert merged_review.merged.added == 0
    assert merged_review.md5 in data.read_text()
    assert data.read_text() != tracked


def _killed(*_: object) -> None:
    raise KeyboardInterrupt


@pytest.mark.slow
def test_reviewed_output_of_a_stage_is_written_to_a_file_of_its_own(project: MonitoredProject) -> None:
    tracked = Path(f"{project.root / project.params.data.path}.dvc")
    tracked.unlink()
    written = write_list(project.params, project.root, rows=20, output=project.root / "mine.csv", now=NOW)
    assert written.path == project.root / "mine.csv"
    fill(written.path, rows=5)
    merged_review = merge_file(project.params, project.root, written.path)
    assert merged_review.moved
    assert merged_review.data == Path("data/reviewed/own.csv")
    fill(written.path, "negative", rows=7)
    second = merge_file(project.params, project.root, written.path)
    assert (
        second.merged.corrected
        == merged_review.merged.added + merged_review.merged.corrected + merged_review.merged.confirmed
    )
    tracked.touch()
    shutil.rmtree(project.root / "data" / "reviewed")


@pytest.mark.slow
def test_imported_data_cannot_be_corrected_here(project: MonitoredProject) -> None:
    written = write_list(project.params, project.root, rows=20, output=None, now=NOW)
    tracked = Path(f"{project.root / project.params.data.path}.dvc")
    tracked.write_text(tracked.read_text() + "deps:\n- path: https://data.example.org/own.csv\n")
    with pytest.raises(MonitoringError, match="is imported"):
        merge_file(project.params, project.root, written.path)


@pytest.mark.slow
def test_without_a_list_the_error_has_the_next_step(project: MonitoredProject) -> None:
    with pytest.raises(MonitoringError, match="Run `atnet review` first"):
        merge_file(project.params, project.root, project.root / "x.csv")
