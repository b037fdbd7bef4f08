"""Run a stage: read params.yaml, print the line it returns, report errors in one message."""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from atnet.config import Params
from atnet.errors import AtnetError
from atnet.file_system import file_system_errors
from atnet.files import PARAMS_FILE
from atnet.storage import load_params

# Only the outputs of dvc.yaml: without a target, an input file that has just been changed would be restored too.
RECOVERY = (
    "The last good version, if there was one, is in DVC's cache: "
    "`git checkout dvc.lock && dvc checkout --force --allow-missing dvc.yaml` restores it."
)

Stage = Callable[[Params, Path], str]
"""Reads and writes below the project folder and returns one line about the result."""


def run_stage(name: str, stage: Stage, argv: Sequence[str] | None) -> int:
    """Run a stage in the current folder, or in the folder given by `--root`, and print the line it returns.

    Returns:
        The exit code: 0, 1 for an error that the user can fix, 130 when interrupted.
    """
    parser = argparse.ArgumentParser(prog=f"python -m atnet.stages.{name}")
    parser.add_argument("--root", type=Path, default=Path(), help="the project folder")
    root = parser.parse_args(argv).root
    try:
        with file_system_errors():
            print(f"{name}: {stage(load_params(root / PARAMS_FILE), root)}", flush=True)
    except AtnetError as error:
        return _fail(name, str(error))
    except KeyboardInterrupt:
        _fail(name, "interrupted; no half-written file is left. Run `dvc repro` to continue.")
        return 130
    return 0


def _fail(name: str, message: str) -> int:
    print(f"{name}: {message}\n{RECOVERY}", file=sys.stderr, flush=True)
    return 1
