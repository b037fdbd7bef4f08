"""Status of the online service, requested from its address."""

import json
import urllib.error
import urllib.request
from typing import Any

from atnet.config import ServeConfig
from atnet.status.item import StatusItem

TIMEOUT_SECONDS = 3
ANY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "::1"}


def service_status(config: ServeConfig, champion: int | None) -> StatusItem:
    """Compare the version that the service serves with the version under its alias.

    Args:
        config: section `serve`.
        champion: version under the service's alias; None without one.
    """
    host = ANY_ADDRESS.get(config.host, config.host)
    address = f"http://{f'[{host}]' if ':' in host else host}:{config.port}"
    try:
        ready, state = _ready(f"{address}/ready")
    except (OSError, ValueError):
        return StatusItem("service", "note", f"nothing answers at {address}. Start it with `make serve`.")
    served = int(state["model"]["version"]) if state.get("model") else None
    if not ready or served is None:
        return StatusItem("service", "fault", f"{address} is not ready: {state.get('status', 'unknown')}")
    if champion is not None and served != champion:
        message = f"{address} serves version {served}, but {config.alias} is version {champion}; see {address}/ready"
        return StatusItem("service", "fault", message)
    return StatusItem("service", "ok", f"{address} serves version {served}")


def _ready(address: str) -> tuple[bool, dict[str, Any]]:
    try:
        with urllib.request.urlopen(address, timeout=TIMEOUT_SECONDS) as response:
            return True, dict(json.load(response))
    except urllib.error.HTTPError as error:
        if error.code != 503:
            raise
        return False, dict(json.load(error))
