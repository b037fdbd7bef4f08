"""Run a stage: read params.yaml, print the line it returns, report errors in one message."""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from atnet.config import Params
from atnet.diagnosis.foreign_files import mark_started, require_no_foreign_files
from atnet.environment import prepare_process
from atnet.errors import AtnetError
from atnet.file_system import file_system_errors
from atnet.files import DEFAULT_DATA, PARAMS_FILE
from atnet.redaction import redact
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
    prepare_process()
    parser = argparse.ArgumentParser(prog=f"python -m atnet.stages.{name}")
    parser.add_argument("--root", type=Path, default=Path(), help="the project folder")
    root = parser.parse_args(argv).root
    try:
        with file_system_errors():
            params = load_params(root / PARAMS_FILE)
            if not _is_guarded(name, params, root):
                return 1
            print(f"{name}: {stage(params, root)}", flush=True)
    except AtnetError as error:
        return _fail(name, str(error))
    except KeyboardInterrupt:
        _fail(name, "interrupted; no half-written file is left. Run `make pipeline` or `dvc repro` to continue.")
        return 130
    return 0


def _is_guarded(name: str, params: Params, root: Path) -> bool:
    """Refuse to run if files would be lost; without the advice to check out outputs, which would replace them too."""
    try:
        require_no_foreign_files(root, default_data=Path(params.data.path) == DEFAULT_DATA)
    except AtnetError as error:
        print(f"{name}: {error}", file=sys.stderr, flush=True)
        return False
    mark_started(root, name)
    return True


def _fail(name: str, message: str) -> int:
    print(f"{name}: {redact(message)}\n{RECOVERY}", file=sys.stderr, flush=True)
    return 1
