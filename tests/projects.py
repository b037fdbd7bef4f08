"""Small whole projects for the slow tests: a copy of this one with own data and settings that train in seconds."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

ROOT = Path(__file__).resolve().parents[1]
COPIED = (
    "src",
    "pipelines",
    "behavior",
    "data/dvc.yaml",
    "data/.gitignore",
    "data/none",
    "dvc.yaml",
    "params.yaml",
    "expectations.yaml",
    "prefect.toml",
)
COPIED_TOO = (
    "Procfile",
    "Procfile.team",
    "prefect.yaml",
    ".dvcignore",
    ".gitignore",
    ".dvc/config",
    ".dvc/.gitignore",
    "pyproject.toml",
)
OWN_DATA = "data/own.csv"
SMALL: dict[str, dict[str, Any]] = {
    "data": {"path": OWN_DATA},
    "data.columns": {"label": "label", "id": "id", "rating": None, "slices": []},
    "validate": {"label_from_rating": None},
    "baseline": {"regularization": [1.0]},
    "train": {
        "embedding_dimensions": 16,
        "filters": 16,
        "epochs": 3,
        "batch_size": 32,
        "learning_rate": 0.01,
        "soft_target_slope": None,
        "precision": "float32",
    },
    "evaluate": {"bootstrap_samples": 100, "example_texts": 5, "explained_texts": 2},
}
"""Dotted section -> values, for tables with the columns id, text and label."""


@dataclass(frozen=True, slots=True)
class Project:
    """A project in a separate folder, with git and DVC."""

    root: Path

    def run(self, *command: str, check: bool = True, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run a command in the project as a user with the environment activated would."""
        done = subprocess.run(
            command,
            cwd=self.root,
            env=self.environment(**environment),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert not check or done.returncode == 0, f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}"
        return done

    def dvc(self, *arguments: str, check: bool = True) -> str:
        """Run a DVC command and give what it printed."""
        return self.run(sys.executable, "-m", "dvc", *arguments, check=check).stdout

    def atnet(self, *arguments: str, check: bool = True) -> str:
        """Run an `atnet` command and give what it printed."""
        return self.run(sys.executable, "-m", "atnet.cli", *arguments, check=check).stdout

    def git(self, *arguments: str) -> str:
        """Run a git command and give what it printed."""
        return self.run("git", *arguments).stdout

    def commit(self) -> None:
        """Commit everything git does not ignore."""
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", "state")

    def json(self, path: str) -> Any:
        """Read a JSON file of the project."""
        return json.loads((self.root / path).read_text(encoding="utf-8"))

    def digests(self) -> dict[str, str]:
        """Map each output that dvc.lock knows to its MD5."""
        lock = yaml.safe_load((self.root / "dvc.lock").read_text(encoding="utf-8"))
        return {out["path"]: out["md5"] for stage in lock["stages"].values() for out in stage["outs"]}

    def environment(self, **more: str) -> dict[str, str]:
        """Return the environment of a command: this Python's tools, this copy's code, its own stores."""
        # Python writes its bytecode beside the code, as on a user's machine.
        foreign = ("MLFLOW_", "PREFECT_", "PYTHONDONTWRITEBYTECODE")
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
        return {
            **inherited,
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), inherited.get("PATH", "")]),
            "PYTHONPATH": os.pathsep.join([str(self.root / "src"), str(self.root)]),
            **{f"GIT_{who}_NAME": "test" for who in ("AUTHOR", "COMMITTER")},
            **{f"GIT_{who}_EMAIL": "test@example.org" for who in ("AUTHOR", "COMMITTER")},
            **more,
        }


def make_project(root: Path, settings: Mapping[str, Mapping[str, Any]] | None = None) -> Project:
    """Copy the project without its data, change settings and commit the first state."""
    project = copy_project(root)
    change_params(root / "params.yaml", {**SMALL, **(settings or {})})
    project.commit()
    return project


def copy_project(root: Path) -> Project:
    """Copy the project without its data into a git repository without commits."""
    for name in (*COPIED, *COPIED_TOO):
        _copy(ROOT / name, root / name)
    project = Project(root)
    project.git("init", "--quiet", "--initial-branch", "main")
    return project


def change_params(path: Path, settings: Mapping[str, Mapping[str, Any]]) -> None:
    """Set values in params.yaml by the dotted name of their section."""
    values = yaml.safe_load(path.read_text(encoding="utf-8"))
    for section, changes in settings.items():
        place = values
        for part in section.split("."):
            place = place[part]
        place.update(changes)
    path.write_text(yaml.safe_dump(values, sort_keys=False, allow_unicode=True), encoding="utf-8")


def add_own_data(project: Project, table: pd.DataFrame) -> None:
    """Write the table where params.yaml says and track it, as the guide tells users to."""
    path = project.root / OWN_DATA
    path.parent.mkdir(exist_ok=True)
    table.to_csv(path, index=False)
    project.dvc("add", OWN_DATA)
    project.commit()


def stages_run(output: str) -> list[str]:
    """Return the stages that ran, by DVC's output."""
    return [line.split("'")[1] for line in output.splitlines() if line.startswith("Running stage")]


def stages_of(path: Path) -> list[str]:
    """Return the stages of a dvc.yaml."""
    return list(yaml.safe_load(path.read_text(encoding="utf-8"))["stages"])


def _copy(source: Path, target: Path) -> None:
    if not source.exists():
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    else:
        shutil.copyfile(source, target)
