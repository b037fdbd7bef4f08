"""What the registry process tells the workers, for /ready."""

import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from atnet.serving.files import read_whole, write_whole

STATUS_FILE = "registry.json"


@dataclass(frozen=True, slots=True)
class RegistryStatus:
    """The last look at the registry."""

    reachable: bool
    message: str | None
    """What keeps the alias from being followed; None if nothing does."""
    rejected_version: int | None
    rejected_reason: str | None

    def write(self, folder: Path) -> None:
        """Write it for the workers, who show it to anybody: without folders and passwords."""
        values = {
            name: without_folders(value) if isinstance(value, str) else value for name, value in asdict(self).items()
        }
        write_whole(folder / STATUS_FILE, values)


def without_folders(message: str) -> str:
    """Return a message with the folders taken out of its paths and the credentials out of its addresses."""
    message = re.sub(r"(\w+://)[^\s/@]*@", r"\1", message)
    return re.sub(r"(?<![\w.:/])/(?:[^\s/'\"(),;]+/)+", "", message)


def read_status(folder: Path) -> dict[str, Any]:
    """Return what /ready says of the registry: nothing is known before the first look."""
    unknown = {"reachable": None, "message": "no look at the registry yet", "rejected_version": None}
    return read_whole(folder / STATUS_FILE) or {**unknown, "rejected_reason": None}
