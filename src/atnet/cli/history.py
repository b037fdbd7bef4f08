"""`atnet history`: show the release ledger."""

from pathlib import Path
from typing import Annotated

import typer

from atnet.cli.console import print_table
from atnet.registry.ledger import COLUMNS, history_rows
from atnet.release.history import ledger_entries, ledger_faults
from atnet.storage import load_params

app = typer.Typer()


@app.command()
def history(
    verify: Annotated[
        bool, typer.Option("--verify", help="Find changed, missing or added lines; exit code 1 if there are any.")
    ] = False,
) -> None:
    """Show the ledger: who did what to which version, when and why."""
    params, root = load_params(), Path.cwd()
    if verify:
        _verify(*ledger_faults(params, root))
        return
    entries = ledger_entries(params, root)
    if not entries:
        print(f"history: {params.tracking.model_name} has no released version yet.")
        return
    print_table(COLUMNS, history_rows(entries))


def _verify(lines: int, faults: list[str]) -> None:
    for fault in faults:
        print(f"fault: {fault}")
    if faults:
        raise typer.Exit(1)
    print(f"history: {lines} lines, an unbroken chain")
