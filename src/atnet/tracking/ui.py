"""MLflow's pages: the command that serves them, and the view in which they show the project's runs.

MLflow's pages open in a layout for prompts and agents unless the address, or an earlier choice in the same browser,
says otherwise. Columns and sorting of the runs table are part of a saved view, which is a tag of the experiment.
"""

import contextlib
import json
import sys
from pathlib import Path

from atnet.config import TrackingConfig
from atnet.errors import StoreError
from atnet.redaction import without_credentials
from atnet.storage import project_root
from atnet.tracking.store import (
    MODEL_TRAINING,
    MODEL_TRAINING_PAGE,
    TrackingStore,
    artifact_location,
    client_address,
    open_store,
    resolve_uri,
    store_faults,
)
from atnet.tracking.tags import milliseconds

VIEW_KEY = "atnet-models"
VIEW_TAG = f"mlflow.sharedViewState.{VIEW_KEY}"
VIEW_NAME = "Models by macro-F1"
COLUMN_WIDTHS = {
    "metrics.`test/accuracy`": 110,
    "metrics.`test/macro_f1`": 110,
    "metrics.`test_lead/accuracy`": 150,
    "metrics.`test_lead/macro_f1`": 150,
    "attributes.`Dataset`": 260,
    "attributes.`Models`": 140,
}
"""Column of the runs table -> pixels, in order. The dataset column shows the digest of the data."""
LOCAL_NAMES = ("localhost", "127.0.0.1")


def ui_command(
    config: TrackingConfig,
    root: Path | None = None,
    *,
    host: str = "127.0.0.1",
    port: int = 5000,
    public_host: str | None = None,
) -> list[str]:
    """Return the command that shows the runs in a browser: MLflow's server, or for a remote server its address.

    Args:
        config: section `tracking`.
        root: the project folder.
        host: address to listen on.
        port: port to listen on.
        public_host: name under which browsers reach this machine; MLflow rejects requests to any other. Without it,
            MLflow accepts the names of this machine and of private networks.
    """
    anchor = project_root(root)
    uri = resolve_uri(config, anchor)
    if uri.startswith(("http://", "https://")):
        return [sys.executable, "-m", "webbrowser", ui_address(config, root)]
    return [
        *(sys.executable, "-m", "mlflow", "server", "--host", host, "--port", str(port), "--workers", "1"),
        *("--backend-store-uri", client_address(uri), "--default-artifact-root", artifact_location(config, anchor)),
        *(_allowed_hosts(public_host, port) if public_host else ()),
    ]


def _allowed_hosts(name: str, port: int) -> list[str]:
    """Return the options for the names that requests may use: MLflow compares them with the port in them."""
    names = [*LOCAL_NAMES, *([] if name in LOCAL_NAMES else [name])]
    options = ["--allowed-hosts", ",".join(pattern for name in names for pattern in (name, f"{name}:*"))]
    if len(names) > len(LOCAL_NAMES):
        options += ["--cors-allowed-origins", f"http://{name}:{port},http://{name}"]
    return options


def ui_address(config: TrackingConfig, root: Path | None = None, *, host: str = "127.0.0.1", port: int = 5000) -> str:
    """Return where the runs are shown, as model training, while the command of `ui_command` runs.

    Raises:
        StoreError: if a store on this machine cannot be used.
    """
    uri = resolve_uri(config, project_root(root))
    try:
        store = open_store(config, root)
    except StoreError:
        if not uri.startswith(("http://", "https://")):
            raise
        # The browser may have a way to the server that this process has not.
        return f"{without_credentials(uri).rstrip('/')}/#/experiments{MODEL_TRAINING_PAGE}"
    server = store.address if store.is_server else f"http://{host}:{port}"
    view = f"&viewStateShareKey={VIEW_KEY}" if save_runs_view(store) else ""
    return f"{server}/#/experiments/{store.experiment_id}/runs{MODEL_TRAINING_PAGE}{view}"


def save_runs_view(store: TrackingStore) -> bool:
    """Save the view of the runs table in the experiment, and return whether it is there."""
    state = json.dumps(
        {
            "selectedColumns": list(COLUMN_WIDTHS),
            "columnOrder": list(COLUMN_WIDTHS),
            "columnWidths": COLUMN_WIDTHS,
            "orderByKey": "metrics.`test/macro_f1`",
            "orderByAsc": False,
        }
    )
    with contextlib.suppress(StoreError), store_faults(store.uri):
        present = store.client.get_experiment(store.experiment_id).tags
        tags = {name: value for name, value in MODEL_TRAINING.items() if name not in present}
        if VIEW_TAG not in present or json.loads(present[VIEW_TAG]).get("state") != state:
            now = milliseconds()
            tags[VIEW_TAG] = json.dumps({"name": VIEW_NAME, "createdAt": now, "updatedAt": now, "state": state})
        for name, value in tags.items():
            store.client.set_experiment_tag(store.experiment_id, name, value)
        return True
    # A server may allow this user to read only; the table then has MLflow's own columns.
    return False
