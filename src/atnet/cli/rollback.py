"""`atnet rollback`: make an earlier champion live again."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from atnet.release.approval import UserDecision
from atnet.release.rollback import roll_back_champion
from atnet.storage import load_params

app = typer.Typer()


@app.command()
def rollback(
    to: Annotated[
        int | None, typer.Option(help="A version that has been champion; by default the previous champion.")
    ] = None,
    reason: Annotated[str, typer.Option("--reason", "-m", help="Reason, recorded in the ledger.")] = "",
) -> None:
    """Make the previous champion live again, after checking that it loads and predicts."""
    message = roll_back_champion(load_params(), Path.cwd(), UserDecision(to, reason), now=datetime.now(UTC))
    print(f"rollback: {message}")
