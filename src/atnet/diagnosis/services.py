"""Checks of MLflow: the store, and the server of a running `make up`."""

import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from atnet.config import TrackingConfig
from atnet.diagnosis.finding import Finding
from atnet.errors import StoreError
from atnet.tracking.artifact_check import check_artifacts_writable
from atnet.tracking.orphaned_runs import orphaned_runs
from atnet.tracking.store import TrackingStore, open_store, store_faults
from atnet.tracking.store_errors import readable

TIMEOUT_SECONDS = 5
API_CALL = "api/2.0/mlflow/experiments/search?max_results=1"


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
    yield _artifacts(store)
    if orphaned:
        names = ", ".join(run.info.run_name for run in orphaned)
        message = f"left open by killed commands: {names}. The next training or `atnet publish` closes them."
        yield Finding("runs", "note", message)


def _artifacts(store: TrackingStore) -> Finding:
    try:
        location = check_artifacts_writable(store)
    except StoreError as error:
        return Finding("artifacts", "fault", f"{error} No model can be published until this is fixed.")
    return Finding("artifacts", "ok", f"{location} can be written")


def check_mlflow_server(address: str) -> Finding:
    """Call MLflow's API at its public address; its /health would respond to any host name."""
    try:
        with urllib.request.urlopen(f"{address}/{API_CALL}", timeout=TIMEOUT_SECONDS):
            return Finding("MLflow", "ok", f"the server answers at {address}")
    except urllib.error.HTTPError as error:
        message = f"{address} rejects requests ({error.code}). Start `make up` with PUBLIC_HOST set to this name."
        return Finding("MLflow", "fault", message)
    except OSError as error:
        return Finding("MLflow", "fault", f"nothing answers at {address} ({error}). `make up` starts it again.")
