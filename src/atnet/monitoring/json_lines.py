"""Append-only files of one JSON object per line, which survive a kill at any moment."""

import json
import logging
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

logger = logging.getLogger(__name__)


def read_lines(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the objects of a file; a damaged line is skipped with a warning, and a missing file is empty."""
    if not path.exists():
        return
    for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), start=1):
        if not line.strip():
            continue
        try:
            values = json.loads(line)
        except ValueError:
            logger.warning("Line %d of %s is damaged and is skipped.", number, path)
            continue
        yield values


def append_line(path: Path, values: Mapping[str, Any]) -> None:
    """Append an object and flush it to disk."""
    path.parent.mkdir(parents=True, exist_ok=True)
    line = json.dumps(values, sort_keys=True, ensure_ascii=False) + "\n"
    with path.open("ab+") as file:
        # After a line that was cut short, this one must start on a new line.
        if file.tell() and not _ends_with_newline(path):
            line = "\n" + line
        file.write(line.encode("utf-8"))
        file.flush()
        os.fsync(file.fileno())


def _ends_with_newline(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1) == b"\n"
