"""The registered model: its inputs, its outputs, and that it needs nothing of the project."""

import json
import logging
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mlflow.pyfunc
import numpy as np
import pandas as pd
import pytest
from mlflow.exceptions import MlflowException

from atnet.served_model import load_by_content
from atnet.tracking.logged_model import INFERENCE, pinned_requirements, save_pyfunc
from tests.tinymodel import write_tiny_model

ISOLATED = """
import sys

class Block:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("tensorflow", "keras", "atnet", "torch", "dvc", "prefect"):
            raise ImportError(f"{name} must not be imported")

sys.meta_path.insert(0, Block())
import mlflow.pyfunc
model = mlflow.pyfunc.load_model(sys.argv[1])
print(model.predict(["good", "awful and bad"])["label"].tolist())
print(model.predict(["bad"], params={"attention": True})["attention"].tolist())
"""


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    logging.getLogger("mlflow").setLevel(logging.WARNING)
    folder = tmp_path_factory.mktemp("served")
    files = sorted(write_tiny_model(folder / "files").iterdir())
    save_pyfunc(folder / "model", files, example=["A good film.", "Awful."])
    return folder / "model"


@pytest.fixture(scope="module")
def model(saved: Path) -> mlflow.pyfunc.PyFuncModel:
    return mlflow.pyfunc.load_model(str(saved))


def test_it_returns_label_score_and_all_probabilities(model: mlflow.pyfunc.PyFuncModel) -> None:
    first, second = model.predict(["good", "bad and awful"]).to_dict("records")
    assert (first["label"], second["label"]) == ("positive", "negative")
    assert first["score"] == first["probabilities"]["positive"] == pytest.approx(0.8808, abs=1e-4)
    assert sum(second["probabilities"].values()) == pytest.approx(1)
    assert "attention" not in first


def test_it_returns_the_attention_on_each_token_on_request(model: mlflow.pyfunc.PyFuncModel) -> None:
    (row,) = model.predict(["Good, bad"], params={"attention": True}).to_dict("records")
    assert [(token["token"], token["start"], token["end"]) for token in row["attention"]] == [
        ("Good", 0, 4),
        (",", 4, 5),
        ("bad", 6, 9),
    ]
    assert sum(token["weight"] for token in row["attention"]) == pytest.approx(1)


def test_it_returns_the_contribution_of_each_token_on_request(model: mlflow.pyfunc.PyFuncModel) -> None:
    (row,) = model.predict(["Good, bad, awful"], params={"attention": True}).to_dict("records")
    contributions = {token["token"]: token["contribution"] for token in row["attention"]}
    assert row["label"] == "negative"
    assert contributions == pytest.approx({"Good": -2, ",": 0, "bad": 2, "awful": 4})


@pytest.mark.parametrize(
    "texts",
    [
        ["good", "bad"],
        np.array(["good", "bad"]),
        np.array(["good", "bad"], dtype=object),
        np.array([["good"], ["bad"]]),
        pd.Series(["good", "bad"], name="text"),
        pd.DataFrame({"text": ["good", "bad"]}),
        pd.DataFrame(["good", "bad"]),
        pd.DataFrame({"review": ["good", "bad"]}),
        pd.DataFrame({"id": ["bad", "bad"], "text": ["good", "bad"]}),
        pd.DataFrame({"text": ["good", "bad"]}, index=[7, 3]),
    ],
    ids=[
        "list",
        "array",
        "object array",
        "column array",
        "series",
        "named column",
        "unnamed column",
        "column of any name",
        "column among others",
        "other index",
    ],
)
def test_texts_are_accepted_in_every_usual_container(model: mlflow.pyfunc.PyFuncModel, texts: Any) -> None:
    assert model.predict(texts)["label"].tolist() == ["positive", "negative"]


def test_an_empty_text_a_single_text_and_no_text_are_accepted(model: mlflow.pyfunc.PyFuncModel) -> None:
    assert model.predict([""])["score"].tolist() == [0.5]
    assert model.predict("good")["label"].tolist() == ["positive"]
    assert model.predict([])["label"].tolist() == []


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (["a", None], r"Row 1 is None, not a text\. Drop such rows"),
        ([None], r"Row 0 is None, not a text"),
        (pd.DataFrame({"text": ["a", float("nan")]}), r"Row 1 is nan, not a text"),
        (["a", 3], r"Row 1 is 3, not a text"),
        ([float("nan")], r"Row 0 is nan, not a text"),
        (np.array([1, 2]), r"Row 0 is 1, not a text"),
        ([["a", "b"]], r"Row 0 is \['a', 'b'\], not a text"),
        ({"text": ["a"]}, r"Send a list of texts, or one column named 'text'; this is a dict"),
        (None, r"Send a list of texts"),
        (pd.DataFrame({"id": ["1"], "review": ["a"]}), r"None of the columns \['id', 'review'\] is named 'text'"),
    ],
)
def test_values_that_are_not_texts_are_refused(model: mlflow.pyfunc.PyFuncModel, texts: Any, message: str) -> None:
    with pytest.raises(MlflowException, match=message) as refused:
        model.predict(texts)
    assert refused.value.get_http_status_code() == 400


def test_two_versions_in_one_process_run_their_own_code(saved: Path, tmp_path: Path) -> None:
    other = tmp_path / "model"
    shutil.copytree(saved, other)
    code = other / "artifacts" / "inference.py"
    code.write_text(code.read_text().replace('"""The most probable label', 'return ["changed"]\n        """The most'))
    first, second = mlflow.pyfunc.load_model(str(saved)), mlflow.pyfunc.load_model(str(other))
    assert second.predict(["good"])["label"].tolist() == ["changed"]
    assert first.predict(["good"])["label"].tolist() == ["positive"]


def test_a_file_that_fails_to_import_leaves_no_module_behind(tmp_path: Path) -> None:
    broken = tmp_path / "broken.py"
    broken.write_text("raise RuntimeError('broken')")
    before = set(sys.modules)
    for _ in range(2):
        with pytest.raises(RuntimeError, match="broken"):
            load_by_content(broken)
    assert not {name for name in set(sys.modules) - before if name.startswith("inference_")}


def test_the_requirements_are_light_and_pinned(saved: Path) -> None:
    required = (saved / "requirements.txt").read_text().split()
    assert required == pinned_requirements()
    assert [line.partition("==")[0] for line in required] == [
        "mlflow-skinny",
        "onnxruntime",
        "tokenizers",
        "numpy",
        "pandas",
    ]


def test_the_shipped_inference_code_is_that_of_the_project(saved: Path) -> None:
    assert (saved / "artifacts" / "inference.py").read_bytes() == INFERENCE.read_bytes()


@pytest.mark.slow
def test_it_predicts_in_a_process_without_tensorflow_keras_and_the_project(saved: Path, tmp_path: Path) -> None:
    process = subprocess.run(
        [sys.executable, "-c", ISOLATED, str(saved)], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert process.returncode == 0, process.stderr
    labels, attention = process.stdout.splitlines()
    assert labels == "['positive', 'negative']"
    assert "'token': 'bad'" in attention


@pytest.fixture(scope="module")
def server(saved: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "mlflow", "models", "serve", "--env-manager", "local", "--host", "127.0.0.1"]
    # MLflow starts `uvicorn` by name, so it must be on the path.
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    log = (tmp_path_factory.mktemp("server") / "log").open("w+")
    process = subprocess.Popen(
        [*command, "--port", str(port), "--model-uri", str(saved)],
        env={**os.environ, "PATH": path, "MLFLOW_DISABLE_TELEMETRY": "true"},
        stdout=log,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        _wait_for(f"{address}/ping", process)
        yield address
    finally:
        os.killpg(process.pid, 15)
        process.wait(timeout=30)
        log.close()


def _wait_for(address: str, process: subprocess.Popen[bytes], seconds: int = 120) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end and process.poll() is None:
        try:
            urllib.request.urlopen(address, timeout=2)
        except (urllib.error.URLError, OSError):
            time.sleep(0.3)
        else:
            return
    raise AssertionError("mlflow models serve did not start")


def _post(address: str, body: dict[str, Any]) -> tuple[int, Any]:
    request = urllib.request.Request(
        f"{address}/invocations", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=30) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


@pytest.mark.slow
def test_mlflow_serves_it(server: str) -> None:
    status, body = _post(server, {"inputs": ["good", "bad"]})
    assert status == 200
    assert [row["label"] for row in body["predictions"]] == ["positive", "negative"]
    assert body["predictions"][0]["probabilities"]["positive"] == pytest.approx(0.8808, abs=1e-4)


@pytest.mark.slow
def test_the_server_returns_attention_on_request(server: str) -> None:
    status, body = _post(server, {"inputs": ["good"], "params": {"attention": True}})
    assert status == 200
    (token,) = body["predictions"][0]["attention"]
    assert token == {"token": "good", "start": 0, "end": 4, "weight": 1.0, "contribution": pytest.approx(2)}


@pytest.mark.slow
def test_the_server_refuses_values_that_are_not_texts(server: str) -> None:
    for texts in (["good", None], ["good", 3], {"text": "good"}):
        status, body = _post(server, {"inputs": texts})
        assert status == 400
        assert "a list of texts" in body["message"] or "Row 1 is" in body["message"]
