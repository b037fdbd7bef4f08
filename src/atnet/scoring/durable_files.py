"""Files that appear completely or not at all, and that survive a power failure once they have appeared."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO


class PartFile:
    """A file that is written under a temporary name next to `path` and then replaces it.

    There must be one writer of `path` at a time; what a killed one left behind is overwritten.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._part = path.with_name(f".{path.name}.part")
        self.stream: IO[bytes] = self._part.open("wb")

    def commit(self) -> int:
        """Flush the file to disk, rename it and return its size in bytes."""
        self.stream.flush()
        size = self.stream.tell()
        os.fsync(self.stream.fileno())
        self.stream.close()
        os.replace(self._part, self._path)
        sync_folder(self._path.parent)
        return size

    def discard(self) -> None:
        """Delete the temporary file, if `commit` has not renamed it."""
        with contextlib.suppress(OSError):
            self.stream.close()
        self._part.unlink(missing_ok=True)


@contextlib.contextmanager
def durable_file(path: Path) -> Iterator[IO[bytes]]:
    """Yield a file that takes the place of `path` when the block succeeds."""
    part = PartFile(path)
    try:
        yield part.stream
        part.commit()
    finally:
        part.discard()


def delete_durably(path: Path) -> None:
    """Delete a file, if there is one."""
    if path.exists():
        path.unlink()
        sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Flush new, renamed and deleted names of a folder to disk, where the system can."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except PermissionError:  # Windows
        return
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
