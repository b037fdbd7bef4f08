"""`atnet review`: list rows worth labeling; merge the completed list into the data."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from atnet.config import Params
from atnet.file_system import require_no_pipe
from atnet.monitoring.review import merge_file, write_list
from atnet.storage import load_params

app = typer.Typer()


@app.command()
def review(
    read: Annotated[
        Path | None,
        typer.Option("--read", exists=True, dir_okay=False, help="A completed list to merge into the data."),
    ] = None,
    rows: Annotated[int | None, typer.Option(min=1, help="Rows to list; overrides monitor.review.rows.")] = None,
    output: Annotated[Path | None, typer.Option(help="Where to write the list.")] = None,
    new_labels: Annotated[
        bool, typer.Option("--new-labels", help="With --read: accept labels that the model does not have.")
    ] = False,
) -> None:
    """List rows worth labeling; with --read, merge a completed list into a new version of the data."""
    params = load_params()
    if read is not None:
        require_no_pipe(read)
        _merge(params, read, new_labels)
        return
    written = write_list(params, Path.cwd(), rows=rows, output=output, now=datetime.now(UTC))
    for reason, count in written.rows_by_reason.items():
        print(f"review: {count:>5,}  {reason}")
    if not written.has_challenger:
        print("review: there is no challenger, so no disagreements are listed.")
    path = _relative(written.path)
    print(f"review: {path}. Fill in the column `label`, then run `atnet review --read {path}`.")


def _merge(params: Params, path: Path, new_labels: bool) -> None:
    review = merge_file(params, Path.cwd(), path, allow_new_labels=new_labels)
    merged = review.merged
    print(
        f"review: {merged.added:,} rows added, {merged.corrected:,} labels corrected, {merged.confirmed:,} unchanged, "
        f"{review.skipped:,} left empty."
    )
    print(f"review: new version of {review.data}: {review.md5}. Commit {review.data}.dvc.")
    if review.moved:
        print(f"review: set data.path in params.yaml to {review.data} to train on it.")


def _relative(path: Path) -> Path:
    return path.relative_to(Path.cwd()) if path.is_absolute() and path.is_relative_to(Path.cwd()) else path
