"""The `train` stage and the model folder it writes."""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from atnet.files import MODEL
from atnet.inference import MODEL_FILES, Predictor, UnusableModelError, model_hash
from tests.encoded import VOCABULARY, write_tokens, write_vectors

SMALL = {"embedding_dimensions": 8, "filters": 8, "epochs": 3, "batch_size": 16, "soft_target_slope": None}


@pytest.fixture
def workspace(tmp_path: Path, project: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Prepare a folder with parameters, tokens, word vectors and an MLflow store, and change to it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    prepare(tmp_path, project)
    return tmp_path


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, project: Path) -> Path:
    """Train a model folder for the tests that only read it."""
    folder = tmp_path_factory.mktemp("trained")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        prepare(folder, project)
        assert train() == 0
    return folder / MODEL


@pytest.fixture
def model_copy(trained: Path, tmp_path: Path) -> Path:
    """Copy the model folder for a test that changes it."""
    return Path(shutil.copytree(trained, tmp_path / "model"))


def prepare(folder: Path, project: Path) -> None:
    write_tokens(folder)
    write_vectors(folder, np.zeros((VOCABULARY, 8), np.float32))
    write_params(folder, project)


def write_params(folder: Path, project: Path, **train: Any) -> None:
    params = yaml.safe_load((project / "params.yaml").read_text(encoding="utf-8"))
    params["train"] |= {**SMALL, **train}
    (folder / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")


def set_target_accuracy(folder: Path, target_accuracy: float) -> None:
    params = yaml.safe_load((folder / "params.yaml").read_text(encoding="utf-8"))
    params["evaluate"]["target_accuracy"] = target_accuracy
    (folder / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")


def train() -> int:
    from atnet.stages.train import main

    return main([])


def digests(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}


@pytest.mark.slow
def test_the_model_folder_is_enough_for_inference(trained: Path) -> None:
    predictor = Predictor.load(trained)
    predictions = predictor.predict(["w2 w20 w21", "w3", "never seen"])
    assert predictor.labels == ("label-0", "label-1")
    np.testing.assert_allclose(predictions.probabilities.sum(axis=1), 1)
    explanation = predictor.explain(["w2  w20"])[0]
    assert explanation.tokens == ["w2", "w20"]
    assert explanation.spans == [(0, 2), (4, 7)]
    assert sum(explanation.attention) == pytest.approx(1)


@pytest.mark.slow
def test_published_mode_always_pads_to_the_maximum_length(workspace: Path, project: Path) -> None:
    write_params(workspace, project, attention="published", epochs=1)
    assert train() == 0
    assert json.loads((workspace / MODEL / "inference_config.json").read_text())["pad_to"] == 20
    assert Predictor.load(workspace / MODEL).predict(["w2 w20"]).probabilities.shape == (1, 2)


@pytest.mark.slow
def test_a_target_accuracy_changes_only_the_inference_configuration(
    trained: Path, workspace: Path, project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    set_target_accuracy(workspace, 0.9999)
    assert train() == 1
    assert "evaluate.target_accuracy is 0.9999, which cannot be guaranteed" in capsys.readouterr().err
    assert not (workspace / MODEL).exists()
    set_target_accuracy(workspace, 0.3)
    assert train() == 0
    config = json.loads((workspace / MODEL / "inference_config.json").read_text())
    option = config.pop("reject_option")
    assert option["target_accuracy"] == 0.3
    assert config == json.loads((trained / "inference_config.json").read_text())
    changed = {name for name, digest in digests(workspace / MODEL).items() if digest != digests(trained)[name]}
    assert changed == {"inference_config.json"}
    assert Predictor.load(workspace / MODEL).min_confidence == option["min_confidence"]


@pytest.mark.slow
def test_two_trainings_write_the_same_bytes(trained: Path, workspace: Path) -> None:
    assert train() == 0
    first = digests(trained)
    assert first == digests(workspace / MODEL)
    assert {*MODEL_FILES, "train_hashes.txt", "history.csv"} == set(first)


@pytest.mark.slow
def test_a_changed_source_file_starts_a_new_training(
    workspace: Path, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import atnet.stages.train as stage

    write_params(workspace, project, epochs=1)
    (workspace / "dvc.yaml").write_text("stages: {train: {deps: [src/code.py, data/04_tokens]}}")
    keys: list[str] = []
    training_key = stage.training_key

    class TrainingBegins(Exception):
        pass

    def recording_key(*inputs: Any) -> str:
        keys.append(training_key(*inputs))
        raise TrainingBegins

    monkeypatch.setattr(stage, "training_key", recording_key)
    for code in ("first", "first", "second"):
        (workspace / "src").mkdir(exist_ok=True)
        (workspace / "src" / "code.py").write_text(code)
        with pytest.raises(TrainingBegins):
            train()
    assert keys[0] == keys[1] != keys[2]


@pytest.mark.slow
def test_the_model_hash_depends_on_the_model_files_only(model_copy: Path) -> None:
    before = model_hash(model_copy)
    (model_copy / "history.csv").write_text("not a model file")
    assert model_hash(model_copy) == before
    (model_copy / "inference_config.json").write_text("{}")
    assert model_hash(model_copy) != before


def test_a_prediction_does_not_depend_on_the_other_texts(trained: Path) -> None:
    predictor = Predictor.load(trained)
    texts = ["w2", "w3 w10 w11 w12 w13 w14 w15", "w2 w30 w31", " ".join(f"w{index}" for index in range(2, 40))]
    together = predictor.predict(texts).probabilities
    alone = np.concatenate([predictor.predict([text]).probabilities for text in texts])
    np.testing.assert_allclose(together, alone, atol=1e-6)


def test_a_lone_surrogate_is_read_as_the_replacement_character(trained: Path) -> None:
    surrogate, replacement = Predictor.load(trained).predict(["w2 \ud800 w3", "w2 \ufffd w3"]).probabilities
    np.testing.assert_array_equal(surrogate, replacement)


@pytest.mark.parametrize("name", ["inference_config.json", "tokenizer.json", "model.onnx"])
def test_a_damaged_model_file_is_named(model_copy: Path, name: str) -> None:
    (model_copy / name).write_bytes(b"damaged")
    with pytest.raises(UnusableModelError, match=rf"{name} cannot be used.*dvc checkout"):
        Predictor.load(model_copy)


@pytest.mark.slow
def test_a_killed_training_ends_with_the_same_bytes(workspace: Path, project: Path) -> None:
    write_params(workspace, project, epochs=8, patience=8)
    write_tokens(workspace, rows=6000)
    uninterrupted = Path(shutil.copytree(workspace, workspace / "uninterrupted"))
    command = [sys.executable, "-m", "atnet.stages.train"]
    subprocess.run(command, cwd=uninterrupted, check=True, timeout=300)
    killed = subprocess.Popen(command)
    deadline = time.monotonic() + 120
    while not list(workspace.glob(".atnet/checkpoints/*.npz")) and time.monotonic() < deadline:
        time.sleep(0.02)
    os.kill(killed.pid, signal.SIGKILL)
    assert killed.wait() == -signal.SIGKILL
    assert list(workspace.glob(".atnet/checkpoints/*.npz"))
    assert not (workspace / MODEL).exists()
    subprocess.run(command, check=True, timeout=300)
    assert digests(workspace / MODEL) == digests(uninterrupted / MODEL)
    assert not list(workspace.glob(".atnet/checkpoints/*.npz"))


@pytest.mark.slow
def test_a_finished_training_that_dvc_did_not_record_is_not_repeated(workspace, monkeypatch):
    import atnet.stages.train as stage

    assert train() == 0
    first = digests(workspace / MODEL)
    # DVC could not take its lock after the stage: it deletes the outputs and runs the stage again.
    shutil.rmtree(workspace / MODEL)
    monkeypatch.setattr(stage, "save_state", lambda *_: pytest.fail("an epoch was trained again"))
    assert train() == 0
    assert digests(workspace / MODEL) == first
