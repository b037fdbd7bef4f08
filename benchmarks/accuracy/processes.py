"""Several commands at a time, each on one core, all ended when the benchmark ends."""

import contextlib
import os
import signal
import subprocess
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
"""Environment that limits the libraries to one thread, so that results and seconds do not depend on --jobs."""

Item = TypeVar("Item")
_running: set["subprocess.Popen[str]"] = set()
_lock = threading.Lock()


class CommandError(Exception):
    """A command failed; the message contains its output."""


@dataclass(frozen=True, slots=True)
class Command:
    """A command with its name for messages."""

    name: str
    arguments: tuple[str, ...]
    folder: Path
    """Where it runs."""
    environment: Mapping[str, str]


def run(command: Command) -> str:
    """Run a command to its end and return its output.

    Raises:
        CommandError: if it fails.
    """
    with _lock:
        # Standard input stays open for as long as this process lives: see exit_with_parent. A separate session, so
        # that a command and the processes it started can be ended together.
        process = subprocess.Popen(
            command.arguments,
            cwd=command.folder,
            env=dict(command.environment),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        _running.add(process)
    try:
        assert process.stdout is not None
        assert process.stdin is not None
        output = process.stdout.read()
        process.wait()
        process.stdout.close()
        process.stdin.close()
    finally:
        with _lock:
            _running.discard(process)
    if process.returncode != 0:
        raise CommandError(f"{command.name} ended with exit code {process.returncode}:\n{output.strip()}")
    return output


def run_parallel(action: Callable[[Item], None], items: Sequence[Item], jobs: int) -> None:
    """Call `action` for every item, `jobs` at a time; after an error no further item is started.

    Raises:
        CommandError: the first error.
    """
    with ThreadPoolExecutor(max_workers=jobs) as pool:
        futures = [pool.submit(action, item) for item in items]
        try:
            done, _ = wait(futures, return_when=FIRST_EXCEPTION)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            terminate_all()
            raise
        pool.shutdown(wait=True, cancel_futures=True)
    for future in done:
        future.result()


def exit_with_parent() -> None:
    """End this process when the benchmark has ended, even if it was killed: its results would not be read."""

    def watch() -> None:
        # Not through sys.stdin: its lock would still be held when this process wants to exit.
        os.read(0, 1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def terminate_all() -> None:
    """End every command that is still running, with the processes it started."""
    with _lock:
        for process in _running:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
