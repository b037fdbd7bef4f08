"""Processes side by side: so many at a time, each on one core, all ended when the benchmark is."""

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

ONE_CORE = dict.fromkeys(
    (
        "OMP_NUM_THREADS",
        "OPENBLAS_NUM_THREADS",
        "RAYON_NUM_THREADS",
        "TF_NUM_INTEROP_THREADS",
        "TF_NUM_INTRAOP_THREADS",
    ),
    "1",
)
"""Environment that keeps the libraries to one thread, whatever --jobs is: results and seconds do not depend on it."""

Item = TypeVar("Item")
_running: set["subprocess.Popen[str]"] = set()
_guard = threading.Lock()


class Faulty(Exception):
    """A process failed; the message holds what it printed."""


@dataclass(frozen=True, slots=True)
class Command:
    """A Python module to run as a process."""

    name: str
    """For messages."""
    module: tuple[str, ...]
    """With its arguments."""
    folder: Path
    """Where it runs."""
    environment: Mapping[str, str]


def run(command: Command) -> str:
    """Run to the end; give what it printed.

    Raises:
        Faulty: if it fails.
    """
    with _guard:
        # Standard input stays open as long as this process lives; end_with_parent waits for its end.
        process = subprocess.Popen(
            [sys.executable, "-m", *command.module],
            cwd=command.folder,
            env=dict(command.environment),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
        _running.add(process)
    try:
        assert process.stdout is not None
        assert process.stdin is not None
        printed = process.stdout.read()
        process.wait()
        process.stdout.close()
        process.stdin.close()
    finally:
        with _guard:
            _running.discard(process)
    if process.returncode != 0:
        raise Faulty(f"{command.name} ended with {process.returncode}:\n{printed.strip()}")
    return printed


def side_by_side(act: Callable[[Item], None], items: Sequence[Item], jobs: int) -> None:
    """Call for every item, `jobs` at a time; after a fault no further item is begun.

    Raises:
        Faulty: the first fault.
    """
    with ThreadPoolExecutor(max_workers=jobs) as pool:
        futures = [pool.submit(act, item) for item in items]
        try:
            done, _ = wait(futures, return_when=FIRST_EXCEPTION)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            end_all()
            raise
        pool.shutdown(wait=True, cancel_futures=True)
    for future in done:
        future.result()


def end_with_parent() -> None:
    """End this process when the one that began it is gone, even killed: nobody would wait for its results."""

    def watch() -> None:
        # Not through sys.stdin: its lock would still be held when this process wants to end.
        os.read(0, 1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def end_all() -> None:
    """End every process that still runs."""
    with _guard:
        for process in _running:
            process.terminate()
