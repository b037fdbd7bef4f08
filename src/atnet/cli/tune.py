"""`atnet tune`: search for better training parameters.

Exit codes: 0 done, 130 interrupted (the next call continues), 1 error, 2 wrong usage.
"""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer()
INTERRUPTED = 130


@app.command()
def tune(
    trials: Annotated[
        int | None,
        typer.Option(min=0, help="Limit on trials in the whole study; 0 only shows (or applies) the result so far."),
    ] = None,
    minutes: Annotated[float | None, typer.Option(min=0.01, help="Time limit of this call, in minutes.")] = None,
    jobs: Annotated[int, typer.Option(min=1, help="Trials to run in parallel, each in a separate process.")] = 1,
    apply: Annotated[bool, typer.Option("--apply", help="Write the best settings to params.yaml.")] = False,
) -> None:
    """Search for better training parameters on the validation split; see `tune` in params.yaml.

    --trials or --minutes replaces both limits of params.yaml. An interrupted search continues where it stopped.
    """
    from atnet.storage import load_params
    from atnet.tuning.tune import TuningOptions, tune

    outcome = tune(load_params(), Path.cwd(), TuningOptions(trials, minutes, jobs, apply))
    print("\n".join(["", *outcome.table, ""]))
    print(f"tune: {outcome.summary}")
    print(f"tune: {outcome.link}")
    if outcome.diff:
        print(f"\n{outcome.diff}")
    print(f"tune: {_next_step(outcome.diff, outcome.applied, outcome.interrupted)}")
    if outcome.store_error is not None:
        raise outcome.store_error
    if outcome.interrupted:
        raise typer.Exit(INTERRUPTED)


def _next_step(diff: str, applied: bool, interrupted: bool) -> str:
    if interrupted:
        return "interrupted. The trials are kept: run `atnet tune` again to continue."
    if applied:
        return (
            "params.yaml was changed as shown. Run `dvc repro` to train with it; `git diff params.yaml` shows it again."
        )
    if diff:
        return "run `atnet tune --trials 0 --apply` to write this change to params.yaml without another trial."
    return "params.yaml keeps its current values."
