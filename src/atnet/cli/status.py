"""`atnet status`: the state of the whole project at a glance."""

import json
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from atnet.cli.console import print_table
from atnet.errors import StoreError
from atnet.file_system import require_writable
from atnet.registry.ledger import history_rows
from atnet.release.history import ledger_entries
from atnet.status.collect import collect_status
from atnet.status.page import status_page
from atnet.storage import load_params, write_text

app = typer.Typer()
RELEASES = 20


@app.command()
def status(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")] = False,
    html: Annotated[Path | None, typer.Option(help="Write a page to this file instead.")] = None,
) -> None:
    """Show the live model, the last release, training, window and backup, and the service."""
    params, root, now = load_params(), Path.cwd(), datetime.now(UTC)
    if html is not None:
        require_writable(html)
    items = collect_status(params, root, now)
    if html is not None:
        try:
            releases = history_rows(ledger_entries(params, root))[-RELEASES:][::-1]
        except StoreError:
            # `items` says so already.
            releases = []
        write_text(html, status_page(params.tracking.model_name, items, releases, now))
        print(f"status: {html}")
    elif as_json:
        print(json.dumps({"time": now.isoformat(timespec="seconds"), "items": [asdict(item) for item in items]}))
    else:
        rows = [(item.level, item.subject, item.message) for item in items]
        print_table(("level", "part", "state"), rows, header=False)
    if any(item.level == "fault" for item in items):
        raise typer.Exit(1)
