"""A virtual environment with only the packages that a model version declares."""

import hashlib
import os
import re
import subprocess
import sys
import venv
from pathlib import Path

import platformdirs
from filelock import FileLock

from atnet.environment import reduced_environment
from atnet.errors import ModelError, StoreError

INSTALL_SECONDS = 900
DONE = ".installed"
REQUIREMENT = re.compile(r"[A-Za-z0-9][\w.\-]*(\[[\w.,\- ]+\])?\s*([<>=!~]=?[\w.*+!,<>=~ ]+)?(;.*)?")
"""A package with versions: no option, address or path, which would install from a place the user has not chosen."""
INSTALLER_VARIABLES = re.compile(
    r"PIP_\w+|(HTTPS?|ALL|NO)_PROXY|SSL_CERT_\w+|REQUESTS_CA_BUNDLE|HOME|USERPROFILE|XDG_\w+", re.IGNORECASE
)
"""Variables that pip needs; a package's build script, which pip runs, gets no other credentials."""


def isolated_python(requirements: str) -> str:
    """Return the interpreter of a virtual environment with these requirements; the same ones are installed once.

    Raises:
        ModelError: if a line is anything but a package with versions.
        StoreError: if they cannot be installed, for example without a package index.
    """
    _check_requirements(requirements)
    key = hashlib.sha256(f"{sys.version}\n{requirements}".encode()).hexdigest()[:16]
    folder = Path(platformdirs.user_cache_dir("atnet")) / "environments" / key
    folder.parent.mkdir(parents=True, exist_ok=True)
    python = folder / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    with FileLock(f"{folder}.lock"):
        # Written last, so that an interrupted installation is repeated from the start.
        if not (folder / DONE).exists():
            _install(folder, python, requirements)
            (folder / DONE).touch()
    return str(python)


def _check_requirements(requirements: str) -> None:
    for line in requirements.splitlines():
        requirement = line.partition("#")[0].strip()
        if requirement and not REQUIREMENT.fullmatch(requirement):
            raise ModelError(
                f"its requirements.txt has the line {requirement!r}; only names of packages with versions are allowed"
            )


def _install(folder: Path, python: Path, requirements: str) -> None:
    venv.create(folder, clear=True, with_pip=False)
    requirements_file = folder / "requirements.txt"
    requirements_file.write_text(requirements, encoding="utf-8")
    command = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet"]
    command += ["--disable-pip-version-check", "--retries", "1", "-r", str(requirements_file)]
    try:
        done = subprocess.run(
            command,
            env=_installer_environment(),
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=INSTALL_SECONDS,
        )
    except subprocess.TimeoutExpired:
        raise StoreError(f"the requirements were not installed within {INSTALL_SECONDS} s") from None
    if done.returncode != 0:
        errors = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
        reason = errors[0].removeprefix("ERROR: ") if errors else f"exit code {done.returncode}"
        raise StoreError(f"the requirements cannot be installed ({reason})")


def _installer_environment() -> dict[str, str]:
    return reduced_environment(
        {name: value for name, value in os.environ.items() if INSTALLER_VARIABLES.fullmatch(name)}
    )
