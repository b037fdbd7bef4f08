"""Addresses of the servers that `make up` has started, so that other commands use the right ports."""

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from atnet.files import STATE
from atnet.partial_files import partial_path, remove_abandoned
from atnet.subprocesses import is_alive

SERVERS_FILE = STATE / "up.json"


@dataclass(frozen=True, slots=True)
class RunningServers:
    """The addresses of a running `make up`."""

    process_id: int
    prefect: str
    """Address of Prefect's API."""
    mlflow: str
    service: str


def write_running_servers(root: Path, servers: RunningServers) -> None:
    """Record the addresses."""
    path = root / SERVERS_FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    # Not atnet.storage: it imports pandas, and `make up` stays in memory.
    remove_abandoned(path)
    part = partial_path(path)
    part.write_text(json.dumps(asdict(servers)), encoding="utf-8")
    os.replace(part, path)


def running_servers(root: Path) -> RunningServers | None:
    """Return the addresses; None if `make up` is not running in the project."""
    try:
        servers = RunningServers(**json.loads((root / SERVERS_FILE).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None
    return servers if is_alive(servers.process_id) else None
