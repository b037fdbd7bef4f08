"""One Prefect task per DVC stage: DVC decides whether there is work, and its output goes to the task's log."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout
from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.runtime import deployment
from prefect.states import Completed, Failed

from atnet.errors import AtnetError
from atnet.files import FLOW_LOCK
from pipelines.stage_list import dvc_address

CACHED_MARKS = ("didn't change, skipping", "is cached - skipping run")
DVC_HINTS = (
    "To track the changes with git",
    "git add ",
    "To enable auto staging",
    "dvc config core.autostage",
    "Use `dvc push`",
)
"""Hints that DVC prints after every stage for a person at a terminal; a log is easier to read without them."""
INTERRUPT_SECONDS = 30
"""How long an interrupted stage may take to clean up."""
LAST_LINES = 20
LOCK_SECONDS = 10.0
DEPLOYMENT_LOCK_SECONDS = 6 * 3600.0
"""How long a run of a deployment waits for another flow: a release must not fail because the next training started."""


class StageFailed(AtnetError):
    """A stage failed; the message is the stage's own."""


@dataclass(frozen=True, slots=True)
class StageOutcome:
    """What DVC did with one stage."""

    stage: str
    cached: bool


def run_stage(stage: str, root: Path, log: Callable[[str], None]) -> StageOutcome:
    """Run `dvc repro --single-item` and log each line as it is printed.

    Raises:
        StageFailed: with the stage's own message.
    """
    command = [sys.executable, "-m", "dvc", "repro", "--single-item", dvc_address(stage)]
    lines: list[str] = []
    with _process(command, root) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.strip() and not line.strip().startswith(DVC_HINTS):
                lines.append(line.rstrip())
                log(lines[-1])
    if process.returncode != 0:
        raise StageFailed(stage_message(stage, lines))
    return StageOutcome(stage, cached=any(mark in line for line in lines for mark in CACHED_MARKS))


def stage_message(stage: str, lines: Sequence[str]) -> str:
    """Return the stage's own last message; without one, the last lines of DVC."""
    own = [position for position, line in enumerate(lines) if line.startswith(f"{stage}: ")]
    first = own[-1] if own else max(0, len(lines) - LAST_LINES)
    # The stage's message may have several lines; what DVC adds about its command is redundant.
    message = [line for line in lines[first:] if not (own and line.startswith("ERROR: failed to reproduce"))]
    return "\n".join(message).strip() or f"{stage}: failed without a message. Run `dvc repro {dvc_address(stage)}`."


@contextlib.contextmanager
def _process(command: Sequence[str], root: Path) -> Iterator[subprocess.Popen[str]]:
    # The stages call `python`: it must be this environment's, whether or not the environment is activated.
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    process = subprocess.Popen(
        command,
        cwd=root,
        env={**os.environ, "PATH": path, "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
        errors="replace",
        # Its own group: an interrupt must reach the stage itself, not only DVC, which ignores it meanwhile.
        start_new_session=True,
        # If this flow is killed, the stage keeps the flow's lock until it ends, so no second flow can interfere.
        pass_fds=_held_locks,
    )
    try:
        yield process
        process.wait()
    except BaseException:
        _interrupt(process)
        raise
    finally:
        if process.stdout is not None:
            process.stdout.close()


def _interrupt(process: subprocess.Popen[str]) -> None:
    for number in (signal.SIGINT, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=INTERRUPT_SECONDS)
            return


@task(name="dvc-stage", task_run_name="{stage}", cache_policy=NO_CACHE, retries=0)
def stage_task(stage: str) -> State:
    """Run one stage if its inputs have changed; an unchanged one ends in the state Cached."""
    try:
        outcome = run_stage(stage, Path.cwd(), get_run_logger().info)
    except StageFailed as error:
        return Failed(message=str(error))
    if outcome.cached:
        return Completed(name="Cached", message=f"{stage} did not change")
    return Completed(message=f"{stage} has run")


_held_locks: list[int] = []
"""File descriptors of the locks that this process's flows hold."""


@contextlib.contextmanager
def pipeline_lock(root: Path, timeout_seconds: float | None = None) -> Iterator[None]:
    """Lock the project for one flow. Stages inherit the lock: it is released when the flow and its stages have ended.

    Args:
        root: the project folder.
        timeout_seconds: how long to wait for the lock; by default short for a user and long for a deployment's run.

    Raises:
        AtnetError: if another flow, or a stage that a killed flow left running, holds it.
    """
    path = root / FLOW_LOCK
    path.parent.mkdir(parents=True, exist_ok=True)
    if timeout_seconds is None:
        timeout_seconds = DEPLOYMENT_LOCK_SECONDS if deployment.id else LOCK_SECONDS
    lock = FileLock(path, timeout=timeout_seconds)
    try:
        with lock:
            descriptor = lock._context.lock_file_fd
            assert descriptor is not None
            _held_locks.append(descriptor)
            try:
                yield
            finally:
                _held_locks.remove(descriptor)
    except Timeout:
        raise AtnetError(
            f"Another flow, or a stage it left running, is active in this project and holds {FLOW_LOCK}. "
            "Start this flow again when that has finished."
        ) from None
