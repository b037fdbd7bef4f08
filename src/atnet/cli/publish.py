"""`atnet publish`: complete the MLflow run of the model on disk."""

from pathlib import Path

import typer

from atnet.storage import load_params
from atnet.tracking import publish_from_files

app = typer.Typer()


@app.command()
def publish() -> None:
    """Complete the MLflow run of the model on disk; safe to repeat."""
    run = publish_from_files(load_params(), Path.cwd())
    print(f"publish: {'a new run' if run.created else 'the run is complete'}: {run.link}")
