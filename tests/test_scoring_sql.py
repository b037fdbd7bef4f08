"""SQL tables in and out, on real SQLite and real PostgreSQL."""

import sys
from collections.abc import Iterator, Mapping
from datetime import date
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa

from atnet.errors import ConfigurationError, DataContractError, DataFileError, ProcessInterrupted, StoreError
from atnet.scoring import partition_scorer
from atnet.scoring import score as scoring
from atnet.scoring.manifest import ScoringModel
from atnet.scoring.sql_destination import TableWriter
from atnet.scoring.sql_tables import open_table
from tests.postgresql import postgresql
from tests.scoringproject import (
    TEXTS,
    job,
    load_predictor,
    local_model,
    run,
    score_in_process,
    write_csv,
    write_project,
)

DAYS = (date(2026, 11, 1), date(2026, 11, 2), None)


@pytest.fixture(autouse=True)
def _in_process(monkeypatch: pytest.MonkeyPatch) -> None:
    score_in_process(monkeypatch)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> ScoringModel:
    return local_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def newer(tmp_path_factory: pytest.TempPathFactory) -> ScoringModel:
    return local_model(tmp_path_factory.mktemp("newer"), scale=2.0, version=2)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_project(tmp_path)


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with postgresql() as url:
        yield url


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Return an empty database."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/texts.db"
        return
    server = request.getfixturevalue("server")
    engine = open_table(f"{server}::x").engine
    with engine.begin() as connection:
        connection.execute(sa.text("DROP SCHEMA public CASCADE"))
        connection.execute(sa.text("CREATE SCHEMA public"))
    engine.dispose()
    yield server


def query(url: str, statement: str) -> list[tuple[Any, ...]]:
    engine = open_table(f"{url}::x").engine
    with engine.begin() as connection:
        result = connection.execute(sa.text(statement))
        rows = [tuple(row) for row in result] if result.returns_rows else []
    engine.dispose()
    return rows


def write_reviews(url: str, texts: Mapping[int, str | None]) -> None:
    """Write the table `reviews`: an integer key, a day of DAYS in turn, a text."""
    engine = open_table(f"{url}::x").engine
    table = sa.Table(
        "reviews",
        sa.MetaData(),
        sa.Column("key", sa.Integer),
        sa.Column("day", sa.Date),
        sa.Column("review", sa.Text),
    )
    table.drop(engine, checkfirst=True)
    table.create(engine)
    with engine.begin() as connection:
        rows = [{"key": key, "day": DAYS[key % len(DAYS)], "review": text} for key, text in texts.items()]
        connection.execute(table.insert(), rows)
    engine.dispose()


def reviews(count: int) -> dict[int, str | None]:
    # Not in the order of the keys: a table has none.
    return {key: f"{TEXTS[key % len(TEXTS)]}, number {key}" for key in reversed(range(count))}


NAMED = {"id_column": "key", "text_column": "review", "partition_column": "day"}


def test_a_table_is_scored_into_a_table_by_partition(root: Path, model: ScoringModel, url: str) -> None:
    texts = reviews(30)
    write_reviews(url, texts)
    scoring_job = job(root, f"{url}::reviews", f"{url}::scored", **NAMED)
    outcome = run(scoring_job, model)
    assert [(m.partition, m.rows_out) for m in outcome.scored] == [("2026-11-01", 10), ("2026-11-02", 10), ("null", 10)]
    rows = query(url, "SELECT id, label, score, partition, version, model_sha256 FROM scored")
    expected = load_predictor(model).predict(list(texts.values()))
    labels = dict(zip(map(str, texts), expected.predicted, strict=True))
    assert {row[0]: row[1] for row in rows} == labels
    assert len(rows) == 30
    assert {row[3:] for row in rows} == {(p, 1, model.sha256) for p in ("2026-11-01", "2026-11-02", "null")}
    assert run(scoring_job, model).summary() == "nothing to score: 3 partitions up to date"


def test_what_changed_replaces_the_partition_and_nothing_else(root: Path, model: ScoringModel, url: str) -> None:
    write_reviews(url, reviews(30))
    scoring_job = job(root, f"{url}::reviews", f"{url}::scored", **NAMED)
    run(scoring_job, model)
    query(url, "UPDATE reviews SET review = 'awful' WHERE key = 4")
    query(url, "DELETE FROM reviews WHERE key = 7")
    outcome = run(scoring_job, model)
    assert [(m.partition, m.rows_out) for m in outcome.scored] == [("2026-11-02", 9)]
    rows = query(url, "SELECT id, label FROM scored")
    assert len(rows) == len({row[0] for row in rows}) == 29
    assert ("4", "negative") in rows
    assert query(url, "SELECT count(*) FROM scored_manifests") == [(3,)]


def test_rows_of_another_model_stay_beside_the_new_ones(
    root: Path, model: ScoringModel, newer: ScoringModel, url: str
) -> None:
    write_reviews(url, reviews(9))
    run(job(root, f"{url}::reviews", f"{url}::scored", **NAMED), model)
    run(job(root, f"{url}::reviews", f"{url}::scored", **NAMED, stale=True), newer)
    run(job(root, f"{url}::reviews", f"{url}::scored", **NAMED, force=True), newer)
    assert query(url, "SELECT version, count(*) FROM scored GROUP BY version ORDER BY 1") == [(1, 9), (2, 9)]


def test_rejected_rows_go_to_their_own_table(root: Path, model: ScoringModel, url: str) -> None:
    write_reviews(url, {1: "good", 2: None, 3: " ", 4: "bad"})
    run(job(root, f"{url}::reviews", f"{url}::scored", id_column="key", text_column="review"), model)
    assert query(url, "SELECT id, row, reasons FROM scored_rejected ORDER BY id") == [
        ("2", 2, "text_not_null"),
        ("3", 3, "text_not_blank; text_words"),
    ]
    assert query(url, "SELECT id FROM scored ORDER BY id") == [("1",), ("4",)]


def test_a_run_that_is_cut_short_changes_nothing_and_is_done_again(
    root: Path, model: ScoringModel, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_reviews(url, reviews(12))
    scoring_job = job(root, f"{url}::reviews", f"{url}::scored", **NAMED)
    run(scoring_job, model)
    query(url, "UPDATE reviews SET review = 'bad'")

    class Killed(BaseException):
        pass

    def killed(self: TableWriter, manifest: Any) -> None:
        tables = self._tables
        self._connection.execute(tables.scored.delete())
        raise Killed

    with monkeypatch.context() as broken:
        broken.setattr(TableWriter, "commit", killed)
        with pytest.raises(Killed):
            run(scoring_job, model)
    assert query(url, "SELECT count(*) FROM scored") == [(12,)]
    run(scoring_job, model)
    assert query(url, "SELECT label, count(*) FROM scored GROUP BY label") == [("negative", 12)]
    # Rows that someone deleted are noticed.
    query(url, "DELETE FROM scored WHERE id = '5'")
    assert [m.rows_out for m in run(scoring_job, model).scored] == [4]


def test_a_table_goes_to_files_and_files_to_a_table(root: Path, model: ScoringModel, url: str) -> None:
    write_reviews(url, reviews(30))
    run(job(root, f"{url}::reviews", "by_day", **NAMED), model)
    files = sorted(path.name for path in (root / "by_day").glob("[!_]*"))
    assert files == ["2026-11-01.parquet", "2026-11-02.parquet", "null.parquet"]
    assert pq.read_table(root / "by_day" / "2026-11-02.parquet")["id"].to_pylist() == [
        *("1", "4", "7", "10", "13", "16", "19", "22", "25", "28")
    ]
    run(job(root, f"{url}::reviews", "all.csv", id_column="key", text_column="review"), model)
    assert pd.read_csv(root / "all.csv")["id"].tolist() == list(range(30))
    ids = write_csv(root / "in" / "2026-11-04.csv", 7) + write_csv(root / "in" / "2026-11-05.csv", 5)
    run(job(root, "in", f"{url}::scored", explain=1), model)
    rows = query(url, "SELECT partition, id, row FROM scored ORDER BY partition, row")
    assert [row[1] for row in rows] == ids
    assert {row[0] for row in rows} == {"2026-11-04.csv", "2026-11-05.csv"}


def test_nested_columns_are_json_and_any_text_can_be_written(root: Path, model: ScoringModel, url: str) -> None:
    (root / "in.jsonl").write_text(
        '{"id": "a\\tb", "text": "good \\\\ \\"quoted\\"\\nline \\u0000 😀"}\n{"id": "é", "text": "\\u0000\\u0001"}\n'
    )
    run(job(root, "in.jsonl", f"{url}::scored", explain=1, with_text=True), model)
    scored = sa.Table("scored", sa.MetaData(), autoload_with=open_table(f"{url}::x").engine)
    engine = open_table(f"{url}::x").engine
    with engine.connect() as connection:
        (row,) = connection.execute(sa.select(scored)).mappings().all()
    engine.dispose()
    assert row["id"] == "a\tb"
    assert sum(row["probabilities"].values()) == pytest.approx(1)
    assert row["explanation"][0]["word"] == "good"
    assert row["text"].replace("\0", "\ufffd") == 'good \\ "quoted"\nline \ufffd 😀'
    assert len(query(url, "SELECT text FROM scored_rejected")) == 1


def test_partitions_of_the_same_name_from_elsewhere_do_not_replace_each_other(
    root: Path, model: ScoringModel, url: str
) -> None:
    ids = write_csv(root / "january" / "reviews.csv", 4)
    write_csv(root / "february" / "reviews.csv", 6)
    run(job(root, "january", f"{url}::scored"), model)
    with pytest.raises(DataContractError, match=r"has a partition 'reviews.csv' with the texts of january\."):
        run(job(root, "february", f"{url}::scored"), model)
    assert [row[0] for row in query(url, "SELECT id FROM scored ORDER BY row")] == ids
    # However its path is written, it is the same folder.
    assert run(job(root, f"{root}/january/", f"{url}::scored"), model).scored == ()
    run(job(root, "february", f"{url}::scored", force=True), model)
    assert query(url, "SELECT count(*) FROM scored") == [(6,)]


def test_a_range_of_days_of_a_table_is_scored(root: Path, model: ScoringModel, url: str) -> None:
    write_reviews(url, reviews(9))
    days = {"first": date(2026, 11, 2), "last": date(2026, 11, 3)}
    outcome = run(job(root, f"{url}::reviews", f"{url}::scored", **NAMED, **days), model)
    assert [manifest.partition for manifest in outcome.scored] == ["2026-11-02"]
    assert "Without a partition: 1 day of the range, 2026-11-03." in outcome.summary()


def test_an_empty_table_succeeds_with_no_rows(root: Path, model: ScoringModel, url: str) -> None:
    write_reviews(url, reviews(1))
    query(url, "DELETE FROM reviews")
    outcome = run(job(root, f"{url}::reviews", f"{url}::scored", id_column="key", text_column="review"), model)
    assert [manifest.rows_in for manifest in outcome.scored] == [0]
    assert run(job(root, f"{url}::reviews", f"{url}::x2", **NAMED), model).summary() == "nothing to score"


def test_repeated_ids_of_a_table_are_refused(root: Path, model: ScoringModel, url: str) -> None:
    write_reviews(url, reviews(5))
    query(url, "UPDATE reviews SET key = 0 WHERE key < 2")
    failed = run(job(root, f"{url}::reviews", "out.csv", id_column="key", text_column="review"), model).failed
    assert "1 id with more than one row: '0' (rows 1 and 2)" in failed[0].message


def test_what_is_missing_in_a_database_is_named(root: Path, model: ScoringModel, url: str) -> None:
    with pytest.raises(DataFileError, match=r"::reviews does not exist"):
        run(job(root, f"{url}::reviews", "out.csv"), model)
    write_reviews(url, reviews(2))
    with pytest.raises(DataContractError, match=r"has no column 'reviews' .*Did you mean 'review'\?"):
        run(job(root, f"{url}::reviews", "out.csv", id_column="key", text_column="reviews"), model)
    write_csv(root / "in.csv", 2)
    with pytest.raises(DataContractError, match=r"::reviews exists and was not created by `atnet score`"):
        run(job(root, "in.csv", f"{url}::reviews"), model)


def test_asking_for_a_database_that_does_not_exist_does_not_create_it(root: Path, model: ScoringModel) -> None:
    with pytest.raises(DataFileError, match="does not exist"):
        run(job(root, f"sqlite:///{root}/none.db::t", "out.csv"), model)
    assert not (root / "none.db").exists()


def test_a_database_that_does_not_answer_is_reported_without_its_password(root: Path, model: ScoringModel) -> None:
    address = "postgresql://ana:hunter2@127.0.0.1:1/db::t"
    with pytest.raises(StoreError, match=r"postgresql\+psycopg://\*\*\*@127\.0\.0\.1:1/db::t") as failed:
        run(job(root, address, "out.csv"), model)
    assert "hunter2" not in str(failed.value)
    assert "\n" not in str(failed.value)


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("reviews::t", "is not a database URL"),
        ("nosuch://db::t", "is not a database that"),
        ("sqlite:///a.db::", "has no table name"),
        ("env:NO_SUCH_VARIABLE::t", "NO_SUCH_VARIABLE is not set"),
    ],
)
def test_an_address_that_cannot_be_used_is_explained(root: Path, address: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        open_table(address)


def test_a_database_can_be_named_by_a_variable(
    root: Path, model: ScoringModel, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_reviews(url, reviews(3))
    monkeypatch.setenv("REVIEWS_DB", url)
    run(job(root, "env:REVIEWS_DB::reviews", "out.csv", id_column="key", text_column="review"), model)
    assert len(pd.read_csv(root / "out.csv")) == 3


def test_a_missing_driver_is_named_with_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(ConfigurationError, match=r"psycopg is not installed\. .*pip install 'psycopg\[binary\]'"):
        open_table("postgresql://ana@db/reviews::t")


def test_files_have_no_partition_column(root: Path) -> None:
    write_csv(root / "in.csv", 2)
    with pytest.raises(ConfigurationError, match="--partition-column is for SQL tables"):
        scoring.find_pending(job(root, "in.csv", "out.csv", partition_column="day"), model_sha256=None)


def test_a_killed_process_is_no_fault_of_a_partition(
    root: Path, model: ScoringModel, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_reviews(url, reviews(3))

    def fail(*_: object, **__: object) -> None:
        raise ProcessInterrupted("killed")

    monkeypatch.setattr(partition_scorer, "write_result", fail)
    with pytest.raises(ProcessInterrupted):
        run(job(root, f"{url}::reviews", f"{url}::scored", id_column="key", text_column="review"), model)
