"""Checks of MLflow and Prefect."""

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from atnet.config import TrackingConfig
from atnet.diagnosis.finding import Finding
from atnet.errors import StoreError
from atnet.redaction import redact
from atnet.tracking.orphaned_runs import orphaned_runs
from atnet.tracking.store import open_store, store_faults
from atnet.tracking.store_errors import readable

PREFECT_API = "http://127.0.0.1:4200/api"
TIMEOUT_SECONDS = 5


def check_store(root: Path, tracking: TrackingConfig) -> Iterator[Finding]:
    """Check that the MLflow store answers and can be written; create it if it does not exist."""
    try:
        store = open_store(tracking, root)
        with store_faults(store.uri):
            orphaned = orphaned_runs(store)
    except StoreError as error:
        yield Finding("MLflow", "fault", str(error))
        return
    yield Finding("MLflow", "ok", f"{readable(store.uri)} answers")
    if orphaned:
        names = ", ".join(run.info.run_name for run in orphaned)
        message = f"left open by killed commands: {names}. The next training or `atnet publish` closes them."
        yield Finding("runs", "note", message)


def check_prefect(address: str) -> Iterator[Finding]:
    """Check that scheduled flows will start: a run that no process picks up stays Late forever."""
    try:
        deployments = _query(address, "deployments/filter", {})
        pools = _query(address, "work_pools/filter", {})
        late = _query(address, "flow_runs/filter", {"flow_runs": {"state": {"name": {"any_": ["Late"]}}}})
    except (urllib.error.URLError, OSError, ValueError):
        yield Finding(
            "Prefect", "note", f"no server at {redact(address)}; schedules run only while `make schedule` runs"
        )
        return
    yield Finding("Prefect", "ok", f"{redact(address)} answers; deployments: {len(deployments)}")
    # A deployment that was polled a moment ago still counts as ready; its pool is more accurate.
    idle = {pool["name"] for pool in pools if pool.get("status") != "READY"}
    for deployment in deployments:
        if deployment.get("status") != "READY" or deployment.get("work_pool_name") in idle:
            yield Finding("Prefect", "fault", _unserved(deployment))
    if late:
        yield Finding(
            "Prefect", "fault", f"{len(late)} runs are Late: no process picks them up. Start `make schedule`."
        )


def _unserved(deployment: dict[str, Any]) -> str:
    name, pool = deployment["name"], deployment.get("work_pool_name")
    start = f"`prefect worker start --pool {pool}`" if pool else "`make schedule`"
    return f"no process serves the deployment {name}: its runs will stay Late. Start {start}."


def _query(address: str, path: str, body: dict[str, Any]) -> list[dict[str, Any]]:
    request = urllib.request.Request(
        f"{address}/{path}", data=json.dumps(body).encode(), headers={"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as response:
        answer: list[dict[str, Any]] = json.load(response)
        return answer
