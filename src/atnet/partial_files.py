"""Names of files that are being written; those that a killed process has left are removed by the next write."""

import contextlib
import os
import platform
import re
from pathlib import Path

from atnet.subprocesses import is_alive

SUFFIX = ".part"


def partial_path(path: Path) -> Path:
    """Return the path under which this process writes a file before it renames it to `path`."""
    return path.with_name(f".{path.name}.{_host()}-{os.getpid()}{SUFFIX}")


def remove_abandoned(path: Path) -> None:
    """Remove what killed processes of this machine have left of `path`."""
    start = f".{path.name}.{_host()}-"
    with contextlib.suppress(OSError):
        for name in os.listdir(path.parent):
            process_id = name.removeprefix(start).removesuffix(SUFFIX)
            is_partial = name.startswith(start) and name.endswith(SUFFIX) and process_id.isdecimal()
            if is_partial and not is_alive(int(process_id)):
                path.with_name(name).unlink(missing_ok=True)


def _host() -> str:
    # On a shared folder, the process ids of other machines say nothing here.
    return re.sub(r"[^0-9A-Za-z]", "_", platform.node())[:40]
