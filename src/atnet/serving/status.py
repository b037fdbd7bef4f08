"""What the registry process tells the workers, for /ready."""

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
        """Write it for the workers."""
        write_whole(folder / STATUS_FILE, asdict(self))


def read_status(folder: Path) -> dict[str, Any]:
    """Return what /ready says of the registry: nothing is known before the first look."""
    unknown = {"reachable": None, "message": "no look at the registry yet", "rejected_version": None}
    return read_whole(folder / STATUS_FILE) or {**unknown, "rejected_reason": None}
