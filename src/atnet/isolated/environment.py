"""An environment with only what a version says it needs."""

import hashlib
import subprocess
import sys
import venv
from pathlib import Path

import platformdirs
from filelock import FileLock

from atnet.errors import StoreError

INSTALL_SECONDS = 900
DONE = ".installed"


def isolated_python(requirements: str) -> str:
    """Give the interpreter of a fresh environment with these requirements; the same ones are installed once.

    Raises:
        StoreError: if they cannot be installed, as without a package index.
    """
    key = hashlib.sha256(f"{sys.version}\n{requirements}".encode()).hexdigest()[:16]
    folder = Path(platformdirs.user_cache_dir("atnet")) / "environments" / key
    folder.parent.mkdir(parents=True, exist_ok=True)
    python = folder / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    with FileLock(f"{folder}.lock"):
        # Written last, so that an installation that was cut short is done again from the start.
        if not (folder / DONE).exists():
            _install(folder, python, requirements)
            (folder / DONE).touch()
    return str(python)


def _install(folder: Path, python: Path, requirements: str) -> None:
    venv.create(folder, clear=True, with_pip=False)
    listed = folder / "requirements.txt"
    listed.write_text(requirements, encoding="utf-8")
    command = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet"]
    command += ["--disable-pip-version-check", "--retries", "1", "-r", str(listed)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_SECONDS)
    except subprocess.TimeoutExpired:
        raise StoreError(f"the requirements were not installed within {INSTALL_SECONDS} s") from None
    if done.returncode != 0:
        said = [line for line in done.stderr.splitlines() if line.startswith("ERROR")] or [f"exit {done.returncode}"]
        raise StoreError(f"the requirements cannot be installed ({said[0].removeprefix('ERROR: ')})")
