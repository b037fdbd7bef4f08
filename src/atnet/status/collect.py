"""Collect the status; if a part does not respond, that is reported and the rest is still shown."""

from datetime import datetime
from pathlib import Path

from atnet.config import Params
from atnet.errors import StoreError
from atnet.registry.versions import aliases, open_registry
from atnet.status.item import StatusItem
from atnet.status.project import project_status
from atnet.status.registry import registry_status
from atnet.status.service import service_status


def collect_status(params: Params, root: Path, now: datetime) -> list[StatusItem]:
    """Return the state of every part, the live model first."""
    items: list[StatusItem] = []
    served = None
    try:
        registry = open_registry(params.tracking, root)
        items += registry_status(registry, now)
        served = aliases(registry).get(params.serve.alias)
    except StoreError as error:
        items.append(StatusItem("registry", "fault", str(error)))
    items.append(service_status(params.serve, root, served))
    items += project_status(params, root, now)
    return items
