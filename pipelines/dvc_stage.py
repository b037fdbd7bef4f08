"""One Prefect task per DVC stage: DVC decides whether anything is to be done, its output goes to the task's log."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml
from filelock import FileLock, Timeout
from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed

from atnet.config import Params
from atnet.errors import AtnetError
from atnet.files import DEFAULT_DATA, DVC_FILE, FLOW_LOCK

SAMPLE = "sample"
SAMPLE_FILE = Path("data") / DVC_FILE
CACHED_MARKS = ("didn't change, skipping", "is cached - skipping run")
ADVICE = (
    "To track the changes with git",
    "git add ",
    "To enable auto staging",
    "dvc config core.autostage",
    "Use `dvc push`",
)
"""What DVC advises after every stage to a person at a terminal; in a log it hides what happened."""
INTERRUPT_SECONDS = 30
"""How long an interrupted stage may take to tidy up."""


class StageFailed(AtnetError):
    """A stage ended with a fault; the message is the stage's own."""


@dataclass(frozen=True, slots=True)
class StageOutcome:
    """What DVC did with one stage."""

    stage: str
    cached: bool


def pipeline_stages(root: Path = Path()) -> tuple[str, ...]:
    """Return the stages in the order of data/dvc.yaml and dvc.yaml."""
    files = [root / SAMPLE_FILE, root / DVC_FILE]
    return tuple(stage for file in files for stage in yaml.safe_load(file.read_text(encoding="utf-8"))["stages"])


def stages_for(params: Params, root: Path = Path()) -> tuple[str, ...]:
    """Return the stages to run; `sample` is one of them only if `data.path` is the default data."""
    uses_default_data = Path(params.data.path) == DEFAULT_DATA
    return tuple(stage for stage in pipeline_stages(root) if stage != SAMPLE or uses_default_data)


def dvc_address(stage: str) -> str:
    """Return the name by which DVC knows a stage: `sample` is in a dvc.yaml of its own."""
    return f"{SAMPLE_FILE}:{SAMPLE}" if stage == SAMPLE else stage


def run_stage(stage: str, root: Path, tell: Callable[[str], None]) -> StageOutcome:
    """Run `dvc repro --single-item` and hand each line it prints to `tell` at once.

    Raises:
        StageFailed: with the stage's own message.
    """
    command = [sys.executable, "-m", "dvc", "repro", "--single-item", dvc_address(stage)]
    lines: list[str] = []
    with _process(command, root) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.strip() and not line.strip().startswith(ADVICE):
                lines.append(line.rstrip())
                tell(lines[-1])
    if process.returncode != 0:
        raise StageFailed(stage_message(stage, lines))
    return StageOutcome(stage, cached=any(mark in line for line in lines for mark in CACHED_MARKS))


def stage_message(stage: str, lines: Sequence[str]) -> str:
    """Find what the stage itself said last; if it said nothing, what DVC said."""
    told = [position for position, line in enumerate(lines) if line.startswith(f"{stage}: ")]
    first = told[-1] if told else max(0, len(lines) - 20)
    # The stage's message may have several lines; what DVC adds about its own command says nothing new.
    kept = [line for line in lines[first:] if not (told and line.startswith("ERROR: failed to reproduce"))]
    return "\n".join(kept).strip() or f"{stage}: failed without a message. Run `dvc repro {dvc_address(stage)}`."


@contextlib.contextmanager
def _process(command: Sequence[str], root: Path) -> Iterator[subprocess.Popen[str]]:
    # The stages call `python`: it must be this environment's, whether or not that is activated.
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
    for sign in (signal.SIGINT, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, sign)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=INTERRUPT_SECONDS)
            return


@task(name="dvc-stage", task_run_name="{stage}", cache_policy=NO_CACHE, retries=0)
def stage_task(stage: str) -> State:
    """Bring one stage up to date; an unchanged one ends in the state Cached."""
    try:
        outcome = run_stage(stage, Path.cwd(), get_run_logger().info)
    except StageFailed as error:
        return Failed(message=str(error))
    if outcome.cached:
        return Completed(name="Cached", message=f"{stage} did not change")
    return Completed(message=f"{stage} has run")


@contextlib.contextmanager
def pipeline_lock(root: Path, timeout_seconds: float = 10) -> Iterator[None]:
    """Hold the project for one flow's work.

    Raises:
        AtnetError: if another flow holds it.
    """
    path = root / FLOW_LOCK
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(path, timeout=timeout_seconds):
            yield
    except Timeout:
        raise AtnetError(
            f"Another flow is at work in this project: it holds {FLOW_LOCK}. Start again when it has ended."
        ) from None
