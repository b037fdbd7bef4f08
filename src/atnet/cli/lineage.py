"""`atnet lineage`: show where a version comes from, or which versions were trained on a file or text."""

from pathlib import Path
from typing import Annotated

import typer

from atnet.release.history import lineage as lineage_of
from atnet.storage import load_params

app = typer.Typer()


@app.command()
def lineage(
    query: Annotated[str, typer.Argument(help="An alias, version, run id, hash or file; with --text, a text.")],
    text: Annotated[bool, typer.Option("--text", help="Search for the versions trained on this text.")] = False,
) -> None:
    """Show where a version comes from, or which versions were trained on a file or text."""
    print("\n".join(lineage_of(load_params(), Path.cwd(), query, is_text=text)))
