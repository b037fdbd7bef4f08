"""`atnet restore`: restore a backup."""

from pathlib import Path
from typing import Annotated

import typer

from atnet.backup.restore import restore_backup
from atnet.storage import load_params

app = typer.Typer()


@app.command()
def restore(
    path: Annotated[Path, typer.Argument(help="An archive that `atnet backup` has written.")],
) -> None:
    """Restore a backup into a project without a store."""
    manifest = restore_backup(load_params(), Path.cwd(), path)
    aliases = ", ".join(f"{alias} = version {number}" for alias, number in sorted(manifest.aliases.items()))
    print(f"restore: backup of {manifest.created}: {len(manifest.files)} files; {aliases or 'no released version'}")
    commit = f"commit {manifest.commit[:12]}" if manifest.commit else "an unknown commit"
    changed = " with uncommitted changes" if manifest.dirty else ""
    print(f"restore: the backup was made at {commit}{changed}. Next: `dvc checkout`, then `make serve`.")
