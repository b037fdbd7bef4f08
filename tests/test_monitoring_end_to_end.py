"""The loop with a real MLflow server, Prefect server and service: drift, an alarm, new labels, training, promotion."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from atnet import files
from atnet.inference import Predictor
from atnet.monitoring.champion import FILES, MODELS
from atnet.monitoring.logged_predictions import count_rows
from atnet.monitoring.notifications import read_notifications
from atnet.monitoring.window_records import read_windows
from atnet.published_model import MODEL_FOLDER
from atnet.serving.prediction_files import DAY_FOLDER
from tests.defaultdata import add_default_data
from tests.projects import Project, change_params, copy_project
from tests.releasestory import ReleaseStory, release_servers
from tests.servers import ask, wait_until
from tests.service import RunningService, running_service

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]

DOMAIN = "tweets"
BATCH = 300
TRAINING_SECONDS = 1800
SETTINGS: dict[str, dict[str, Any]] = {
    "data": {"path": "data/labeled.csv"},
    "train": {"epochs": 6},
    "baseline": {"regularization": [1.0, 10.0]},
    "evaluate": {"bootstrap_samples": 200, "example_texts": 5, "explained_texts": 2},
    "release": {"rule": "non_inferiority", "bootstrap_samples": 1000},
    "serve": {"poll_seconds": 0.5},
    "serve.prediction_log": {"include_texts": True, "flush_seconds": 0.5},
    "monitor": {"null_samples": 200, "max_reference_rows": 1000, "min_new_rows": 500},
}
"""As few epochs, resamples and reference texts as the loop needs, so that the test ends within minutes."""


class Loop(ReleaseStory):
    """A project in which the first model has never seen a tweet."""

    @property
    def folder(self) -> Path:
        return self.root / self.params.monitor.output_folder

    @property
    def predictions(self) -> Path:
        log = self.params.serve.prediction_log
        assert log is not None
        return self.root / log.folder

    def send(self, service: RunningService, texts: list[str], day: date) -> None:
        """Send texts through the service, and move what it has logged to a day in the past."""
        for start in range(0, len(texts), 100):
            assert service.predict(texts=texts[start : start + 100]).status_code == 200
        today = datetime.now(UTC).date()
        wait_until(lambda: count_rows(self.predictions, today) == len(texts), seconds=60)
        (self.predictions / DAY_FOLDER.format(today)).rename(self.predictions / DAY_FOLDER.format(day))

    def run_deployment(self, name: str, **parameters: Any) -> dict[str, Any]:
        """Start a deployment and wait until its run has ended."""
        # They are registered one after the other.
        wait_until(lambda: name in self._deployments_by_name(), seconds=TRAINING_SECONDS)
        deployment = self._deployments_by_name()[name]
        path = f"deployments/{deployment['id']}/create_flow_run"
        return self.wait_for(str(ask(self.prefect_uri, path, {"parameters": parameters})["id"]))

    def _deployments_by_name(self) -> dict[str, dict[str, Any]]:
        return {entry["name"]: entry for entry in ask(self.prefect_uri, "deployments/filter", {})}

    def runs_of(self, name: str) -> list[dict[str, Any]]:
        """Return the runs of a deployment that are not just scheduled."""
        runs = ask(self.prefect_uri, "flow_runs/filter", {"deployments": {"name": {"any_": [name]}}})
        return [run for run in runs if not run["auto_scheduled"]]

    def wait_for_run_of(self, name: str) -> dict[str, Any]:
        """Wait until the only run of a deployment exists and has ended."""
        wait_until(lambda: bool(self.runs_of(name)), seconds=TRAINING_SECONDS)
        wait_until(lambda: self.runs_of(name)[0]["state_type"] in {"COMPLETED", "FAILED", "CRASHED"}, TRAINING_SECONDS)
        (run,) = self.runs_of(name)
        return run


def write_labeled(project: Project, rows: pd.DataFrame) -> None:
    rows.to_csv(project.root / SETTINGS["data"]["path"], index=False)


@pytest.fixture
def loop(tmp_path: Path) -> Iterator[Loop]:
    project = copy_project(tmp_path)
    project.commit()
    project.dvc("config", "core.autostage", "false")
    with release_servers(project, Loop) as loop:
        yield loop


def test_drift_is_noticed_labeled_trained_on_released_and_served(loop: Loop) -> None:
    texts = release_without_tweets(loop)
    notice_and_retrain(loop, *texts)


def release_without_tweets(loop: Loop) -> tuple[list[str], pd.DataFrame]:
    """Release a model that has never seen a tweet; return tweets without labels, and other tweets with labels."""
    project = loop.project
    rows = add_default_data(project).rows.reset_index()
    rows = rows[rows["rating"].abs() > 0.5]
    tweets = rows[rows["domain"] == DOMAIN].sample(frac=1, random_state=3)
    write_labeled(project, rows[rows["domain"] != DOMAIN])
    project.dvc("add", SETTINGS["data"]["path"])
    change_params(loop.root / "params.yaml", SETTINGS)
    project.commit()
    project.run("dvc", "repro", **loop.servers)
    released = loop.atnet("release")
    assert released.returncode == 0, released.stdout
    assert loop.aliases() == {"champion": 1}
    return tweets.iloc[: 3 * BATCH]["text"].tolist(), tweets.iloc[3 * BATCH :]


def notice_and_retrain(loop: Loop, unlabeled: list[str], labeled: pd.DataFrame) -> None:
    """Send tweets to the service, monitor them, add labeled ones, and follow the loop until a new model is served."""
    today = datetime.now(UTC).date()
    days = [today - timedelta(days=ago) for ago in (3, 2, 1)]
    with running_service(loop.root, **loop.servers) as service, loop.deployments():
        for number, day in enumerate(days):
            loop.send(service, unlabeled[BATCH * number : BATCH * (number + 1)], day)

        first = loop.run_deployment("monitoring", first=str(days[0]), last=str(days[0]))
        assert first["state_name"] == "NoAlarm", first["state"]
        for _ in range(2):
            second = loop.run_deployment("monitoring", first=str(days[1]), last=str(days[1]))
            assert second["state_name"] == "Alarm", second["state"]
        (alarm,) = read_notifications(loop.folder)
        assert (alarm.state, alarm.action) == ("alarm", "label")
        assert loop.runs_of("training") == []

        data = pd.read_csv(loop.root / SETTINGS["data"]["path"], dtype={"id": str})
        write_labeled(loop.project, pd.concat([data, labeled]))
        third = loop.run_deployment("monitoring")
        assert third["state_name"] == "Alarm", third["state"]
        assert [record.name for record in read_windows(loop.folder)] == [str(day) for day in days]
        assert read_notifications(loop.folder)[-1].action == "retrain"

        training = loop.wait_for_run_of("training")
        assert training["state_type"] == "COMPLETED", training["state"]
        release = loop.wait_for_run_of("release")
        assert release["state_name"] == "Promoted", release["state"]
        assert loop.aliases() == {"champion": 2, "previous": 1}
        wait_until(lambda: service.version() == 2, seconds=60)
        assert service.predict(texts=unlabeled[:1]).json()["model"]["version"] == 2
    (monitored,) = (loop.folder / MODELS).glob(f"*/{FILES}/{MODEL_FOLDER}")
    assert tweet_accuracy(loop, loop.root / files.MODEL) > tweet_accuracy(loop, monitored)


def tweet_accuracy(loop: Loop, folder: Path) -> float:
    """Return a model's accuracy on the tweets of the current test split."""
    test = pd.read_parquet(loop.root / files.split_table("test"))
    test = test[test["domain"] == DOMAIN]
    predicted = Predictor.load(folder).predict(test["text"].tolist()).predicted
    return float((test["label"] == predicted).mean())
