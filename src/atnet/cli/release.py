"""The commands that move models: release, approve, reject, rollback, history, prune, lineage.

Exit codes of `release`: 0 promoted (or live already), 3 rejected, 4 waiting for a person, 1 error, 2 wrong usage.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer()
EXIT_CODES = {"promoted": 0, "unchanged": 0, "rejected": 3, "waiting": 4}
Why = Annotated[str, typer.Option("--why", "-m", help="The reason, for the ledger.")]
Version = Annotated[int | None, typer.Argument(help="Number of the version; without it, the one that waits.")]


@app.command()
def release(
    isolated: Annotated[
        bool, typer.Option("--isolated", help="Try the model in a new environment with only its requirements.")
    ] = False,
    allow_unchecked: Annotated[
        bool, typer.Option("--allow-unchecked", help="Go on where that environment cannot be made.")
    ] = False,
    again: Annotated[
        bool, typer.Option("--again", help="Judge a model anew that people have rejected or rolled back.")
    ] = False,
) -> None:
    """Judge the published model; promote it if it has earned it.

    Exit code 0: promoted, or live already; 3: rejected; 4: waiting for a person; 1: error.
    """
    from atnet.storage import load_params

    params, tell = load_params(), _teller("release")
    from atnet.release.gate_inputs import ReleaseOptions
    from atnet.release.workflow import release

    options = ReleaseOptions(isolated=isolated, allow_unchecked=allow_unchecked, again=again)
    outcome = release(params, Path.cwd(), options, tell=tell)
    tell(outcome.told)
    if outcome.record is not None:
        for reason in outcome.record.verdict.reasons:
            print(f"  failed   {reason}")
        for warning in outcome.record.verdict.warnings:
            print(f"  warning  {warning}")
        print(f"  verdict  {_shown(outcome.record.file)}")
    raise typer.Exit(EXIT_CODES[outcome.result])


@app.command()
def approve(version: Version = None, why: Why = "") -> None:
    """Promote the version that waits for a person."""
    from atnet.storage import load_params

    params, tell = load_params(), _teller("approve")
    from atnet.release.approval import approve

    tell(approve(params, Path.cwd(), version, why=why, tell=tell))


@app.command()
def reject(version: Version = None, why: Why = "") -> None:
    """Say no to the version that waits for a person."""
    from atnet.storage import load_params

    params, tell = load_params(), _teller("reject")
    from atnet.release.approval import reject

    tell(reject(params, Path.cwd(), version, why=why, tell=tell))


@app.command()
def rollback(
    to: Annotated[int | None, typer.Option(help="A version that has been champion; without it, the previous.")] = None,
    why: Why = "",
) -> None:
    """Make the previous version live again, after seeing that it answers."""
    from atnet.storage import load_params

    params, tell = load_params(), _teller("rollback")
    from atnet.release.approval import rollback

    tell(rollback(params, Path.cwd(), to, why=why, tell=tell))


@app.command()
def history(
    verify: Annotated[
        bool, typer.Option("--verify", help="Find changed, missing or added lines; exit code 1 if there is one.")
    ] = False,
) -> None:
    """Print the ledger: who did what to which version, when and why."""
    from atnet.storage import load_params

    params = load_params()
    from atnet.release import history as ledger_history

    if not verify:
        print("\n".join(ledger_history.history(params, Path.cwd())))
        return
    lines, faults = ledger_history.ledger_faults(params, Path.cwd())
    for fault in faults:
        print(f"fault: {fault}")
    if faults:
        raise typer.Exit(1)
    print(f"history: {lines} lines, an unbroken chain")


@app.command()
def prune(
    keep: Annotated[int | None, typer.Option(min=1, help="Newest versions to keep; release.keep_versions.")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Remove them; without it they are only named.")] = False,
) -> None:
    """Remove old versions that no alias points at; runs and DVC's cache are left alone."""
    from atnet.storage import load_params

    params, tell = load_params(), _teller("prune")
    from atnet.release.approval import prune

    old = prune(params, Path.cwd(), keep=keep, do=yes, tell=tell)
    for one in old:
        print(f"  version {one.number}  {one.state:<11}  {one.created:%Y-%m-%d}  {one.sha256[:8]}")
    if not old:
        tell("nothing to remove")
    elif yes:
        tell(f"{len(old)} versions removed; their runs stay")
    else:
        tell(f"{len(old)} versions would be removed; add --yes to do it")


@app.command()
def lineage(
    what: Annotated[str, typer.Argument(help="An alias, version, run id, hash or file; with --text, a text.")],
    text: Annotated[bool, typer.Option("--text", help="Ask which versions were trained on this text.")] = False,
) -> None:
    """Tell where a version comes from, or what came of a file or text."""
    from atnet.storage import load_params

    params = load_params()
    from atnet.release.history import lineage

    print("\n".join(lineage(params, Path.cwd(), what, is_text=text)))


def _teller(command: str) -> Callable[[str], None]:
    return lambda line: print(f"{command}: {line}", flush=True)


def _shown(path: Path) -> Path:
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
