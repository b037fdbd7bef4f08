"""The whole pipeline with real DVC and a real MLflow store, on small generated data and on real sets."""

import csv
import io
import json
import shutil
import sqlite3
from pathlib import Path

import pandas as pd
import pytest

from tests.projects import OWN_DATA, Project, add_own_data, change_params, make_project, stages_of, stages_run
from tests.texts import labeled_texts

ROOT = Path(__file__).resolve().parents[1]
STAGES = stages_of(ROOT / "dvc.yaml")
DATED = ("docs",)
"""Outputs that hold dates, and that no later stage reads."""

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Project, str]:
    """Train on own English data with six classes, and return what DVC printed."""
    project = make_project(tmp_path_factory.mktemp("english"))
    add_own_data(project, labeled_texts(900, "en", labels=6))
    output = project.dvc("repro")
    project.commit()
    return project, output


@pytest.fixture
def copy(trained: tuple[Project, str], tmp_path: Path) -> Project:
    """Return a copy of the trained project, cache and stores included, that a test may change."""
    return Project(Path(shutil.copytree(trained[0].root, tmp_path / "copy", symlinks=True)))


def test_own_english_data_with_six_classes_run_to_the_end(trained: tuple[Project, str]) -> None:
    project, output = trained
    assert stages_run(output) == STAGES
    metrics = project.json("data/08_evaluation/metrics.json")
    assert metrics["accuracy"]["value"] > metrics["baselines"]["majority"]["accuracy"] + 0.2
    assert len(json.loads((project.root / "data/04_tokens/labels.json").read_text())) == 6


def test_own_data_fetches_nothing_of_the_default_data(trained: tuple[Project, str]) -> None:
    assert not (trained[0].root / "data" / "01_raw").exists()


def test_an_unchanged_pipeline_runs_nothing(trained: tuple[Project, str]) -> None:
    assert stages_run(trained[0].dvc("repro")) == []


def test_the_summary_shows_rows_scores_and_report(trained: tuple[Project, str]) -> None:
    output = trained[0].atnet("summary")
    assert "900 read" in output
    assert "accuracy" in output
    assert (trained[0].root / "data/08_evaluation/report.html").is_file()
    assert "data/08_evaluation/report.html" in output


def test_publishing_again_changes_nothing(copy: Project) -> None:
    first = copy.atnet("publish")
    assert copy.atnet("publish") == first


def test_metrics_and_plots_are_known_to_dvc(trained: tuple[Project, str]) -> None:
    project, _ = trained
    assert "accuracy" in project.dvc("metrics", "show")
    project.dvc("plots", "show", "--out", "plots")
    assert (project.root / "plots" / "index.html").is_file()
    project.dvc("metrics", "diff", "HEAD")


def test_every_deleted_output_comes_back_from_the_cache(copy: Project) -> None:
    for path in copy.digests():
        target = copy.root / path
        shutil.rmtree(target) if target.is_dir() else target.unlink()
    before = copy.digests()
    # DVC's run cache skips `validate`: its outputs persist, so that it can refuse foreign files first.
    assert stages_run(copy.dvc("repro")) == ["validate"]
    assert copy.digests() == before
    assert all((copy.root / path).exists() for path in before)


def test_twice_from_scratch_gives_the_same_bytes(trained: tuple[Project, str], tmp_path: Path) -> None:
    again = make_project(tmp_path / "again")
    add_own_data(again, labeled_texts(900, "en", labels=6))
    again.dvc("repro")
    first, second = trained[0].digests(), again.digests()
    assert set(first) == set(second)
    assert [path for path in first if first[path] != second[path] and not path.endswith(DATED)] == []


def test_a_second_clone_pulls_everything_and_has_nothing_to_run(copy: Project, tmp_path: Path) -> None:
    copy.dvc("remote", "add", "--default", "team", str(tmp_path / "remote"))
    copy.commit()
    copy.dvc("push")
    copy.git("clone", "--quiet", str(copy.root), str(tmp_path / "clone"))
    clone = Project(tmp_path / "clone")
    # The default data was never fetched here; without the flag DVC brings everything else, but ends with 1.
    clone.dvc("pull", "--allow-missing")
    assert stages_run(clone.dvc("repro")) == []
    assert "up to date" in clone.dvc("status", *STAGES)
    assert "accuracy" in clone.atnet("summary")


def test_an_experiment_with_another_seed_runs_and_is_shown(copy: Project) -> None:
    output = copy.dvc("exp", "run", "--set-param", "train.seed=7")
    assert "train" in stages_run(output)
    assert "split" not in stages_run(output)
    shown = list(csv.DictReader(io.StringIO(copy.dvc("exp", "show", "--csv"))))
    assert "7" in {row["train.seed"] for row in shown}
    assert "13" in {row["train.seed"] for row in shown}


def test_portuguese_data_keeps_its_accents_to_the_end(tmp_path: Path) -> None:
    project = make_project(tmp_path / "portuguese")
    add_own_data(project, labeled_texts(600, "pt"))
    assert stages_run(project.dvc("repro")) == STAGES
    vocabulary = (project.root / "data/04_tokens/tokenizer.json").read_text(encoding="utf-8")
    assert "péssimo" in vocabulary
    metrics = project.json("data/08_evaluation/metrics.json")
    assert metrics["accuracy"]["value"] > 0.7


def _database(path: Path, table: pd.DataFrame) -> None:
    with sqlite3.connect(path) as connection:
        table.to_sql("reviews", connection, index=False, if_exists="append")
    connection.close()


def test_data_come_from_a_database_and_are_refreshed_from_it(tmp_path: Path) -> None:
    table = labeled_texts(400, "en")
    _database(tmp_path / "shop.sqlite", table.head(300))
    project = make_project(tmp_path / "project")
    project.dvc("config", "--local", "db.shop.url", f"sqlite:///{tmp_path / 'shop.sqlite'}")
    project.dvc("import-db", "--sql", "select * from reviews", "--conn", "shop", "--out", OWN_DATA)
    assert stages_run(project.dvc("repro", "split")) == ["validate", "split"]
    assert project.json("data/02_validated/report.json")["rows"]["read"] == 300
    assert "no new data" in project.atnet("refresh")
    _database(tmp_path / "shop.sqlite", table.tail(100))
    assert "new data: data/own.csv.dvc" in project.atnet("refresh")
    project.dvc("repro", "split")
    assert project.json("data/02_validated/report.json")["rows"]["read"] == 400


def test_a_changed_file_of_the_users_own_is_added_again(tmp_path: Path) -> None:
    project = make_project(tmp_path / "project")
    table = labeled_texts(300)
    add_own_data(project, table.head(200))
    assert "no new data" in project.atnet("refresh")
    table.to_csv(project.root / OWN_DATA, index=False)
    assert "new data: data/own.csv.dvc" in project.atnet("refresh")
    assert "no new data" in project.atnet("refresh")


def test_an_import_whose_source_is_gone_is_reported_in_one_message(tmp_path: Path) -> None:
    project = make_project(tmp_path / "project")
    labeled_texts(100).to_csv(tmp_path / "source.csv", index=False)
    project.dvc("import-url", str(tmp_path / "source.csv"), OWN_DATA)
    (tmp_path / "source.csv").unlink()
    output = project.atnet("refresh", check=False)
    assert output.startswith("atnet: `dvc update data/own.csv.dvc` failed:")
    assert "Traceback" not in output


@pytest.mark.parametrize(
    ("name", "columns", "least"),
    [("trec", {"split": "split"}, 0.6), ("toldbr_pt", {}, 0.55)],
)
def test_real_sets_run_to_the_end(
    name: str, columns: dict[str, str], least: float, datasets: Path, tmp_path: Path
) -> None:
    project = make_project(tmp_path / name)
    target = f"data/{name}.csv.gz"
    shutil.copyfile(datasets / f"{name}.csv.gz", project.root / target)
    header = pd.read_csv(project.root / target, nrows=1).columns
    default_columns = {"label": "label", "id": "id" if "id" in header else None, "rating": None, "slices": []}
    change_params(
        project.root / "params.yaml",
        {
            "data": {"path": target},
            "data.columns": {**default_columns, **columns},
            "train": {"batch_size": 64, "epochs": 3},
        },
    )
    project.dvc("add", target)
    project.atnet("check")
    assert stages_run(project.dvc("repro")) == STAGES
    metrics = project.json("data/08_evaluation/metrics.json")
    assert metrics["accuracy"]["value"] > least
