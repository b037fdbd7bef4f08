"""`atnet review`: list the rows worth a person's time, and merge what was filled in."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer()


@app.command()
def review(
    read: Annotated[Path | None, typer.Option("--read", help="A corrected list to merge into the data.")] = None,
    rows: Annotated[int | None, typer.Option(min=1, help="Rows to list; monitor.review.rows.")] = None,
    output: Annotated[Path | None, typer.Option(help="Where to write the list.")] = None,
    new_labels: Annotated[
        bool, typer.Option("--new-labels", help="With --read: accept labels the model does not know.")
    ] = False,
) -> None:
    """List the rows worth a person's time; with --read, merge a corrected list into a new version of the data."""
    from atnet.storage import load_params

    params = load_params()
    if read is not None:
        _merge(params, read, new_labels)
        return
    from atnet.monitoring.review import write_list

    written = write_list(params, Path.cwd(), rows=rows, output=output, now=datetime.now(UTC))
    for reason, count in written.by_reason.items():
        print(f"review: {count:>5,}  {reason}")
    if not written.has_challenger:
        print("review: there is no challenger, so no disagreements are listed.")
    path = written.path
    shown = path.relative_to(Path.cwd()) if path.is_absolute() and path.is_relative_to(Path.cwd()) else path
    print(f"review: {shown}. Fill in the column `label`, then run `atnet review --read {shown}`.")


def _merge(params: object, path: Path, new_labels: bool) -> None:
    from atnet.config import Params
    from atnet.monitoring.review import merge_file

    assert isinstance(params, Params)
    done = merge_file(params, Path.cwd(), path, allow_new_labels=new_labels)
    merged = done.merged
    print(
        f"review: {merged.added:,} rows added, {merged.corrected:,} labels corrected, {merged.confirmed:,} as they "
        f"were, {done.skipped:,} left empty."
    )
    print(f"review: new version of {done.data}: {done.md5}. Commit {done.data}.dvc with it.")
    if done.moved:
        print(f"review: set data.path in params.yaml to {done.data} to train on it.")
