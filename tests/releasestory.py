"""A project with a real MLflow server and a real Prefect server, for tests of a whole release history."""

import contextlib
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from mlflow import MlflowClient

from atnet.config import Params
from atnet.storage import load_params
from tests.projects import Project, change_params
from tests.servers import ask, mlflow_server, prefect_server, running, wait_until

FINAL = {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}
FLOW_SECONDS = 300


class ReleaseStory:
    """A project with its servers."""

    def __init__(self, project: Project, mlflow_uri: str, prefect_uri: str) -> None:
        self.project, self.root = project, project.root
        self.servers = {"MLFLOW_TRACKING_URI": mlflow_uri, "PREFECT_API_URL": prefect_uri}
        self.prefect_uri = prefect_uri
        self.client = MlflowClient(tracking_uri=mlflow_uri)

    @property
    def params(self) -> Params:
        return load_params(self.root / "params.yaml")

    def atnet(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return self.project.run(sys.executable, "-m", "atnet.cli", *arguments, check=False, **self.servers)

    def aliases(self) -> dict[str, int]:
        return {alias: int(number) for alias, number in self.client.get_registered_model("atnet").aliases.items()}

    def tags(self, number: int) -> dict[str, str]:
        return dict(self.client.get_model_version("atnet", str(number)).tags)

    def set_release(self, **values: Any) -> None:
        change_params(self.root / "params.yaml", {"release": values})

    def history(self) -> list[str]:
        """Return the actions in the ledger, oldest first."""
        return [re.split(r"  +", line)[2] for line in self.atnet("history").stdout.splitlines()[1:]]

    @contextlib.contextmanager
    def deployments(self) -> Iterator[None]:
        """Serve the deployments while the block runs."""
        serve = [sys.executable, "-m", "pipelines.deployments"]
        with running(serve, self.root, self.project.environment(**self.servers), name="serve"):
            wait_until(lambda: bool(self._deployments()), seconds=FLOW_SECONDS)
            yield

    def start_release(self, **parameters: bool) -> str:
        """Start the deployment `release` and return the id of its run."""
        (release,) = self._deployments()
        run = ask(self.prefect_uri, f"deployments/{release['id']}/create_flow_run", {"parameters": parameters})
        return str(run["id"])

    def wait_for(self, run_id: str, *states: str) -> dict[str, Any]:
        """Wait until a run is in one of the states, or has ended."""
        wait_until(lambda: self.flow_run(run_id)["state_type"] in {*FINAL, *states}, seconds=FLOW_SECONDS)
        return self.flow_run(run_id)

    def answer(self, run_id: str, **decision: Any) -> dict[str, Any]:
        """Answer a suspended run as Prefect's page does and return Prefect's reply."""
        return dict(ask(self.prefect_uri, f"flow_runs/{run_id}/resume", {"run_input": decision}))

    def flow_run(self, run_id: str) -> dict[str, Any]:
        """Return a flow run as the server describes it."""
        return dict(ask(self.prefect_uri, "flow_runs/filter", {"flow_runs": {"id": {"any_": [run_id]}}})[0])

    def _deployments(self) -> list[dict[str, Any]]:
        deployments = ask(self.prefect_uri, "deployments/filter", {})
        return [deployment for deployment in deployments if deployment["name"] == "release"]

    def tamper(self, line: int, old: str, new: str) -> Callable[[], None]:
        """Change a line of the ledger in the store and return a function that restores it."""
        experiment = self.client.get_experiment_by_name("atnet-operations").experiment_id
        (run,) = self.client.search_runs([experiment])
        name = f"ledger.{line:06d}"
        text = run.data.tags[name]
        assert old in text, text
        self.client.set_tag(run.info.run_id, name, text.replace(old, new))
        return lambda: self.client.set_tag(run.info.run_id, name, text)


Story = TypeVar("Story", bound=ReleaseStory)


@contextlib.contextmanager
def release_servers(project: Project, story: type[Story]) -> Iterator[Story]:
    """Run both servers for a project while the block runs."""
    environment = project.environment()
    with (
        mlflow_server(project.root, environment) as mlflow_uri,
        prefect_server(project.root, environment) as prefect_uri,
    ):
        yield story(project, mlflow_uri, prefect_uri)
