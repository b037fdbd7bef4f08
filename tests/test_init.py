"""`atnet init` in a project with git and DVC: what it writes, what it prints, what it asks."""

import contextlib
import json
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pandas as pd
import pytest
import yaml

from atnet.cli.init import run_commands
from tests.file_kills import changes_of, files_of, run_killed
from tests.projects import Project, copy_project
from tests.texts import labeled_texts


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory, dvc_installed: None) -> Project:
    project = copy_project(tmp_path_factory.mktemp("template") / "project")
    project.commit()
    return project


@pytest.fixture
def project(template: Project, tmp_path: Path) -> Project:
    return clone(template, tmp_path / "project")


def clone(template: Project, folder: Path) -> Project:
    project = Project(folder)
    template.git("clone", "--quiet", str(template.root), str(project.root))
    return project


ATNET = ("python", "-m", "atnet.cli")


def reviews(path: Path, rows: int = 200) -> Path:
    table = labeled_texts(rows).rename(columns={"text": "texto", "label": "rotulo"})
    table.assign(loja=["Porto", "Évora"] * (rows // 2)).to_csv(path, sep=";", encoding="latin-1", index=False)
    return path


@pytest.mark.slow
def test_with_yes_everything_is_written_added_and_checked(project: Project, tmp_path: Path) -> None:
    before = (project.root / "params.yaml").read_text(encoding="utf-8")
    printed = project.atnet("init", str(reviews(tmp_path / "avaliações.csv")), "--yes")
    after = (project.root / "params.yaml").read_text(encoding="utf-8")
    values = yaml.safe_load(after)

    assert "latin-1, separator ';'" in printed
    assert "check: data/01_raw/avaliações.csv: 200 rows, 2 labels (negative, positive)." in printed
    assert "next, train a model: make pipeline" in printed
    assert values["data"]["columns"] == {
        **{"text": "texto", "label": "rotulo", "id": "id", "split": None, "rating": None, "weight": None},
        "slices": ["loja"],
    }
    assert values["data"]["encoding"] == "latin-1"
    assert {line.partition("#")[2] for line in after.splitlines()} <= {
        line.partition("#")[2] for line in before.splitlines()
    }, "comments stay as they are"
    assert (project.root / "data/01_raw/avaliações.csv.dvc").is_file()
    assert (tmp_path / "avaliações.csv").is_file(), "the user's file stays where it is"
    assert project.atnet("check").startswith("check: data/01_raw/avaliações.csv: 200 rows")


@pytest.mark.slow
def test_killed_before_any_change_and_typed_again_it_leaves_the_same_files(template: Project, tmp_path: Path) -> None:
    command = ("init", str(reviews(tmp_path / "avaliações.csv")), "--yes")
    whole = clone(template, tmp_path / "whole")
    finished = run_killed(whole, 0, *command)
    expected, changes = files_of(whole), changes_of(finished)
    assert {"data/01_raw/avaliações.csv", "data/01_raw/avaliações.csv.dvc"} <= set(expected)
    assert changes >= 4, "the changes are counted"
    for change in range(1, changes + 1):
        project = clone(template, tmp_path / str(change))
        moment = run_killed(project, change, *command).stderr.rpartition("killed ")[2]
        printed = project.atnet(*command)
        assert "avaliações.csv: 200 rows, 2 labels" in printed, moment
        assert files_of(project) == expected, moment


@pytest.mark.slow
def test_without_a_terminal_and_without_yes_nothing_is_written(project: Project, tmp_path: Path) -> None:
    finished = project.run("python", "-m", "atnet.cli", "init", str(reviews(tmp_path / "own.csv")), check=False)

    assert finished.returncode == 1
    assert "Nothing was written. Add --yes" in finished.stdout
    assert project.git("status", "--porcelain") == ""


@pytest.mark.slow
def test_a_file_that_fails_the_checks_ends_with_the_way_back(project: Project, tmp_path: Path) -> None:
    labeled_texts(4).to_csv(tmp_path / "own.csv", index=False)
    finished = project.run(*ATNET, "init", str(tmp_path / "own.csv"), "--label", "label", "--yes", check=False)

    assert finished.returncode == 1
    assert "rows_per_label is 2, allowed at least 8" in finished.stdout
    assert "The settings are in params.yaml nevertheless." in finished.stdout
    project.git("checkout", "params.yaml")
    labeled_texts(60).to_csv(tmp_path / "own.csv", index=False)
    assert "60 rows, 2 labels" in project.atnet("init", str(tmp_path / "own.csv"), "--yes", "--replace")


@pytest.mark.slow
def test_a_file_with_one_label_leaves_the_settings_alone(project: Project, tmp_path: Path) -> None:
    labeled_texts(60).assign(label="good").to_csv(tmp_path / "own.csv", index=False)
    finished = project.run(*ATNET, "init", str(tmp_path / "own.csv"), "--label", "label", "--yes", check=False)

    assert finished.returncode == 1
    assert "column 'label' has only the label 'good'; a classifier needs two" in finished.stdout
    assert project.git("status", "--porcelain") == ""


@pytest.mark.slow
def test_an_open_question_ends_with_the_options_to_type(project: Project, tmp_path: Path) -> None:
    table = labeled_texts(100)
    table.assign(title=table["text"].str.slice(0, 40)).to_csv(tmp_path / "own.csv", index=False)
    command = ("python", "-m", "atnet.cli", "init", str(tmp_path / "own.csv"), "--yes")
    finished = project.run(*command, check=False)

    assert finished.returncode == 1
    assert "2 columns could be the text" in finished.stdout
    assert "  --text text\n  --text title" in finished.stdout
    assert project.git("status", "--porcelain") == ""
    assert "100 rows, 2 labels" in project.run(*command, "--text", "title").stdout


@pytest.mark.slow
def test_a_label_export_becomes_json_lines(project: Project, tmp_path: Path) -> None:
    records = [
        {"id": n, "text": text, "label": [label]}
        for n, (text, label) in enumerate(zip(*labeled_texts(60)[["text", "label"]].T.to_numpy(), strict=True))
    ]
    (tmp_path / "export.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    printed = project.atnet("init", str(tmp_path / "export.jsonl"), "--yes")

    assert "Doccano, 60 labeled texts" in printed
    assert len(pd.read_json(project.root / "data/01_raw/export.jsonl", lines=True)) == 60


@pytest.mark.slow
def test_a_table_of_a_database_is_imported_and_can_be_refreshed(project: Project, tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "shop.sqlite")) as connection:
        labeled_texts(60).to_sql("reviews", connection, index=False)
    printed = project.atnet("init", str(tmp_path / "shop.sqlite"), "--yes")
    assert "data/01_raw/reviews.csv: 60 rows" in printed

    with closing(sqlite3.connect(tmp_path / "shop.sqlite")) as connection:
        labeled_texts(80).to_sql("reviews", connection, index=False, if_exists="replace")
    assert "new data: data/01_raw/reviews.csv.dvc" in project.atnet("refresh")
    assert "80 rows" in project.atnet("check")
    assert "shop.sqlite" not in (project.root / ".dvc/config").read_text(encoding="utf-8")


@pytest.mark.slow
def test_carriage_returns_in_a_database_are_explained(project: Project, tmp_path: Path) -> None:
    table = labeled_texts(60)
    with closing(sqlite3.connect(tmp_path / "shop.sqlite")) as connection:
        table.assign(text=table["text"] + "\rMore.").to_sql("reviews", connection, index=False)
    command = (sys.executable, "-m", "atnet.cli", "init", str(tmp_path / "shop.sqlite"), "--yes")
    finished = project.run(*command, check=False)
    assert finished.returncode == 1
    assert "Replace them in the query" in finished.stdout

    sql = "select replace(text, char(13), ' ') as text, label from reviews"
    assert "60 rows, 2 labels" in project.run(*command, "--sql", sql).stdout


def test_training_runs_in_this_environment_even_if_it_is_not_activated(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", "/usr/bin")
    run_commands([("json.tool", "--help")])
    assert "usage" in capfd.readouterr().out


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
def test_on_a_terminal_it_asks_what_is_open_and_before_it_writes(project: Project, tmp_path: Path) -> None:
    table = labeled_texts(100)
    table.assign(title=table["text"].str.slice(0, 40)).to_csv(tmp_path / "own.csv", index=False)
    command = [sys.executable, "-m", "atnet.cli", "init", str(tmp_path / "own.csv")]
    printed = answer_on_a_terminal(project, command, {"Number": "9", "Number (1 to 2)": "2", "[Y/n]": "y"})

    assert "2 columns could be the text" in printed
    assert "Write these settings to params.yaml?" in printed
    assert "100 rows, 2 labels" in printed
    values = yaml.safe_load((project.root / "params.yaml").read_text(encoding="utf-8"))
    assert values["data"]["columns"]["text"] == "title"


def answer_on_a_terminal(project: Project, command: list[str], answers: dict[str, str]) -> str:
    """Run a command on a pseudo-terminal, answer its questions in order, and return what it printed."""
    ours, theirs = os.openpty()
    process = subprocess.Popen(
        command, cwd=project.root, env=project.environment(), stdin=theirs, stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    printed, waiting, seen = "", list(answers.items()), 0
    # Reading from a terminal that the process has closed fails on Linux.
    with contextlib.suppress(OSError):
        while data := os.read(ours, 4096):
            printed += data.decode(errors="replace")
            if waiting and waiting[0][0] in printed[seen:]:
                seen = len(printed)
                os.write(ours, f"{waiting.pop(0)[1]}\n".encode())
    os.close(ours)
    assert process.wait(timeout=60) == 0, printed
    return printed


@pytest.mark.slow
def test_from_a_file_to_a_model_in_one_command(project: Project, tmp_path: Path) -> None:
    printed = project.atnet("init", str(reviews(tmp_path / "own.csv", rows=400)), "--train")

    assert "macro-F1" in printed
    assert (project.root / "data/08_evaluation/report.html").is_file()
