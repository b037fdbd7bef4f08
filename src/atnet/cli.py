"""The acts: what is done to the world outside DVC's graph, one command each.

What a command needs is imported inside it, so that `atnet --help` answers at once.
"""

import errno
import sys
from pathlib import Path
from typing import Annotated

import typer

from atnet.commands import analyse, monitor, release, review, tune
from atnet.errors import AtnetError, StoreError

app = typer.Typer(
    name="atnet",
    help="Keep a text classifier trained, checked, tracked, released and watched. "
    "Run it in the project's folder; `dvc repro` does the training itself.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(release.app)
app.add_typer(tune.app)
app.add_typer(analyse.app, name="analyse")
app.add_typer(monitor.app)
app.add_typer(review.app)
Port = Annotated[int, typer.Option(help="Port on this machine.")]


@app.command()
def check() -> None:
    """Refuse bad parameters and bad input before DVC deletes any output."""
    from atnet.storage import load_params

    params = load_params()
    from atnet.commands.checking import check_inputs

    for line in check_inputs(params):
        print(f"check: {line}")


@app.command()
def publish() -> None:
    """Complete the MLflow run of the model at hand; safe to repeat."""
    from atnet.storage import load_params

    params = load_params()
    from atnet.tracking import publish_from_files

    run = publish_from_files(params, Path.cwd())
    print(f"publish: {'a new run' if run.created else 'the run is complete'}: {run.link}")


@app.command()
def refresh() -> None:
    """Bring new data in: update imports, add a changed tracked file again."""
    from atnet.commands.refreshing import refresh as bring_in
    from atnet.storage import load_params

    print(f"refresh: {bring_in(Path.cwd(), load_params().data.path).told()}")


@app.command()
def summary() -> None:
    """Say how the last pipeline run went."""
    from atnet.commands.summary import summary as told
    from atnet.storage import load_params

    print(told(load_params()))


@app.command()
def doctor() -> None:
    """Look at Python, packages, disk, locks, the MLflow store and Prefect; exit with 1 if one is at fault."""
    from atnet.commands.doctor import examine
    from atnet.storage import load_params

    findings = examine(Path.cwd(), load_params().tracking)
    for finding in findings:
        print(f"{finding.verdict:<5}  {finding.subject:<8}  {finding.told}")
    if any(finding.verdict == "fault" for finding in findings):
        raise typer.Exit(1)


@app.command()
def ui(port: Port = 5000, host: Annotated[str, typer.Option(help="Address to listen at.")] = "127.0.0.1") -> None:
    """Open MLflow's UI on the project's runs; it stays open until interrupted."""
    import os
    import socket

    from atnet.storage import load_params

    tracking = load_params().tracking
    from atnet.tracking.store import ui_address, ui_command

    with socket.socket() as probe:
        if probe.connect_ex((host, port)) == 0:
            raise StoreError(
                f"Something listens at {host}:{port} already. Close it, or run `atnet ui --port {port + 1}`."
            )
    command = ui_command(tracking, host=host, port=port)
    print(f"MLflow: {ui_address(tracking, host=host, port=port)} (Ctrl-C ends it)", flush=True)
    # In place of this process: a signal to `atnet ui` would not reach a child, and leave it behind with the port.
    os.execv(command[0], command)


def main() -> None:
    """Run a command; a fault the user can mend ends in one message and exit code 1."""
    try:
        app()
    except AtnetError as error:
        _fail(str(error))
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        _fail(f"the disk is full: {error}. Free some space and run the command again.")


def _fail(message: str) -> None:
    print(f"atnet: {message}", file=sys.stderr)
    sys.exit(1)


if __name__ == "__main__":
    main()
