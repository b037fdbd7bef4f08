"""Small JSON files through which the processes of a service exchange state."""

import json
import os
from pathlib import Path
from typing import Any

from atnet.partial_files import partial_path, remove_abandoned


def write_state(path: Path, value: Any) -> None:
    """Write JSON so that a reader sees either the old or the new content, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    remove_abandoned(path)
    part = partial_path(path)
    try:
        with part.open("w", encoding="utf-8") as file:
            json.dump(value, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def read_state(path: Path) -> Any:
    """Read such a file; None if it is missing or damaged."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return None


def file_stamp(path: Path) -> tuple[int, int] | None:
    """Return a value that changes when the file is replaced; None if there is no file."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_ino, status.st_mtime_ns
