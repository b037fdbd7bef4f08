"""The command that searches for better training parameters.

Exit codes: 0 searched, 130 interrupted (the next call goes on), 1 error, 2 wrong usage.
"""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer()
INTERRUPTED = 130


@app.command()
def tune(
    trials: Annotated[
        int | None, typer.Option(min=0, help="Trials of the whole search; 0: only show (or --apply) what is known.")
    ] = None,
    minutes: Annotated[float | None, typer.Option(min=0.01, help="Minutes of this call.")] = None,
    jobs: Annotated[int, typer.Option(min=1, help="Trials at once, each in a process of its own.")] = 1,
    apply: Annotated[bool, typer.Option("--apply", help="Write the best trial into params.yaml.")] = False,
) -> None:
    """Search for better training parameters on the validation split; see `tune` in params.yaml.

    With --trials or --minutes the limits of params.yaml do not count. An interrupted search goes on where it was.
    """
    from atnet.storage import load_params

    params = load_params()
    from atnet.tuning.tune import TuningOptions, tune

    outcome = tune(
        params, Path.cwd(), TuningOptions(trials, minutes, jobs, apply), lambda line: print(line, flush=True)
    )
    print("\n".join(["", *outcome.table, ""]))
    print(f"tune: {outcome.told}")
    print(f"tune: {outcome.link}")
    if outcome.diff:
        print(f"\n{outcome.diff}")
    print(f"tune: {_next_step(outcome.diff, outcome.applied, outcome.interrupted)}")
    if outcome.fault is not None:
        raise outcome.fault
    if outcome.interrupted:
        raise typer.Exit(INTERRUPTED)


def _next_step(diff: str, applied: bool, interrupted: bool) -> str:
    if interrupted:
        return "interrupted. The trials are kept: run `atnet tune` again to go on."
    if applied:
        return "params.yaml is changed as shown. `dvc repro` trains it; `git diff params.yaml` shows it again."
    if diff:
        return "`atnet tune --trials 0 --apply` writes this change into params.yaml without another trial."
    return "params.yaml stays as it is."
