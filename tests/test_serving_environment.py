"""The service's own light environment and the steps of its Dockerfile."""

import json
import re
import shlex
import shutil
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from tests.service import make_project, running_service

ROOT = Path(__file__).resolve().parents[1]
TOO_HEAVY = {"tensorflow", "tensorflow-cpu", "keras", "mlflow", "dvc", "prefect", "great-expectations", "pandas"}
TOO_HEAVY |= {"scikit-learn", "scipy", "matplotlib", "optuna"}
MEGABYTES = 560
"""Largest allowed size of the environment, bytecode included."""
WITHOUT = """
import sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {names!r}:
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Missing())
import atnet.serving.{module}
"""
"""Imports a module where these packages are not installed."""


def _locked(name: str) -> dict[str, set[str]]:
    versions: dict[str, set[str]] = {}
    for line in (ROOT / name).read_text(encoding="utf-8").splitlines():
        if match := re.match(r"([A-Za-z0-9._-]+)==(\S+)", line):
            versions.setdefault(match[1].lower(), set()).add(match[2])
    return versions


def test_the_lock_of_the_service_is_light_and_hashed() -> None:
    text = (ROOT / "requirements-serving.lock").read_text(encoding="utf-8")
    assert set(_locked("requirements-serving.lock")) & TOO_HEAVY == set()
    assert "--hash=sha256:" in text
    assert not re.search(r"^--|https?://", text, re.MULTILINE)


def test_the_service_has_the_versions_that_the_project_is_tested_with() -> None:
    main = _locked("requirements.lock")
    for name, versions in _locked("requirements-serving.lock").items():
        assert versions <= main.get(name, versions), name


@pytest.mark.slow
@pytest.mark.parametrize("module", ["http_worker", "supervisor", "registry_process"])
def test_the_processes_start_where_the_heavy_packages_are_missing(module: str) -> None:
    names = ["tensorflow", "keras", "pandas", "sklearn", "scipy", "matplotlib", "dvc", "prefect", "great_expectations"]
    if module != "registry_process":
        names += ["mlflow", "sqlalchemy", "requests"]
    code = WITHOUT.format(names=names, module=module)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr


def _instructions() -> list[tuple[str, str]]:
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return [(word, rest.strip()) for word, _, rest in (line.partition(" ") for line in lines)]


def test_the_image_runs_as_an_unprivileged_user_and_checks_its_health() -> None:
    words = dict(_instructions())
    assert words["USER"] not in ("root", "0")
    assert "/health" in words["HEALTHCHECK"]
    assert words["ENTRYPOINT"].endswith('"serve", "--host", "0.0.0.0"]')
    assert "os.environ" not in words["HEALTHCHECK"]


@pytest.mark.slow
def test_the_steps_of_the_dockerfile_give_a_service_that_answers(tmp_path: Path, empty_store: Path) -> None:
    image = tmp_path / "image"
    project = make_project(image / "project", empty_store)
    project.promote(project.publish().number)
    for word, rest in _instructions():
        if word == "COPY" and not rest.startswith("--from") and not rest.startswith("params.yaml"):
            _copy(*shlex.split(rest), image)
        elif word == "RUN" and not rest.startswith("useradd"):
            command = rest.replace("/service/", f"{image}/service/")
            # The image's own Python is this one.
            command = re.sub(r"^python ", f"{shlex.quote(sys.executable)} ", command)
            done = subprocess.run(["sh", "-c", command], capture_output=True, text=True)
            assert done.returncode == 0, done.stderr
    python = image / "service/venv/bin/python"
    size = sum(path.lstat().st_size for path in (image / "service/venv").rglob("*") if path.is_file()) / 1e6
    assert size < MEGABYTES, f"{size:.0f} MB"
    with running_service(project.root, python=str(python), PYTHONPATH=str(image / "service/src")) as service:
        assert service.predict(text="good").json()["predictions"][0]["label"] == "positive"
        check = dict(_instructions())["HEALTHCHECK"].partition(" CMD ")[2].replace(":8000", f":{service.port}")
        command = [str(python), *json.loads(check)[1:]]
        assert subprocess.run(command).returncode == 0
        with urllib.request.urlopen(f"{service.address}/") as page:
            assert b"<textarea" in page.read()
    assert subprocess.run(command, capture_output=True).returncode != 0


def _copy(source: str, target: str, image: Path) -> None:
    place = image / target.lstrip("/")
    place.parent.mkdir(parents=True, exist_ok=True)
    if (ROOT / source).is_dir():
        shutil.copytree(ROOT / source, place, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    else:
        shutil.copyfile(ROOT / source, place)
