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

import numpy as np
import pytest
import yaml

from atnet.files import MODEL
from atnet.inference import MODEL_FILES, Predictor, UnusableModelError, model_hash
from tests.encoded import VOCABULARY, write_tokens, write_vectors

SMALL = {"embedding_dimensions": 8, "filters": 8, "epochs": 3, "batch_size": 16, "soft_target_slope": None}


@pytest.fixture
def workplace(tmp_path, project, monkeypatch):
    """A folder with parameters, tokens and word vectors, and MLflow's store inside it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    prepare(tmp_path, project)
    return tmp_path


@pytest.fixture(scope="module")
def trained(tmp_path_factory, project):
    """A model folder for the tests that only read it."""
    folder = tmp_path_factory.mktemp("trained")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        prepare(folder, project)
        assert train() == 0
    return folder / MODEL


@pytest.fixture
def copied(trained, tmp_path):
    """A model folder that a test may change."""
    return Path(shutil.copytree(trained, tmp_path / "model"))


def prepare(folder: Path, project: Path) -> None:
    write_tokens(folder)
    write_vectors(folder, np.zeros((VOCABULARY, 8), np.float32))
    write_params(folder, project)


def write_params(folder: Path, project: Path, **train) -> None:
    params = yaml.safe_load((project / "params.yaml").read_text(encoding="utf-8"))
    params["train"] |= {**SMALL, **train}
    (folder / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")


def train(root="."):
    from atnet.stages.train import main

    return main(["--root", root])


def digests(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}


def test_the_model_folder_answers_on_its_own(trained):
    predictor = Predictor.load(trained)
    predictions = predictor.predict(["w2 w20 w21", "w3", "never seen"])
    assert predictor.labels == ("label-0", "label-1")
    np.testing.assert_allclose(predictions.probabilities.sum(axis=1), 1)
    explanation = predictor.explain(["w2  w20"])[0]
    assert explanation.tokens == ["w2", "w20"]
    assert explanation.spans == [(0, 2), (4, 7)]
    assert sum(explanation.attention) == pytest.approx(1)


def test_seed_mode_always_pads_to_the_maximum_length(workplace, project):
    write_params(workplace, project, attention="published", epochs=1)
    assert train() == 0
    assert json.loads((workplace / MODEL / "inference_config.json").read_text())["pad_to"] == 20
    assert Predictor.load(workplace / MODEL).predict(["w2 w20"]).probabilities.shape == (1, 2)


def test_two_trainings_write_the_same_bytes(trained, workplace):
    assert train() == 0
    first = digests(trained)
    assert first == digests(workplace / MODEL)
    assert {*MODEL_FILES, "train_hashes.txt", "history.csv"} == set(first)


def test_a_training_is_named_by_the_code_that_runs_too(workplace, project, monkeypatch):
    import atnet.stages.train as stage

    write_params(workplace, project, epochs=1)
    (workplace / "dvc.yaml").write_text("stages: {train: {deps: [src/code.py, data/04_tokens]}}")
    keys = []

    def noted(*inputs, named=stage.training_key):
        keys.append(named(*inputs))
        return keys[-1]

    monkeypatch.setattr(stage, "training_key", noted)
    for code in ("first", "first", "second"):
        (workplace / "src").mkdir(exist_ok=True)
        (workplace / "src" / "code.py").write_text(code)
        assert train() == 0
    assert keys[0] == keys[1] != keys[2]


def test_the_model_hash_names_its_files(copied):
    before = model_hash(copied)
    (copied / "history.csv").write_text("not part of it")
    assert model_hash(copied) == before
    (copied / "inference_config.json").write_text("{}")
    assert model_hash(copied) != before


def test_an_answer_does_not_depend_on_the_other_texts(trained):
    predictor = Predictor.load(trained)
    texts = ["w2", "w3 w10 w11 w12 w13 w14 w15", "w2 w30 w31", " ".join(f"w{index}" for index in range(2, 40))]
    together = predictor.predict(texts).probabilities
    alone = np.concatenate([predictor.predict([text]).probabilities for text in texts])
    np.testing.assert_allclose(together, alone, atol=1e-6)


def test_half_a_surrogate_pair_is_read_as_the_replacement_character(trained):
    broken, mended = Predictor.load(trained).predict(["w2 \ud800 w3", "w2 \ufffd w3"]).probabilities
    np.testing.assert_array_equal(broken, mended)


@pytest.mark.parametrize("name", ["inference_config.json", "tokenizer.json", "model.onnx"])
def test_a_damaged_model_file_is_named(copied, name):
    (copied / name).write_bytes(b"damaged")
    with pytest.raises(UnusableModelError, match=rf"{name} cannot be used.*dvc checkout"):
        Predictor.load(copied)


@pytest.mark.slow
def test_a_killed_training_ends_with_the_same_bytes(workplace, project):
    write_params(workplace, project, epochs=8, patience=8)
    write_tokens(workplace, rows=6000)
    whole = Path(shutil.copytree(workplace, workplace / "whole"))
    command = [sys.executable, "-m", "atnet.stages.train"]
    subprocess.run(command, cwd=whole, check=True, timeout=300)
    killed = subprocess.Popen(command)
    deadline = time.monotonic() + 120
    while not list(workplace.glob(".atnet/checkpoints/*.npz")) and time.monotonic() < deadline:
        time.sleep(0.02)
    os.kill(killed.pid, signal.SIGKILL)
    assert killed.wait() == -signal.SIGKILL
    assert list(workplace.glob(".atnet/checkpoints/*.npz"))
    assert not (workplace / MODEL).exists()
    subprocess.run(command, check=True, timeout=300)
    assert digests(workplace / MODEL) == digests(whole / MODEL)
    assert not list(workplace.glob(".atnet/checkpoints/*.npz"))


def test_a_finished_training_that_dvc_did_not_record_is_not_repeated(workplace, monkeypatch):
    import atnet.stages.train as stage

    assert train() == 0
    first = digests(workplace / MODEL)
    # DVC could not take its lock after the stage: it deletes the outputs and runs the stage again.
    shutil.rmtree(workplace / MODEL)
    monkeypatch.setattr(stage, "save_state", lambda *_: pytest.fail("an epoch was trained again"))
    assert train() == 0
    assert digests(workplace / MODEL) == first
