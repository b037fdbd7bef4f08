"""Versions in processes of their own."""

import subprocess
import sys
from pathlib import Path

import mlflow.pyfunc
import numpy as np
import pytest

from atnet.errors import ModelError, StoreError
from atnet.inference import Predictor
from atnet.isolated import environment
from atnet.isolated.environment import isolated_python
from atnet.isolated.process import open_isolated
from atnet.isolated.worker import ImportBlocker
from atnet.tracking.logged_model import pinned_requirements, save_pyfunc
from tests.tinymodel import write_tiny_model


@pytest.fixture
def served(tmp_path: Path) -> Path:
    model = write_tiny_model(tmp_path / "files")
    save_pyfunc(tmp_path / "served", sorted(model.iterdir()), example=["a good film", "awful"])
    return tmp_path / "served"


def _store(folder: Path) -> str:
    return f"sqlite:///{folder}/mlflow.db"


def test_forbidden_packages_cannot_be_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "meta_path", [ImportBlocker(["atnet"]), *sys.meta_path])
    monkeypatch.delitem(sys.modules, "atnet.registry.lineage", raising=False)
    with pytest.raises(ImportError, match="not there where models are served"):
        __import__("atnet.registry.lineage")


@pytest.mark.slow
def test_a_version_answers_in_its_own_process_as_the_predictor_does(served: Path, tmp_path: Path) -> None:
    texts = ["a good film", "bad, bad", "", "fine"]
    with open_isolated(str(served), _store(tmp_path)) as version:
        assert version.example() == 2
        labels, probabilities = version.answer(texts)
        assert version.median_ms(texts) > 0
    expected = Predictor.load(tmp_path / "files").predict(texts)
    assert labels == expected.labels
    np.testing.assert_allclose(probabilities, expected.probabilities)


@pytest.mark.slow
@pytest.mark.parametrize("module", ["atnet.inference", "tensorflow", "keras"])
def test_a_version_that_needs_what_is_not_there_is_told_so(module: str, tmp_path: Path) -> None:
    code = tmp_path / "code.py"
    code.write_text(
        "import mlflow\n"
        "from mlflow.pyfunc.model import PythonModel\n"
        "class Needy(PythonModel):\n"
        "    def load_context(self, context):\n"
        f"        import {module}\n"
        "    def predict(self, context, model_input, params=None):\n"
        "        return model_input\n"
        "mlflow.models.set_model(Needy())\n"
    )
    # Saving loads the model here, where the project is; TensorFlow is not waited for.
    code_when_saved = code.read_text().replace(f"import {module}", "pass")
    kept = code.read_text()
    code.write_text(code_when_saved)
    mlflow.pyfunc.save_model(str(tmp_path / "needy"), python_model=str(code), pip_requirements=[])
    (tmp_path / "needy" / "code.py").write_text(kept)
    with (
        pytest.raises(ModelError, match=module.partition(".")[0]),
        open_isolated(str(tmp_path / "needy"), _store(tmp_path)),
    ):
        pass


@pytest.mark.slow
def test_a_process_that_dies_is_told(served: Path, tmp_path: Path) -> None:
    with open_isolated(str(served), _store(tmp_path)) as version:
        version._process.kill()
        version._process.wait()
        with pytest.raises(ModelError, match="ended without an answer"):
            version.example()


def test_requirements_that_cannot_be_installed_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment.platformdirs, "user_cache_dir", lambda _: str(tmp_path))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with pytest.raises(StoreError, match="cannot be installed"):
        isolated_python("atnet-needs-what-nobody-has==1.0\n")


@pytest.mark.slow
def test_a_version_answers_with_only_its_declared_requirements(
    served: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(environment.platformdirs, "user_cache_dir", lambda _: str(tmp_path))
    try:
        python = isolated_python("\n".join(pinned_requirements()))
    except StoreError as error:
        pytest.skip(f"no package index: {error}")
    have = subprocess.run([python, "-c", "import tensorflow"], capture_output=True)
    assert have.returncode != 0
    with open_isolated(str(served), _store(tmp_path), python=python) as version:
        assert version.example() == 2
    assert isolated_python("\n".join(pinned_requirements())) == python
