"""Small copies of the project, one for each model, dataset and seed, that share one DVC cache.

DVC decides what must run: the copies' stages have the project's dependencies, so a result is used again only while
data, code, parameters and package versions are the same. The cache is not the project's own, because results made on
one core differ in the last digits from those of `make pipeline`.
"""

import contextlib
import os
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from atnet.files import DVC_FILE, EXPECTATIONS, NO_FILE, PARAMS_FILE, RAW
from atnet.storage import write_text
from benchmarks.accuracy.datasets import Dataset
from benchmarks.accuracy.graph import SEEDS_FILE, benchmark_graph, packages_file
from benchmarks.accuracy.models import Kind
from benchmarks.accuracy.processes import Command, CommandError, run
from benchmarks.measure import versions

PACKAGES: Mapping[Kind, tuple[str, ...]] = {
    "atnet": ("tensorflow-cpu", "tensorflow", "keras", "tokenizers", "onnxruntime", "numpy"),
    "linear": ("scikit-learn", "scipy", "tokenizers", "numpy"),
    "fasttext": ("fasttext-wheel", "tokenizers", "numpy"),
}
CODE = ("src", "benchmarks")
DVC = (sys.executable, "-m", "dvc")
STORE_VARIABLE = "ATNET_BENCHMARK_STORE"
"""Names an empty MLflow store for `train_atnet` to copy: creating one takes seconds."""
CONFIG = """[core]
    no_scm = true
    analytics = false
    autostage = false
[cache]
    dir = {cache}
    type = "reflink,hardlink,copy"
"""


@dataclass(frozen=True, slots=True)
class Workspace:
    """Where the copies are made and from what."""

    snapshot: Path
    """The project's code when the benchmark started, so that an edit during a long run changes nothing."""
    folder: Path
    environment: Mapping[str, str]
    """Of every command."""

    @property
    def store(self) -> Path:
        """Return the empty MLflow store."""
        return self.folder / "store.db"

    def project(self, dataset: Dataset, name: str) -> Path:
        """Return the folder of a copy."""
        return self.folder / dataset.name / name.replace(" ", "-")

    def create_project(self, dataset: Dataset, name: str, params: Mapping[str, Any], seeds: Mapping[str, int]) -> Path:
        """Create or update a copy; outputs that are there stay, and DVC checks whether they are still valid."""
        project = self.project(dataset, name)
        for folder in CODE:
            shutil.rmtree(project / folder, ignore_errors=True)
            shutil.copytree(self.snapshot / folder, project / folder, ignore=shutil.ignore_patterns("__pycache__"))
        _link(dataset.path, project / RAW / dataset.path.name)
        write_text(project / PARAMS_FILE, yaml.safe_dump(dict(params), sort_keys=False))
        write_text(project / EXPECTATIONS, "expectations: []\n")
        write_text(project / SEEDS_FILE, yaml.safe_dump(dict(seeds)))
        write_text(project / DVC_FILE, benchmark_graph((self.snapshot / DVC_FILE).read_text(encoding="utf-8")))
        write_text(project / NO_FILE, "")
        write_text(project / ".dvc" / "config", CONFIG.format(cache=self.folder / "cache"))
        for kind, packages in PACKAGES.items():
            write_text(project / packages_file(kind), versions(*packages) + "\n")
        return project

    def reproduce(self, project: Path, *targets: str) -> str:
        """Run `dvc repro` in a copy and return its output.

        Raises:
            CommandError: with the output of the stage that failed.
        """
        return run(self._dvc(project, "repro", *targets))

    def is_current(self, project: Path, target: str) -> bool:
        """Return whether a stage's outputs exist and match its dependencies."""
        try:
            run(self._dvc(project, "status", "--quiet", target))
        except CommandError:
            return False
        return True

    def create_store(self) -> None:
        """Create the empty MLflow store if there is none."""
        if self.store.is_file():
            return
        part = self.store.with_suffix(".part")
        part.unlink(missing_ok=True)
        variables = {**self.environment, "MLFLOW_TRACKING_URI": f"sqlite:///{part}"}
        run(Command("store", (sys.executable, "-m", "mlflow", "experiments", "search"), self.folder, variables))
        part.rename(self.store)

    def _dvc(self, project: Path, *arguments: str) -> Command:
        paths = os.pathsep.join([str(project / "src"), str(project)])
        variables = {**self.environment, "PYTHONPATH": paths, STORE_VARIABLE: str(self.store)}
        return Command(str(project.relative_to(self.folder)), (*DVC, *arguments), project, variables)


def _link(source: Path, target: Path) -> None:
    """Put the data file into a copy, without using its space twice where the file system allows it."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.exists() and os.path.samefile(source, target):
        return
    target.unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        os.link(source, target)
        return
    shutil.copyfile(source, target)
