"""Status of the online service, requested from its address."""

import json
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from atnet.config import ServeConfig
from atnet.running_servers import running_servers
from atnet.status.item import StatusItem

TIMEOUT_SECONDS = 3
ANY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "::1"}


@dataclass(frozen=True, slots=True)
class ServiceState:
    """What the service reports at /ready."""

    ready: bool
    status: str
    version: int | None
    """Version that predicts."""
    rejected: str | None
    """Why it does not load a newer version."""


def service_address(config: ServeConfig, root: Path) -> str:
    """Return the address of the service of a running `make up`, else that of `make serve`."""
    servers = running_servers(root)
    if servers is not None:
        return servers.service
    host = ANY_ADDRESS.get(config.host, config.host)
    return f"http://{f'[{host}]' if ':' in host else host}:{config.port}"


def read_service(address: str) -> ServiceState | None:
    """Request the service's state; None if it does not respond."""
    try:
        ready, state = _ready(f"{address}/ready")
        version = int(state["model"]["version"]) if state.get("model") else None
        return ServiceState(ready, str(state.get("status", "unknown")), version, state.get("rejected"))
    except (OSError, ValueError, TypeError, KeyError):
        return None


def service_status(config: ServeConfig, root: Path, champion: int | None) -> StatusItem:
    """Compare the version that the service serves with the version under its alias.

    Args:
        config: section `serve`.
        root: the project folder.
        champion: version under the service's alias; None without one.
    """
    address = service_address(config, root)
    state = read_service(address)
    if state is None:
        return StatusItem("service", "note", f"nothing answers at {address}. Start it with `make serve`.")
    if not state.ready or state.version is None:
        return StatusItem("service", "fault", f"{address} is not ready: {state.status}")
    if champion is not None and state.version != champion:
        message = f"{address} serves version {state.version}, but {config.alias} is version {champion}"
        return StatusItem("service", "fault", f"{message}; see {address}/ready")
    return StatusItem("service", "ok", f"{address} serves version {state.version}")


def _ready(address: str) -> tuple[bool, dict[str, Any]]:
    try:
        with urllib.request.urlopen(address, timeout=TIMEOUT_SECONDS) as response:
            return True, dict(json.load(response))
    except urllib.error.HTTPError as error:
        if error.code != 503:
            raise
        return False, dict(json.load(error))
