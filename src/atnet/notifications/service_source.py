"""Observations from the online service: whether it is ready, which version it serves, whether its log drops rows."""

import re
import urllib.request
from pathlib import Path

from atnet.config import OperateConfig, ServeConfig
from atnet.errors import StoreError
from atnet.notifications.alert import Condition, GrowingCounter, Observations
from atnet.registry.versions import Registry, aliases
from atnet.status.service import read_service, service_address

TIMEOUT_SECONDS = 5
DROPPED = re.compile(r'^atnet_prediction_log_rows_total\{result="dropped"\} (\S+)$', re.MULTILINE)


def observe_service(config: ServeConfig, limits: OperateConfig, root: Path, registry: Registry) -> Observations:
    """Observe whether the service is ready, and whether its prediction log drops rows.

    If its alias points at no version, it cannot be ready; that is not a fault.
    """
    address = service_address(config, root)
    state = read_service(address)
    if state is None:
        problem = f"Nothing answers at {address}. Start it with `make up` or `make serve`."
    elif not state.ready:
        problem = f"{address} answers: {state.status}. See {address}/ready and the service's log."
    else:
        problem = ""
    ready = Condition(
        key="service ready",
        active=bool(problem) and _may_be_ready(config, registry),
        title="The service is not ready",
        text=problem,
        ended="The service is ready again",
        grace_seconds=limits.grace_seconds,
    )
    dropped = dropped_rows(address) if state is not None else None
    counters = () if dropped is None else (_dropping(dropped),)
    return Observations(conditions=(ready,), counters=counters)


def observe_served_version(config: ServeConfig, limits: OperateConfig, root: Path, registry: Registry) -> Observations:
    """Observe whether the service serves the version under its alias.

    Raises:
        StoreError: if the registry does not answer.
    """
    wanted = aliases(registry).get(config.alias)
    state = read_service(service_address(config, root))
    served = state.version if state is not None else None
    behind = wanted is not None and served is not None and served != wanted
    reason = f" It rejected the newer one: {state.rejected}" if state is not None and state.rejected else ""
    condition = Condition(
        key="service version",
        active=behind,
        title=f"The service serves version {served}, but {config.alias} is version {wanted}",
        text=f"See {service_address(config, root)}/ready for the reason.{reason}",
        ended=f"The service serves the {config.alias}",
        grace_seconds=limits.grace_seconds,
    )
    return Observations(conditions=(condition,))


def dropped_rows(address: str) -> float | None:
    """Return how many rows the prediction log has dropped since the service started; None if it does not say."""
    try:
        with urllib.request.urlopen(f"{address}/metrics", timeout=TIMEOUT_SECONDS) as response:
            match = DROPPED.search(response.read().decode("utf-8"))
    except (OSError, ValueError):
        return None
    return float(match[1]) if match else None


def _dropping(rows: float) -> GrowingCounter:
    condition = Condition(
        key="prediction log",
        active=False,
        title="The prediction log is dropping rows",
        text=f"{rows:.0f} rows since the service started. The disk is too slow or cannot be written; "
        "serve.prediction_log.max_buffered_rows is the limit.",
        ended="The prediction log no longer drops rows",
    )
    return GrowingCounter(rows, condition)


def _may_be_ready(config: ServeConfig, registry: Registry) -> bool:
    try:
        return config.alias in aliases(registry)
    except StoreError:
        # Without the registry the service keeps its last good copy.
        return True
