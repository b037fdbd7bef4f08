"""The example texts that are stored with a registered model, and the deviations that the self-check reports."""

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from atnet.inference import Predictor, model_hash
from atnet.model_verification import artifact_hashes
from atnet.published_model import MODEL_FOLDER, load_inference
from atnet.self_check import FIXED_TEXTS, SELF_CHECK_FILE, compute_self_check, find_deviation, read_self_check
from atnet.tracking.logged_model import save_pyfunc
from tests.tinymodel import write_tiny_model

EXAMPLE = ["A good film.", "Awful."]


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("saved")
    files = sorted(write_tiny_model(folder / "files").iterdir())
    save_pyfunc(folder / "model", files, example=EXAMPLE)
    return folder / "model"


def test_the_registered_model_has_examples_with_token_ids_and_probabilities(saved: Path) -> None:
    stored = read_self_check(saved / MODEL_FOLDER)
    assert stored is not None
    assert stored.texts == [*EXAMPLE, *FIXED_TEXTS]
    assert stored.token_ids[1] == [5, 1]
    predictor = Predictor.load(saved / MODEL_FOLDER)
    assert np.allclose(stored.probabilities, predictor.predict(stored.texts).probabilities)
    assert find_deviation(predictor, stored) is None


def test_the_examples_are_verified_like_every_file_and_do_not_change_the_models_identity(saved: Path) -> None:
    assert f"{MODEL_FOLDER}/{SELF_CHECK_FILE}" in artifact_hashes(saved)
    assert model_hash(saved / MODEL_FOLDER) == model_hash(saved.parent / "files")


@pytest.mark.parametrize(
    ("change", "deviation"),
    [
        ({"labels": ["positive", "negative"]}, "its labels are"),
        ({"token_ids": [[2]] * 10}, "the token ids of example 0 differ"),
        ({"probabilities": [[0.5, 0.5]] * 10}, "a probability of example"),
        ({"probabilities": [[float("nan")] * 2] * 10}, "differs from that at publication by nan"),
    ],
)
def test_any_deviation_is_reported(saved: Path, change: dict[str, list[object]], deviation: str) -> None:
    predictor = Predictor.load(saved / MODEL_FOLDER)
    stored = compute_self_check(predictor, EXAMPLE)
    assert deviation in str(find_deviation(predictor, replace(stored, **change)))  # type: ignore[arg-type]


def test_a_damaged_file_is_an_error_and_a_missing_one_is_not(tmp_path: Path) -> None:
    assert read_self_check(tmp_path) is None
    for content in ("{", json.dumps({"texts": []})):
        (tmp_path / SELF_CHECK_FILE).write_text(content)
        with pytest.raises(ValueError, match=r"Expecting|is damaged"):
            read_self_check(tmp_path)


def test_versions_with_the_same_code_share_a_module_and_others_do_not(saved: Path, tmp_path: Path) -> None:
    module = load_inference(saved)
    assert load_inference(saved) is module
    (tmp_path / "artifacts").mkdir()
    (tmp_path / "artifacts/inference.py").write_text("VALUE = 1\n")
    assert load_inference(tmp_path) is not module
    assert load_inference(tmp_path).VALUE == 1


def test_threads_that_load_the_same_code_at_once_all_get_it_whole(tmp_path: Path) -> None:
    (tmp_path / "artifacts").mkdir()
    (tmp_path / "artifacts/inference.py").write_text("import time\ntime.sleep(0.2)\nVALUE = 2\n")
    with ThreadPoolExecutor(4) as pool:
        modules = list(pool.map(load_inference, [tmp_path] * 4))
    assert [module.VALUE for module in modules] == [2] * 4
