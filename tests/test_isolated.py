"""A model version in a separate process: its predictions, what it cannot reach, and how it may end."""

import json
import os
import subprocess
import sys
from pathlib import Path

import mlflow.pyfunc
import numpy as np
import pytest

from atnet.errors import ModelError, ProcessInterrupted, StoreError
from atnet.inference import Predictor
from atnet.isolated import process, virtual_environment
from atnet.isolated.process import open_isolated
from atnet.isolated.virtual_environment import isolated_python
from atnet.isolated.worker import ImportBlocker
from atnet.tracking.logged_model import pinned_requirements, save_pyfunc
from tests.tinymodel import write_tiny_model

ELSEWHERE = "://".join(("http", "elsewhere"))

SECRETS = {
    "AWS_SECRET_ACCESS_KEY": "planted-aws-key",
    "MLFLOW_TRACKING_PASSWORD": "planted-password",
    "DATABASE_URL": "postgresql://user:planted-database@host/db",
    "PREFECT_API_KEY": "planted-prefect-key",
}


@pytest.fixture
def served(tmp_path: Path) -> Path:
    model = write_tiny_model(tmp_path / "files")
    save_pyfunc(tmp_path / "served", sorted(model.iterdir()), example=["a good film", "awful"])
    return tmp_path / "served"


def save_version(folder: Path, *, load: str = "pass", predict: str = "return model_input") -> Path:
    """Save a version whose own code runs these statements when it is loaded and used."""
    code = folder / "code.py"
    template = (
        "import mlflow\n"
        "from mlflow.pyfunc.model import PythonModel\n"
        "class Version(PythonModel):\n"
        "    def load_context(self, context):\n"
        "        {load}\n"
        "    def predict(self, context, model_input, params=None):\n"
        "        {predict}\n"
        "mlflow.models.set_model(Version())\n"
    )
    # MLflow loads a model when it saves it, here, where the project can be imported.
    code.write_text(template.format(load="pass", predict="return model_input"))
    mlflow.pyfunc.save_model(str(folder / "version"), python_model=str(code), pip_requirements=[])
    (folder / "version" / "code.py").write_text(template.format(load=load, predict=predict))
    return folder / "version"


def test_blocked_packages_cannot_be_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "meta_path", [ImportBlocker(["atnet"]), *sys.meta_path])
    monkeypatch.delitem(sys.modules, "atnet.registry.lineage", raising=False)
    with pytest.raises(ImportError, match="not available where models are served"):
        __import__("atnet.registry.lineage")


@pytest.mark.slow
def test_a_version_predicts_in_its_own_process_what_the_predictor_predicts(served: Path, tmp_path: Path) -> None:
    texts = ["a good film", "bad, bad", "", "fine"]
    with open_isolated(served) as version:
        assert version.predict_example() == 2
        labels, probabilities = version.predict(texts)
        assert version.median_ms(texts) > 0
    expected = Predictor.load(tmp_path / "files").predict(texts)
    assert labels == expected.labels
    np.testing.assert_allclose(probabilities, expected.probabilities)


@pytest.mark.slow
@pytest.mark.parametrize("module", ["atnet.inference", "tensorflow", "keras"])
def test_a_version_that_needs_a_blocked_package_fails_with_its_name(module: str, tmp_path: Path) -> None:
    version = save_version(tmp_path, load=f"import {module}")
    with pytest.raises(ModelError, match=module.partition(".")[0]), open_isolated(version):
        pass


@pytest.mark.slow
def test_a_version_sees_no_credential_and_not_the_users_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    predict = "import json, os; return {'probabilities': [{json.dumps(dict(os.environ)): 1.0}]}"
    with open_isolated(save_version(tmp_path, predict=predict)) as version:
        (environment,) = version.predict(["a text"]).labels
    assert [secret for secret in SECRETS.values() if secret in environment] == []
    assert json.loads(environment)["HOME"] != os.environ.get("HOME")
    assert "PATH" in json.loads(environment)


@pytest.mark.slow
def test_a_version_whose_process_exits_by_itself_is_at_fault(tmp_path: Path) -> None:
    version = save_version(tmp_path, load="import os; os.write(2, b'no weights\\n'); os._exit(3)")
    with pytest.raises(ModelError, match=r"ended without an answer \(.*no weights"), open_isolated(version):
        pass


@pytest.mark.slow
def test_a_process_that_the_system_kills_says_nothing_about_the_version(served: Path) -> None:
    with open_isolated(served) as version:
        os.kill(version._process.process_id, 9)
        with pytest.raises(ProcessInterrupted, match=r"killed by SIGKILL.*memory"):
            version.predict_example()


@pytest.mark.slow
def test_a_version_that_loads_too_slowly_is_interrupted_and_the_message_names_the_wait(
    served: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "START_SECONDS", 0.2)
    with pytest.raises(ProcessInterrupted, match=r"did not answer within 0\.2 s"), open_isolated(served):
        pass


@pytest.mark.slow
@pytest.mark.parametrize(
    "load",
    [
        "raise MemoryError('Unable to allocate 40 GiB')",
        "raise OSError(28, 'No space left on device')",
        "import os; os.write(2, b'std::bad_alloc\\n'); os._exit(1)",
    ],
)
def test_a_machine_without_memory_or_disk_space_says_nothing_about_the_version(load: str, tmp_path: Path) -> None:
    with (
        pytest.raises(ProcessInterrupted, match="ran out of memory or disk space"),
        open_isolated(save_version(tmp_path, load=load)),
    ):
        pass


def test_requirements_that_cannot_be_installed_are_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(virtual_environment.platformdirs, "user_cache_dir", lambda _: str(tmp_path))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with pytest.raises(StoreError, match="cannot be installed"):
        isolated_python("atnet-needs-what-nobody-has==1.0\n")


@pytest.mark.parametrize(
    "line",
    [
        f"--{'index'}-url {ELSEWHERE}",
        f"--extra-{'index'}-url={ELSEWHERE}",
        "-r other.txt",
        f"numpy @ {ELSEWHERE}/numpy.whl",
        "git+https://elsewhere/numpy.git",
        "./numpy",
        "/srv/numpy.whl",
    ],
)
def test_requirements_from_another_place_are_refused(line: str) -> None:
    with pytest.raises(ModelError, match="only names of packages with versions are allowed"):
        isolated_python(f"numpy==2.4.6\n{line}\n")


def test_the_installer_gets_no_other_credentials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(virtual_environment.platformdirs, "user_cache_dir", lambda _: str(tmp_path))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "S3CRET")
    package, seen = tmp_path / "package", tmp_path / "seen"
    package.mkdir()
    (package / "pyproject.toml").write_text(
        "[build-system]\nrequires = []\nbuild-backend = 'backend'\nbackend-path = ['.']\n"
    )
    (package / "backend.py").write_text(f"import os, pathlib; pathlib.Path({str(seen)!r}).write_text(str(os.environ))")
    # A path would be refused as a requirement; here it stands for a package whose build script pip runs.
    with pytest.raises(StoreError, match="cannot be installed"):
        virtual_environment._install(tmp_path / "env", tmp_path / "env" / "bin" / "python", f"{package}\n")
    assert "PIP_NO_INDEX" in seen.read_text()
    assert "S3CRET" not in seen.read_text()


@pytest.mark.slow
def test_a_version_works_with_only_its_declared_requirements(
    served: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(virtual_environment.platformdirs, "user_cache_dir", lambda _: str(tmp_path))
    try:
        python = isolated_python("\n".join(pinned_requirements()))
    except StoreError as error:
        pytest.skip(f"no package index: {error}")
    have = subprocess.run([python, "-c", "import tensorflow"], capture_output=True)
    assert have.returncode != 0
    with open_isolated(served, python=python) as version:
        assert version.predict_example() == 2
    assert isolated_python("\n".join(pinned_requirements())) == python
