"""A copy of the project without data, caches and stores, for cold runs that change nothing in the project."""

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


@contextlib.contextmanager
def project_copy() -> Iterator[Path]:
    """Copy every file that git does not ignore, uncommitted ones too, into a new git repository."""
    with tempfile.TemporaryDirectory(prefix="atnet-benchmark-") as folder:
        root = Path(folder, "project")
        listing = _git(ROOT, "ls-files", "-z", "--cached", "--others", "--exclude-standard")
        for name in filter(None, listing.split("\0")):
            # dvc.lock describes outputs that the copy does not have.
            if (ROOT / name).is_file() and Path(name).name != "dvc.lock":
                (root / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(ROOT / name, root / name)
        _git(root, "init", "--quiet")
        _git(root, "add", "--all")
        _git(root, "-c", "user.name=benchmark", "-c", "user.email=benchmark@localhost", "commit", "-qm", "state")
        yield root


def command_environment(root: Path, first_on_path: Path | None = None) -> dict[str, str]:
    """Return the environment of a command in a copy: this Python's tools, the copy's code, the copy's stores."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
    folders = [*([first_on_path] if first_on_path else []), Path(sys.executable).parent]
    return {
        **inherited,
        "PATH": os.pathsep.join([*map(str, folders), inherited.get("PATH", "")]),
        "PYTHONPATH": str(root / "src"),
    }


def _git(folder: Path, *arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=folder, check=True, capture_output=True, text=True).stdout
