"""The real training flow: without a deployment, with a temporary server, and as the deployment of a running one."""

import sys
from collections.abc import Iterator
from typing import Any

import pytest

from pipelines.stage_list import declared_stages
from tests.projects import OWN_DATA, ROOT, Project, add_own_data, change_params, make_project
from tests.servers import ask, prefect_server, running, wait_until
from tests.texts import labeled_texts

pytestmark = pytest.mark.slow

RUN_SECONDS = 600
FINAL = {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Create a project with its own data that has not been trained."""
    project = make_project(tmp_path_factory.mktemp("scheduled"))
    add_own_data(project, labeled_texts(500))
    return project


@pytest.fixture(scope="module")
def server(project: Project) -> Iterator[str]:
    """Run a separate Prefect server and yield its API address."""
    with prefect_server(project.root, project.environment()) as address:
        yield address


def _training_deployments(address: str) -> list[dict[str, Any]]:
    deployments = ask(address, "deployments/filter", {})
    return [deployment for deployment in deployments if deployment["name"] == "training"]


def _run_deployment(address: str, deployment: dict[str, Any]) -> dict[str, Any]:
    # Without the release: it would work in the project at the same time as the next training.
    body = {"parameters": {"start_release": False}}
    run = ask(address, f"deployments/{deployment['id']}/create_flow_run", body)

    def current() -> dict[str, Any]:
        return dict(ask(address, "flow_runs/filter", {"flow_runs": {"id": {"any_": [run["id"]]}}})[0])

    wait_until(lambda: current()["state_type"] in FINAL, seconds=RUN_SECONDS)
    return current()


def _task_states(address: str, run: dict[str, Any]) -> dict[str, str]:
    tasks = ask(address, "task_runs/filter", {"flow_runs": {"id": {"any_": [run["id"]]}}})
    return {task["name"]: task["state_name"] for task in tasks}


def test_the_flow_runs_without_a_server_started_before(project: Project) -> None:
    printed = project.run(sys.executable, "-m", "pipelines.training").stdout
    for stage in declared_stages(ROOT):
        assert f"Running stage '{stage}'" in printed
    assert "training: trained and published" in printed
    assert (project.root / "data/08_evaluation/report.html").is_file()
    project.commit()


def test_a_deployment_of_a_real_server_is_registered_triggered_and_completed(project: Project, server: str) -> None:
    labeled_texts(560).to_csv(project.root / OWN_DATA, index=False)
    serve, environment = [sys.executable, "-m", "pipelines.deployments"], project.environment(PREFECT_API_URL=server)
    with running(serve, project.root, environment, name="serve"):
        wait_until(lambda: bool(_training_deployments(server)), seconds=120)
        (deployment,) = _training_deployments(server)
        assert deployment["schedules"][0]["schedule"]["cron"]
        assert deployment["parameters"] == {"start_release": True}

        with_new_data = _run_deployment(server, deployment)
        assert with_new_data["state_type"] == "COMPLETED", with_new_data["state"]["message"]
        assert project.json("data/02_validated/report.json")["rows"]["read"] == 560
        states = _task_states(server, with_new_data)
        assert states["train"] == "Completed"
        (result,) = ask(server, "artifacts/latest/filter", {"artifacts": {"key": {"any_": ["training-result"]}}})
        assert "AtNet" in result["data"]
        assert "report.html" in result["description"]

        without = _run_deployment(server, deployment)
        assert (without["state_name"], without["state"]["message"]) == ("NoNewData", "no new data")

        (project.root / "params.yaml").write_text(
            (project.root / "params.yaml").read_text().replace("calibration_bins: 15", "calibration_bins: 10")
        )
        states = _task_states(server, _run_deployment(server, deployment))
        assert states["train"] == "Cached"
        assert states["evaluate"] == "Completed"
    assert "schedules" in _training_deployments(server)[0]
    assert not _training_deployments(server)[0]["paused"]


def test_a_stage_that_fails_ends_the_flow_with_its_message(project: Project) -> None:
    project.dvc("repro")
    project.commit()
    # `check` accepts this: only the stage counts the words of the training split.
    change_params(project.root / "params.yaml", {"tokenize": {"min_frequency": 1_000_000}})
    done = project.run(sys.executable, "-m", "pipelines.training", check=False)
    assert done.returncode == 1
    lines = done.stdout.rstrip().splitlines()
    assert any(line.startswith("training: tokenize: No word occurs 1000000 times") for line in lines)
    assert "Running stage 'vectors'" not in done.stdout
    assert "Traceback" not in done.stdout
    # The last good version is restored as the message says.
    project.git("checkout", "dvc.lock")
    project.dvc("checkout", "--force", "--allow-missing", "dvc.yaml")
    assert (project.root / "data/04_tokens/tokenizer.json").is_file()
