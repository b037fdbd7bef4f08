"""A project works whatever its folder is called."""

import re
import sys
from pathlib import Path

import pytest

from tests.projects import Project, add_own_data, make_project
from tests.texts import labeled_texts

pytestmark = pytest.mark.slow

NAME = "a b?é#c%41&d"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    project = make_project(tmp_path_factory.mktemp("folder") / NAME)
    add_own_data(project, labeled_texts(300))
    return project


def test_everything_runs_in_a_folder_whose_name_has_special_characters(project: Project) -> None:
    assert "300 rows" in project.atnet("check")
    project.dvc("repro")
    assert "the run is complete" in project.atnet("publish")
    assert "mlflow.db answers" in project.atnet("doctor")
    released = project.run(sys.executable, "-m", "atnet.cli", "release", check=False)
    assert released.returncode in (0, 3), released.stdout
    assert re.search(r"(promoted|rejected)  1 ", project.atnet("history"))
    assert "1 complete" in project.atnet("tune", "--trials", "1")
    assert [path.name for path in project.root.parent.iterdir()] == [NAME], "nothing is written next to the project"


def test_the_training_flow_runs_there(project: Project) -> None:
    assert "training: " in project.run(sys.executable, "-m", "pipelines.training").stdout


def test_the_pages_of_mlflow_are_served_there(project: Project) -> None:
    command = "from atnet.tracking.ui import ui_command; from atnet.storage import load_params\n"
    command += "from pathlib import Path; print(ui_command(load_params().tracking, Path.cwd())[-3])"
    address = project.run(sys.executable, "-c", command).stdout.strip()
    listed = project.run(
        sys.executable,
        "-c",
        f"from mlflow import MlflowClient; print([e.name for e in MlflowClient({address!r}).search_experiments()])",
    ).stdout
    assert "'atnet'" in listed
    assert (Path(project.root) / "mlflow.db").stat().st_size > 0
