"""MLflow's own server answers with the champion as it is."""

import os
import sys
from pathlib import Path

import httpx
import pytest

from tests.servers import free_port, running, wait_until
from tests.service import make_project


@pytest.mark.slow
def test_mlflow_serves_the_champion_by_its_alias(tmp_path: Path, empty_store: Path) -> None:
    project = make_project(tmp_path, empty_store)
    project.publish(1.0)
    project.promote(project.publish(2.0).number)
    port = free_port()
    command = [
        sys.executable,
        "-m",
        "mlflow",
        "models",
        "serve",
        "--env-manager",
        "local",
        "-m",
        "models:/atnet@champion",
    ]
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "MLFLOW_TRACKING_URI": project.registry.store.uri,
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
    address = f"http://127.0.0.1:{port}"

    def answers() -> bool:
        try:
            return httpx.get(f"{address}/ping").status_code == 200
        except httpx.TransportError:
            return False

    with running([*command, "--host", "127.0.0.1", "--port", str(port)], tmp_path, environment, name="mlflow"):
        wait_until(answers, seconds=120)
        body = {"inputs": ["good", "awful"], "params": {"attention": True}}
        (good, awful) = httpx.post(f"{address}/invocations", json=body, timeout=60).json()["predictions"]
    expected = project.predictor(2.0).predict(["good", "awful"])
    assert (good["label"], awful["label"]) == ("positive", "negative")
    assert [good["score"], awful["score"]] == pytest.approx(expected.scores.tolist())
    assert [token["token"] for token in awful["attention"]] == ["awful"]
