"""`atnet approve`: promote the version that is waiting for approval."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from atnet.release.approval import UserDecision, approve_version
from atnet.storage import load_params

app = typer.Typer()


@app.command()
def approve(
    version: Annotated[
        int | None, typer.Argument(help="Number of the version; by default the one that is waiting for approval.")
    ] = None,
    reason: Annotated[str, typer.Option("--reason", "-m", help="Reason, recorded in the ledger.")] = "",
) -> None:
    """Promote the version that is waiting for approval."""
    message = approve_version(load_params(), Path.cwd(), UserDecision(version, reason), now=datetime.now(UTC))
    print(f"approve: {message}")
