"""The loop by its schedules under `make up`: training, gate, service, monitoring, new labels, retraining, and kills."""

import contextlib
import json
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pandas as pd
import psutil
import pytest
import yaml
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from atnet.config import Params
from atnet.monitoring.logged_predictions import count_rows
from atnet.monitoring.window_records import read_windows
from atnet.serving.prediction_files import DAY_FOLDER
from atnet.storage import load_params
from tests.makeup import RunningUp, make_up, part_of, processes_of_runs
from tests.projects import OWN_DATA, Project, add_own_data, make_project
from tests.servers import ask
from tests.texts import labeled_texts
from tests.wordmodels import SUITE

pytestmark = [pytest.mark.slow, pytest.mark.timeout(7200)]

STEP_SECONDS = 3000
"""Limit for a step of the loop on a machine that does much other work; idle, the longest takes about two minutes."""
POLL_SECONDS = 2.0
SCHEDULE = "*/3 * * * *"
MONITORING_SCHEDULE = "1-59/3 * * * *"
ROWS, MORE_ROWS = 1500, 1800
SENT_TEXTS = 120
SETTINGS: dict[str, dict[str, Any]] = {
    "release": {"rule": "non_inferiority", "non_inferiority_margin": 0.1, "min_compared_rows": 50},
    "release.baseline": {"non_inferiority_margin": 0.1},
    "release.behavior": {"suites": ["behavior/generated.yaml"], "min_pass_rate": {"mft": 0.7, "inv": 0.7, "dir": 0.7}},
    "release.calibration": {"severity": "warning"},
    "serve": {"poll_seconds": 2.0},
    "serve.prediction_log": {"include_texts": True, "flush_seconds": 0.5},
    "monitor": {"null_samples": 200, "bootstrap_samples": 200},
    "operate": {"poll_seconds": 10.0, "max_pending_minutes": 5.0},
}


class Loop:
    """A project under `make up`, and what its servers and records say."""

    def __init__(self, up: RunningUp) -> None:
        self.up, self.project, self.root = up, up.project, up.project.root
        self.client = MlflowClient(tracking_uri=up.mlflow)

    @property
    def params(self) -> Params:
        return load_params(self.root / "params.yaml")

    def atnet(self, *arguments: str) -> Any:
        return self.project.run(sys.executable, "-m", "atnet.cli", *arguments, check=False)

    def findings(self) -> list[dict[str, str]]:
        """Return what `atnet doctor` reports."""
        printed = self.atnet("doctor", "--json").stdout
        lines = [line for line in printed.splitlines() if line.startswith("[{")]
        assert lines, printed
        return list(json.loads(lines[0]))

    def faults(self) -> list[str]:
        return [f"{found['subject']}: {found['message']}" for found in self.findings() if found["level"] == "fault"]

    def aliases(self) -> dict[str, int]:
        """Return the aliases that MLflow's server shows."""
        aliases = self.client.get_registered_model("atnet").aliases
        return {alias: int(number) for alias, number in aliases.items()}

    def served(self) -> int | None:
        """Return the version with which the service answers; None if it is not ready."""
        answer = httpx.post(f"{self.up.service}/v1/predict", json={"texts": ["A lovely film."]}, timeout=30)
        return int(answer.json()["model"]["version"]) if answer.status_code == 200 else None

    def runs(self, deployment: str, *states: str) -> list[dict[str, Any]]:
        """Return the runs of a deployment in one of the states (names), oldest first."""
        body = {
            "deployments": {"name": {"any_": [deployment]}},
            "flow_runs": {"state": {"name": {"any_": list(states)}}},
            "sort": "EXPECTED_START_TIME_ASC",
        }
        return list(ask(f"{self.up.prefect}/api", "flow_runs/filter", body))

    def wait(self, reached: Callable[[], object], what: str, *, poll_seconds: float = POLL_SECONDS) -> None:
        """Wait for a step of the loop; a failure names it and shows the end of the log."""
        end = time.monotonic() + STEP_SECONDS
        while not self._is(reached):
            assert time.monotonic() < end, f"not reached in {STEP_SECONDS} s: {what}\n{self.up.log()[-6000:]}"
            time.sleep(poll_seconds)

    @staticmethod
    def _is(reached: Callable[[], object]) -> bool:
        # A server of a busy machine may not answer in time: it is asked again.
        with contextlib.suppress(OSError, MlflowException, httpx.TransportError, psutil.NoSuchProcess):
            return bool(reached())
        return False


@pytest.fixture
def loop(tmp_path: Path) -> Iterator[Loop]:
    project = make_project(tmp_path, SETTINGS)
    (tmp_path / "behavior" / "generated.yaml").write_text(yaml.safe_dump(SUITE))
    shorten_schedules(project)
    add_own_data(project, labeled_texts(ROWS))
    with make_up(project) as up:
        up.wait_for_servers()
        yield Loop(up)


def shorten_schedules(project: Project) -> None:
    """Run training and monitoring every three minutes."""
    path = project.root / "prefect.yaml"
    content = yaml.safe_load(path.read_text())
    crons = {"training": SCHEDULE, "monitoring": MONITORING_SCHEDULE}
    for deployment in content["deployments"]:
        if deployment["name"] in crons:
            deployment["schedules"] = [{"cron": crons[deployment["name"]], "timezone": "UTC"}]
    path.write_text(yaml.safe_dump(content, sort_keys=False))


def test_the_loop_runs_by_its_schedules_and_survives_killed_flows(loop: Loop) -> None:
    # A day that is monitored before its texts are there is not monitored again by itself.
    pause(loop, "monitoring", paused=True)
    wait_for_version(loop, 1)
    yesterday = predict_yesterday(loop)
    pause(loop, "monitoring", paused=False)
    loop.wait(lambda: [record.name for record in windows(loop)] == [str(yesterday)], "the scheduled monitoring")
    assert [(record.model_version, record.rows) for record in windows(loop)] == [(1, SENT_TEXTS)]

    write_rows(loop, MORE_ROWS)
    # The training on the new rows is killed: the next one of the schedule does its work.
    kill_while(loop, "training", "Running", "Its process has ended without a result")
    wait_for_version(loop, 2)
    assert loop.project.json("data/02_validated/report.json")["rows"]["read"] == MORE_ROWS
    kill_while(loop, "monitoring", "Pending", "It was PENDING for more than 5 minutes")
    loop.wait(lambda: loop.faults() == [], "doctor has no fault")
    assert_one_story(loop, yesterday)
    loop.up.stop()


def pause(loop: Loop, deployment: str, *, paused: bool) -> None:
    """Pause the schedule of a deployment, or let it go on."""
    api = f"{loop.up.prefect}/api"

    def is_set() -> bool:
        ids = {entry["name"]: entry["id"] for entry in ask(api, "deployments/filter", {})}
        return httpx.patch(f"{api}/deployments/{ids[deployment]}", json={"paused": paused}).is_success

    loop.wait(lambda: deployment in {entry["name"] for entry in ask(api, "deployments/filter", {})}, deployment)
    loop.wait(is_set, f"the schedule of {deployment}")


def windows(loop: Loop) -> list[Any]:
    folder = loop.root / loop.params.monitor.output_folder
    return read_windows(folder) if folder.is_dir() else []


def write_rows(loop: Loop, rows: int) -> None:
    """Replace the data file as a whole: a scheduled training may read it at any time."""
    part = loop.root / f"{OWN_DATA}.part"
    labeled_texts(rows).to_csv(part, index=False)
    part.replace(loop.root / OWN_DATA)


def wait_for_version(loop: Loop, number: int) -> None:
    """Wait until a scheduled training has been published and released, and the service answers with it."""
    loop.wait(lambda: len(loop.runs("release", "Promoted")) >= number, f"the promotion of version {number}")
    loop.wait(lambda: loop.aliases()["champion"] == number, f"the alias of version {number}")
    loop.wait(lambda: loop.served() == number, f"the service with version {number}")


def predict_yesterday(loop: Loop) -> date:
    """Send texts through the service, and move what it has logged to yesterday."""
    log = loop.params.serve.prediction_log
    assert log is not None
    texts = labeled_texts(SENT_TEXTS, seed=7)["text"].tolist()
    folder, today = loop.root / log.folder, datetime.now(UTC).date()
    # The text that asked for the version is logged a moment later.
    loop.wait(lambda: count_rows(folder, today) == 1, "the prediction log of the first text")
    shutil.rmtree(folder / DAY_FOLDER.format(today))
    answer = httpx.post(f"{loop.up.service}/v1/predict", json={"texts": texts}, timeout=60)
    assert answer.status_code == 200, answer.text
    loop.wait(lambda: count_rows(folder, today) == len(texts), "the prediction log")
    day = today - timedelta(days=1)
    (folder / DAY_FOLDER.format(today)).rename(folder / DAY_FOLDER.format(day))
    return day


def kill_while(loop: Loop, deployment: str, state: str, reason: str) -> None:
    """Kill the schedules and the process of a scheduled run in this state; see it named, ended, and followed.

    What keeps the schedules running is stopped meanwhile, so that the doctor comes first.
    """
    keeper = part_of(loop.root, "pipelines.deployments")
    assert keeper is not None
    run, process = catch(loop, deployment, state)
    keeper.suspend()
    try:
        schedules = loop.up.leader("pipelines.deployments")
        assert schedules is not None
        # First the schedules: they would report the end of the run.
        schedules.kill()
        process.kill()
        loop.wait(lambda: any(reason in fault and run["name"] in fault for fault in loop.faults()), f"doctor: {reason}")
    finally:
        keeper.resume()
    loop.wait(lambda: state_of(loop, run["id"]) == "Crashed", f"the end of {run['name']}")
    later = {"Completed", "NoNewData", "NoAlarm", "NothingDue", "Alarm"}
    loop.wait(
        lambda: any(
            done["expected_start_time"] > run["expected_start_time"] for done in loop.runs(deployment, *sorted(later))
        ),
        f"the next run of {deployment}",
    )


def catch(loop: Loop, deployment: str, state: str) -> tuple[dict[str, Any], psutil.Process]:
    """Wait for a scheduled run that is in this state and has a process; suspend the process and return both."""
    caught: list[tuple[dict[str, Any], psutil.Process]] = []

    def is_caught() -> bool:
        for run_id, process in processes_of_runs(loop.root).items():
            # Suspended first: a run is PENDING only while its process imports its packages.
            process.suspend()
            try:
                wanted = {run["id"]: run for run in loop.runs(deployment, state) if run["auto_scheduled"]}
                if run_id in wanted:
                    caught.append((wanted[run_id], process))
                    return True
            finally:
                if not caught:
                    process.resume()
        return False

    loop.wait(is_caught, f"a run of {deployment} in {state}", poll_seconds=0.2)
    return caught[0]


def state_of(loop: Loop, run_id: str) -> str:
    body = {"flow_runs": {"id": {"any_": [run_id]}}}
    return str(ask(f"{loop.up.prefect}/api", "flow_runs/filter", body)[0]["state_name"])


def assert_one_story(loop: Loop, yesterday: date) -> None:
    """Check that MLflow, the ledger, the status and the service agree."""
    assert loop.aliases() == {"champion": 2, "previous": 1}
    versions = loop.client.search_model_versions("name = 'atnet'")
    assert sorted(int(version.version) for version in versions) == [1, 2]
    history = loop.atnet("history").stdout
    assert [line.split()[3:5] for line in history.splitlines() if "promoted" in line] == [
        ["promoted", "1"],
        ["promoted", "2"],
    ]
    assert "unbroken chain" in loop.atnet("history", "--verify").stdout
    status = {item["subject"]: item for item in json.loads(loop.atnet("status", "--json").stdout)["items"]}
    assert status["champion"]["message"].startswith("version 2 (promoted)")
    assert status["previous"]["message"].startswith("version 1 ")
    assert status["last release"]["message"].startswith("promoted version 2 by ")
    assert status["service"]["message"] == f"{loop.up.service} serves version 2"
    assert status["data"]["message"].startswith(f"{MORE_ROWS:,} of {MORE_ROWS:,} rows valid")
    assert status["monitoring"]["message"].startswith(f"{yesterday}: ")
    assert {item["level"] for item in status.values()} <= {"ok", "note"}
    assert pd.read_csv(loop.root / OWN_DATA).shape[0] == MORE_ROWS
