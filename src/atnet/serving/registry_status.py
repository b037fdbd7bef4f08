"""The state of the registry as the workers report it at /ready, written by the registry process."""

import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from atnet.serving.state_files import read_state, write_state

STATUS_FILE = "registry.json"


@dataclass(frozen=True, slots=True)
class RegistryStatus:
    """The result of the last poll."""

    reachable: bool
    message: str | None
    """Why the alias cannot be followed; None if it can."""
    rejected_version: int | None
    rejected_reason: str | None

    def write(self, folder: Path) -> None:
        """Write it for the workers, which show it to any client, so without folders and passwords."""
        values = {
            name: public_message(value) if isinstance(value, str) else value for name, value in asdict(self).items()
        }
        write_state(folder / STATUS_FILE, values)


def public_message(message: str) -> str:
    """Return a message with paths shortened to the file name, and without credentials in addresses."""
    message = re.sub(r"(\w+://)[^\s/@]*@", r"\1", message)
    return re.sub(r"(?<![\w.:/])/(?:[^\s/'\"(),;]+/)+", "", message)


def read_status(folder: Path) -> dict[str, Any]:
    """Return the part of /ready about the registry; before the first poll, nothing is known."""
    unknown = {"reachable": None, "message": "The registry has not been polled yet.", "rejected_version": None}
    return read_state(folder / STATUS_FILE) or {**unknown, "rejected_reason": None}
