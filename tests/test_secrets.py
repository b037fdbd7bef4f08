"""A password in the store's address reaches no output: not the terminal, the server's database, artifacts or links."""

import csv
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from atnet.config import Params
from atnet.files import EXPECTATIONS
from tests.finishedproject import write_finished_project
from tests.projects import Project, add_own_data, change_params, make_project
from tests.servers import mlflow_server
from tests.texts import labeled_texts

pytestmark = pytest.mark.slow

SECRET = "S3CRET@pa/ss"
ENCODED = "S3CRET%40pa%2Fss"
PARTS = (b"S3CRET", b"pa/ss", b"pa%2Fss")
HOSTILE_LABELS = {"negative": "<img src=x onerror=alert(1)>", "positive": "=HYPERLINK(1)"}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, params: Params) -> Project:
    root = write_finished_project(tmp_path_factory.mktemp("finished"), params)
    project = Project(root)
    # The code comes from the project under test.
    for name in ("src", EXPECTATIONS):
        (root / name).symlink_to(Path(__file__).resolve().parents[1] / name)
    project.git("init", "--quiet")
    return project


def files_with_secret(folder: Path) -> list[str]:
    """List the files below a folder in which a part of the secret can be read."""
    return [
        str(path.relative_to(folder))
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.is_symlink() and any(part in path.read_bytes() for part in PARTS)
    ]


def text_files(folder: Path, suffix: str) -> Iterator[str]:
    for path in sorted(folder.rglob(f"*{suffix}")):
        if path.is_file() and "src" not in path.relative_to(folder).parts:
            yield path.read_text(encoding="utf-8")


def with_credentials(address: str) -> str:
    return address.replace("http://", f"http://alice:{ENCODED}@")


def test_a_password_in_the_environment_is_in_no_output(finished: Project, tmp_path: Path) -> None:
    (tmp_path / "server").mkdir()
    with mlflow_server(tmp_path / "server", finished.environment()) as address:
        variables = {"MLFLOW_TRACKING_URI": with_credentials(address)}
        outputs = [
            finished.run("python", "-m", "atnet.cli", *command, check=command != ("doctor",), **variables).stdout
            for command in (("publish",), ("check",), ("doctor",), ("history",))
        ]
        stage = finished.run("python", "-m", "atnet.stages.publish", **variables).stdout
    printed = "\n".join([*outputs, stage])
    assert not any(part.decode() in printed for part in PARTS)
    assert re.search(rf"publish: .*{re.escape(address)}/#/experiments/\d+/runs/", printed), "the link stays usable"
    assert f"MLFLOW_TRACKING_URI={address.replace('http://', 'http://***@')}" in printed
    assert files_with_secret(tmp_path / "server") == []
    assert files_with_secret(finished.root) == []


def test_a_password_in_params_yaml_is_warned_of_and_uploaded_without_it(finished: Project, tmp_path: Path) -> None:
    (tmp_path / "server").mkdir()
    with mlflow_server(tmp_path / "server", finished.environment()) as address:
        change_params(finished.root / "params.yaml", {"tracking": {"uri": with_credentials(address)}})
        published = finished.atnet("publish")
        checked = finished.atnet("check")
    assert "tracking.uri in params.yaml contains a password" in checked
    assert not any(part.decode() in published + checked for part in PARTS)
    assert files_with_secret(tmp_path / "server") == []
    uploaded = list((tmp_path / "server" / "artifacts").rglob("params.yaml"))
    assert len(uploaded) == 1
    assert "***@" in uploaded[0].read_text(encoding="utf-8")
    assert files_with_secret(finished.root) == ["params.yaml"]


def test_a_server_that_does_not_answer_is_reported_without_its_password(finished: Project) -> None:
    address = with_credentials("http://127.0.0.1:9")
    done = finished.run("python", "-m", "atnet.cli", "publish", check=False, MLFLOW_TRACKING_URI=address)
    assert done.returncode == 1
    assert "http://***@127.0.0.1:9" in done.stdout
    assert "Traceback" not in done.stdout
    assert not any(part.decode() in done.stdout for part in PARTS)


def test_a_full_run_writes_neither_the_secret_nor_a_label_that_is_executed(tmp_path: Path) -> None:
    project = make_project(tmp_path / "project")
    table = labeled_texts(300)
    add_own_data(project, table.assign(label=table["label"].map(HOSTILE_LABELS)))
    (tmp_path / "server").mkdir()
    with mlflow_server(tmp_path / "server", project.environment()) as address:
        variables = {
            "MLFLOW_TRACKING_URI": with_credentials(address),
            "HTTPS_PROXY": f"http://bob:{ENCODED}@127.0.0.1:9",
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "PREFECT_HOME": str(tmp_path / "prefect"),
        }
        commands = {
            "dvc repro": (0,),
            "atnet.cli release": (0, 3),
            "atnet.cli history": (0,),
            "atnet.cli tune --trials 1": (0,),
            "pipelines.training": (0,),
            "pipelines.release": (0, 3),
        }
        runs = {
            command: project.run(sys.executable, "-m", *command.split(), check=False, **variables)
            for command in commands
        }
    printed = "\n".join(done.stdout for done in runs.values())
    assert all(done.returncode in commands[command] for command, done in runs.items()), printed
    assert not any(part.decode() in printed for part in PARTS)
    assert "Traceback" not in printed
    assert files_with_secret(tmp_path) == []
    pages = list(text_files(tmp_path, ".html"))
    assert any("&lt;img src=x" in page for page in pages)
    assert not any("<img src=x" in page for page in pages)
    cells = [
        cell
        for text in text_files(tmp_path / "server", ".csv")
        for row in csv.reader(text.splitlines())
        for cell in row
    ]
    assert "'=HYPERLINK(1)" in cells
    assert not any(cell.startswith("=") for cell in cells)
