"""A real PostgreSQL in a separate folder, on a free port of this machine."""

import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers import free_port

USER = "postgres"


@contextlib.contextmanager
def postgresql() -> Iterator[str]:
    """Run a server and yield the URL of its database; skip where PostgreSQL is not installed."""
    programs = _programs()
    if programs is None:
        pytest.skip("PostgreSQL is not installed")
    # Not pytest's folder: only its owner may enter it, and PostgreSQL does not run as root.
    folder = Path(tempfile.mkdtemp(prefix="atnet-postgresql-"))
    port = free_port()
    settings = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={folder} -c fsync=off"
    try:
        if os.geteuid() == 0:
            shutil.chown(folder, USER)
        data = str(folder / "data")
        _run(programs, "initdb", "-D", data, "-U", "atnet", "-A", "trust", "-E", "UTF8", "--no-sync")
        _run(programs, "pg_ctl", "-D", data, "-l", str(folder / "log"), "-o", settings, "-w", "start")
        try:
            yield f"postgresql://atnet:secret@127.0.0.1:{port}/postgres"
        finally:
            _run(programs, "pg_ctl", "-D", data, "-m", "immediate", "-w", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _programs() -> Path | None:
    installed = shutil.which("initdb")
    folders = [Path(installed).parent] if installed else sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    return folders[-1] if folders else None


def _run(programs: Path, name: str, *arguments: str) -> None:
    prefix = ["runuser", "-u", USER, "--"] if os.geteuid() == 0 else []
    # A server that inherits a pipe would keep it open.
    subprocess.run(
        [*prefix, str(programs / name), *arguments],
        check=True,
        cwd="/",
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
