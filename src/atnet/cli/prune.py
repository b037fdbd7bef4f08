"""`atnet prune`: delete old versions from the registry."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from atnet.cli.console import print_table
from atnet.release.prune import prunable_versions, prune_versions
from atnet.storage import load_params

app = typer.Typer()


@app.command()
def prune(
    keep: Annotated[
        int | None, typer.Option(min=1, help="Newest versions to keep; by default release.keep_versions.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Delete the versions; without it they are only listed.")] = False,
) -> None:
    """Delete old versions that no alias points at; runs and DVC's cache are not touched."""
    params, root = load_params(), Path.cwd()
    if yes:
        versions = prune_versions(params, root, keep=keep, now=datetime.now(UTC))
    else:
        versions = prunable_versions(params, root, keep=keep)
    rows = [
        (f"  {version.number}", version.state, f"{version.created:%Y-%m-%d}", version.sha256[:8])
        for version in versions
    ]
    if rows:
        print_table(("version", "state", "created", "model"), rows, header=False)
    if not versions:
        print("prune: nothing to delete")
    elif yes:
        print(f"prune: {len(versions)} versions deleted; their runs are kept")
    else:
        print(f"prune: {len(versions)} versions would be deleted; add --yes to delete them")
