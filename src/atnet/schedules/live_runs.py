"""Which flow runs have a live process on this machine: each process keeps its own file locked while it runs."""

import contextlib
import fcntl
from pathlib import Path
from typing import IO

from atnet.files import STATE

RUN_LOCKS = STATE / "runs"


def lock_run(root: Path, run_id: str) -> IO[str]:
    """Lock the run's file; the lock ends with the returned file, or with the process however it ends."""
    path = root / RUN_LOCKS / f"{run_id}.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    file = path.open("a", encoding="utf-8")
    fcntl.flock(file, fcntl.LOCK_EX)
    return file


def is_run_alive(root: Path, run_id: str) -> bool:
    """Return whether a process on this machine is working on the run."""
    try:
        with (root / RUN_LOCKS / f"{run_id}.lock").open("r+", encoding="utf-8") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except FileNotFoundError:
        return False
    return False


def left_over_locks(root: Path) -> list[Path]:
    """Return the files of runs whose process has ended."""
    folder = root / RUN_LOCKS
    files = sorted(folder.glob("*.lock")) if folder.is_dir() else []
    return [path for path in files if not is_run_alive(root, path.stem)]


def remove_left_over_locks(root: Path) -> int:
    """Delete the files of runs whose process has ended; return how many there were."""
    files = left_over_locks(root)
    for path in files:
        with contextlib.suppress(FileNotFoundError):
            path.unlink()
    return len(files)
