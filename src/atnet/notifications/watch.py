"""Poll every source, record what is new, and send it."""

import logging
import threading
from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime
from pathlib import Path

from atnet.config import Params
from atnet.errors import AtnetError
from atnet.notifications.alert import Observations
from atnet.notifications.changes import update_state
from atnet.notifications.delivery import Sender, deliver, enqueue
from atnet.notifications.project_source import observe_backup, observe_disk, observe_drift
from atnet.notifications.release_source import observe_releases
from atnet.notifications.schedule_source import observe_prefect, observe_schedules
from atnet.notifications.service_source import observe_served_version, observe_service
from atnet.notifications.watch_state import WatchState, read_watch_state, write_watch_state
from atnet.registry.versions import open_registry
from atnet.schedules.prefect_api import configured_api

logger = logging.getLogger(__name__)

Source = Callable[[], Observations]


def project_sources(params: Params, root: Path, now: datetime) -> Mapping[str, Source]:
    """Return the sources of a project by name, ready for one poll."""
    api, limits = configured_api(root), params.operate
    registry = open_registry(params.tracking, root)
    return {
        "prefect": lambda: observe_prefect(api, limits),
        "schedules": lambda: observe_schedules(api, limits, now),
        "releases": lambda: observe_releases(registry),
        "drift": lambda: observe_drift(root / params.monitor.output_folder),
        "service": lambda: observe_service(params.serve, limits, root, registry),
        "service version": lambda: observe_served_version(params.serve, limits, root, registry),
        "disk": lambda: observe_disk(root, limits),
        "backup": lambda: observe_backup(root, limits, now),
    }


def poll(state: WatchState, sources: Mapping[str, Source], root: Path, sender: Sender, now: datetime) -> None:
    """Poll every source once, record what is new and that it was seen in one write, then send it.

    If a source does not answer, its state stays the same: nothing counts as new or as over.
    """
    reasons: dict[str, str] = {}
    reported: set[str] = set()
    for name, source in sources.items():
        try:
            observed = source()
        except AtnetError as error:
            reasons[name] = str(error)
            continue
        reported.update(condition.text for condition in observed.conditions if condition.active)
        enqueue(state, update_state(state, name, observed, now), sender.keys)
    new = {name: reason for name, reason in reasons.items() if name not in state.unavailable}
    _log_unavailable(new, reported)
    state.unavailable = set(reasons)
    write_watch_state(root, state)
    deliver(root, state, sender)


def _log_unavailable(reasons: Mapping[str, str], reported: Collection[str]) -> None:
    """Log each reason once, with the sources that it concerns, unless a source reports it as a condition."""
    for reason in dict.fromkeys(reasons.values()):
        if reason not in reported:
            names = ", ".join(name for name, other in reasons.items() if other == reason)
            logger.info("Cannot be checked now (%s): %s", names, reason)


def watch(params: Params, root: Path, sender: Sender, *, stop: threading.Event, once: bool = False) -> None:
    """Poll until `stop` is set, or once."""
    state = read_watch_state(root)
    while not stop.is_set():
        now = datetime.now(UTC)
        try:
            sources = project_sources(params, root, now)
        except AtnetError as error:
            logger.warning("The project cannot be checked now: %s", error)
        else:
            poll(state, sources, root, sender, now)
        if once:
            return
        stop.wait(params.operate.poll_seconds)
