"""How every stage is run: folders in, one line out, faults told in one message."""

import argparse
import errno
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from atnet.config import Params
from atnet.errors import AtnetError
from atnet.storage import PARAMS_FILE, load_params

# Only what dvc.yaml makes: without a target it would also put back an input file that has just been changed.
RECOVERY = (
    "The last good version, if there was one, is in DVC's cache: "
    "`git checkout dvc.lock && dvc checkout --force --allow-missing dvc.yaml` brings it back."
)


def run_stage(
    stage: str,
    folders: Sequence[str],
    body: Callable[..., str],
    argv: Sequence[str] | None,
) -> int:
    """Call `body(params, **folders)` with the command line's folders and print the line it returns.

    Returns:
        The exit code: 0, 1 for a fault the user can mend, 130 when interrupted.
    """
    parser = argparse.ArgumentParser(prog=f"python -m atnet.stages.{stage}")
    parser.add_argument("--params", default=PARAMS_FILE, help="the parameter file")
    for folder in folders:
        parser.add_argument(folder, type=Path)
    arguments = vars(parser.parse_args(argv))
    try:
        params: Params = load_params(arguments.pop("params"))
        print(f"{stage}: {body(params, **arguments)}", flush=True)
    except AtnetError as error:
        return _fail(stage, str(error))
    except KeyboardInterrupt:
        _fail(stage, "interrupted; nothing half-written was left. Run `dvc repro` to go on.")
        return 130
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        return _fail(stage, f"the disk is full: {error}. Free some space and run `dvc repro` again.")
    return 0


def _fail(stage: str, message: str) -> int:
    print(f"{stage}: {message}\n{RECOVERY}", file=sys.stderr, flush=True)
    return 1
