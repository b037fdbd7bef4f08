"""The example texts that travel with a registered model, and what the self-check finds."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from atnet.config import Params
from atnet.inference import Predictor, model_hash
from atnet.published_model import content_hash, load_inference
from atnet.registry.model_source import MODEL_ID_TAG, MODEL_TAG
from atnet.registry.versions import MODEL_ID_TAG as VERSION_TAG
from atnet.self_check import FIXED_TEXTS, SELF_CHECK_FILE, compute_self_check, find_difference, read_self_check
from atnet.serving.settings import registry_uri
from atnet.serving.status import without_folders
from atnet.tracking import model as logged_model
from atnet.tracking.runs import MODEL_TAG as RUN_TAG
from atnet.tracking.store import resolve_uri
from tests.tinymodel import write_tiny_model


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("saved")
    files = sorted(write_tiny_model(folder / "files").iterdir())
    logged_model.save_pyfunc(folder / "model", files, example=["A good film.", "Awful."])
    return folder / "model"


def test_the_registered_model_has_examples_with_token_ids_and_probabilities(saved: Path) -> None:
    stored = read_self_check(saved / "artifacts/model")
    assert stored is not None
    assert stored.texts == ["A good film.", "Awful.", *FIXED_TEXTS]
    assert stored.token_ids[1] == [5, 1]
    predictor = Predictor.load(saved / "artifacts/model")
    assert np.allclose(stored.probabilities, predictor.predict(stored.texts).probabilities)
    assert find_difference(predictor, stored) is None


def test_the_examples_change_neither_the_models_identity_nor_its_content_hash(saved: Path) -> None:
    folder = saved / "artifacts/model"
    files = [path for path in folder.iterdir() if path.name != SELF_CHECK_FILE]
    assert model_hash(folder) == model_hash(saved.parent / "files")
    code = (logged_model.CODE, logged_model.INFERENCE)
    assert content_hash(code, files) == content_hash(code, sorted((saved.parent / "files").iterdir()))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"labels": ["positive", "negative"]}, "its labels are"),
        ({"token_ids": [[2]] * 10}, "the token ids of example 0 differ"),
        ({"probabilities": [[0.5, 0.5]] * 10}, "a probability of example"),
        ({"probabilities": [[float("nan")] * 2] * 10}, "differs from that at publication by nan"),
    ],
)
def test_any_difference_is_named(saved: Path, change: dict[str, list[object]], said: str) -> None:
    predictor = Predictor.load(saved / "artifacts/model")
    stored = compute_self_check(predictor, ["A good film.", "Awful."])
    assert said in str(find_difference(predictor, replace(stored, **change)))  # type: ignore[arg-type]


def test_a_damaged_file_is_told_from_a_missing_one(tmp_path: Path) -> None:
    assert read_self_check(tmp_path) is None
    for content in ("{", json.dumps({"texts": []})):
        (tmp_path / SELF_CHECK_FILE).write_text(content)
        with pytest.raises(ValueError, match=r"Expecting|is damaged"):
            read_self_check(tmp_path)


def test_versions_with_the_same_code_share_a_module_and_others_do_not(saved: Path, tmp_path: Path) -> None:
    module = load_inference(saved)
    assert load_inference(saved) is module
    (tmp_path / "artifacts").mkdir()
    (tmp_path / "artifacts/inference.py").write_text("ANSWER = 1\n")
    assert load_inference(tmp_path) is not module
    assert load_inference(tmp_path).ANSWER == 1


# The service must not import the registry's other adapters, so it repeats these.


def test_the_service_and_the_registry_use_the_same_tags() -> None:
    assert (MODEL_TAG, MODEL_ID_TAG) == (RUN_TAG, VERSION_TAG)


@pytest.mark.parametrize("uri", ["sqlite:///mlflow.db", "sqlite:////data/mlflow.db", "https://mlflow.example.org"])
@pytest.mark.parametrize("variable", [None, "http://127.0.0.1:5000", "sqlite:///other.db"])
def test_the_service_finds_the_same_registry_as_the_other_commands(
    uri: str, variable: str | None, params: Params, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    if variable is not None:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", variable)
    assert registry_uri(uri, tmp_path) == resolve_uri(params.tracking.model_copy(update={"uri": uri}), tmp_path)


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ("/srv/app/mlflow.db is missing. Publish a model.", "mlflow.db is missing. Publish a model."),
        ("No such file: '/srv/x/models/1.part/artifacts/model'", "No such file: 'model'"),
        ("cannot reach https://ana:secret@mlflow.example.org/api", "cannot reach https://mlflow.example.org/api"),
        ("Version 4 failed its self-check: 1/2 differ.", "Version 4 failed its self-check: 1/2 differ."),
    ],
)
def test_what_everybody_may_read_has_no_folders_and_no_passwords(message: str, shown: str) -> None:
    assert without_folders(message) == shown
