"""Put a data file where the pipeline reads it: `data/01_raw`, unless it is under `data` already."""

import filecmp
import os
import shutil
from pathlib import Path

import pandas as pd

from atnet.errors import DataFileError
from atnet.files import DATA_FOLDERS, DEFAULT_DATA, RAW
from atnet.storage import whole_file, write_text


def target_path(root: Path, source: Path) -> Path:
    """Return the path, relative to the project, under which the pipeline will read a file."""
    absolute = Path(os.path.abspath(root / source))
    data = Path(os.path.abspath(root / RAW.parent))
    stage_folders = [Path(os.path.abspath(root / folder)) for folder in DATA_FOLDERS if folder != RAW]
    in_place = absolute.is_relative_to(data) and not any(absolute.is_relative_to(folder) for folder in stage_folders)
    target = absolute.relative_to(root.resolve()) if in_place else RAW / source.name
    # Stage `sample` writes a file of this name.
    return RAW / f"own-{target.name}" if target == DEFAULT_DATA else target


def copy_file(root: Path, source: Path, target: Path, *, replace: bool) -> bool:
    """Copy a file to its place; return whether it had to be copied.

    Raises:
        DataFileError: if another file is there and `replace` is not set.
    """
    destination = root / target
    if destination.exists() and destination.samefile(root / source):
        return False
    if destination.exists() and filecmp.cmp(root / source, destination, shallow=False):
        return False
    _require_free(target, destination, replace=replace)
    with whole_file(destination) as partial:
        shutil.copyfile(root / source, partial)
    return True


def write_json_lines(root: Path, table: pd.DataFrame, target: Path, *, replace: bool) -> None:
    """Write a table as JSON Lines.

    Raises:
        DataFileError: if another file is there and `replace` is not set.
    """
    text = table.to_json(orient="records", lines=True, force_ascii=False)
    destination = root / target
    if destination.exists() and destination.read_text(encoding="utf-8") == text:
        return
    _require_free(target, destination, replace=replace)
    write_text(destination, text)


def _require_free(target: Path, destination: Path, *, replace: bool) -> None:
    if destination.exists() and not replace:
        raise DataFileError(
            f"{target} exists already and is another file. Rename yours, or add --replace to replace it."
        )
    if destination.exists():
        # DVC may have linked it into its cache, which must not be written to.
        destination.unlink()
