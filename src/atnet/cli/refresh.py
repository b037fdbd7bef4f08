"""`atnet refresh`: bring in new data."""

from pathlib import Path

import typer

from atnet.refresh_data import refresh_data
from atnet.storage import load_params

app = typer.Typer()


@app.command()
def refresh() -> None:
    """Read new data: update imports, add a changed data file again."""
    print(f"refresh: {refresh_data(Path.cwd(), load_params().data.path).summary()}")
