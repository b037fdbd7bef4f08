"""`atnet release`: run the gate on the published model.

Exit codes: 0 promoted (or live already), 3 rejected, 4 waiting for approval, 1 error, 2 incorrect usage.
"""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from atnet.release.gate_inputs import IsolationOptions
from atnet.release.workflow import ReleaseOptions, release
from atnet.storage import load_params

app = typer.Typer()
EXIT_CODES = {"promoted": 0, "unchanged": 0, "rejected": 3, "pending_approval": 4}


@app.command("release")
def release_model(
    isolated: Annotated[
        bool, typer.Option("--isolated", help="Also load the model in a new environment with only its requirements.")
    ] = False,
    allow_unchecked: Annotated[
        bool, typer.Option("--allow-unchecked", help="Continue if that environment cannot be created.")
    ] = False,
    again: Annotated[
        bool, typer.Option("--again", help="Run the gate again for a model that users rejected or rolled back.")
    ] = False,
) -> None:
    """Run the gate on the published model; promote it if it passes.

    Exit code 0: promoted, or live already; 3: rejected; 4: waiting for approval; 1: error.
    """
    options = ReleaseOptions(IsolationOptions(isolated, allow_unchecked), again=again)
    outcome = release(load_params(), Path.cwd(), options, now=datetime.now(UTC))
    print(f"release: {outcome.message}")
    if outcome.record is not None:
        for reason in outcome.record.result.reasons:
            print(f"  failed   {reason}")
        for warning in outcome.record.result.warnings:
            print(f"  warning  {warning}")
        print(f"  details  {_relative(outcome.record.file)}")
    raise typer.Exit(EXIT_CODES[outcome.result])


def _relative(path: Path) -> Path:
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
