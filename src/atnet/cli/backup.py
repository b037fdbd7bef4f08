"""`atnet backup`: write a verified archive of the store, the ledger and the data's cache."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from atnet.backup.create import create_backup
from atnet.files import LAST_BACKUP
from atnet.storage import load_params, write_json

app = typer.Typer()
NAME = "atnet-backup-{:%Y%m%d-%H%M%S}.tar"
MAX_LISTED = 3
"""Missing files named in the note."""


@app.command()
def backup(
    path: Annotated[
        Path | None, typer.Argument(help="The archive, or a folder for it; by default the current folder.")
    ] = None,
) -> None:
    """Write the store, the ledger and the data's cache into one archive, and verify it."""
    now = datetime.now(UTC)
    target = path or Path.cwd()
    archive = target / NAME.format(now) if target.is_dir() else target
    written = create_backup(load_params(), Path.cwd(), archive, now=now)
    write_json(LAST_BACKUP, {"created": written.manifest.created, "path": str(archive.resolve())})
    if written.manifest.missing:
        print(f"backup: note: {missing_note(written.manifest.missing)}")
    aliases = ", ".join(f"{alias} (version {number})" for alias, number in sorted(written.manifest.aliases.items()))
    size = written.size_bytes / 2**20
    print(f"backup: {archive}: {len(written.manifest.files)} files, {size:.0f} MB; loaded from it: {aliases or 'none'}")


def missing_note(names: Sequence[str]) -> str:
    """Return one line about the files that the archive lacks."""
    listed = ", ".join(names[:MAX_LISTED]) + (", …" if len(names) > MAX_LISTED else "")
    count = "1 file is" if len(names) == 1 else f"{len(names)} files are"
    return f"{count} not in DVC's cache ({listed}); run `dvc fetch` and back up again, or keep the remote."
