"""The words on a run by which the project finds it again."""

import contextlib
import getpass
import time
from collections.abc import Mapping

from mlflow.entities import Param, Run

from atnet.git_dvc import GitState
from atnet.redaction import redact
from atnet.tracking.store import TrackingStore

MODEL_TAG = "model.sha256"
"""Hash of the model's files: the model's identity."""
TRAINING_TAG = "training.key"
"""Names the training, as its checkpoint does."""
PROCESS_TAG = "training.process"
"""Machine and process that train or publish, so that an abandoned run is told from a busy one."""
DUPLICATE_TAG = "duplicate.of"
"""The run that has the same model."""
NOTE_TAG = "mlflow.note.content"
REBUILT_TAG = "rebuilt"
"""The run was made from the files: its times are not the training's."""
DIRTY_TAG = "git.dirty"
LOCK_TAG = "dvc.lock.sha256"
OPEN_ENDED = frozenset({MODEL_TAG, DUPLICATE_TAG})
"""A run with one of these has come to its end and is not gone on in."""

PARAMS_AT_ONCE = 100
"""As many as MLflow takes in one request."""


def finished_run(store: TrackingStore, model_sha256: str) -> Run | None:
    """Find the run that ended with this model, the oldest if a race made two."""
    return _first(store, f"tags.`{MODEL_TAG}` = '{model_sha256}' and attributes.status = 'FINISHED'")


def run_of_model(store: TrackingStore, model_sha256: str) -> Run | None:
    """Find the run of this model, ended or left half published; an ended one comes first."""
    return finished_run(store, model_sha256) or _first(store, f"tags.`{MODEL_TAG}` = '{model_sha256}'")


def origin_tags(state: GitState) -> dict[str, str]:
    """Say who made a run, and with which code."""
    tags = {DIRTY_TAG: str(state.dirty).lower(), "mlflow.source.name": "dvc.yaml", "mlflow.source.type": "LOCAL"}
    # A container's user may have no name.
    with contextlib.suppress(OSError, KeyError):
        tags["mlflow.user"] = getpass.getuser()
    if state.commit is not None:
        tags |= {"git.commit": state.commit, "mlflow.source.git.commit": state.commit}
    return tags


def write_absent_params(store: TrackingStore, run_id: str, params: Mapping[str, str]) -> None:
    """Write the parameters the run does not have: MLflow refuses another value for one it has."""
    known = store.client.get_run(run_id).data.params
    absent = [Param(name, redact(value)) for name, value in params.items() if name not in known]
    for start in range(0, len(absent), PARAMS_AT_ONCE):
        store.client.log_batch(run_id, params=absent[start : start + PARAMS_AT_ONCE])


def milliseconds() -> int:
    """Give the time in MLflow's unit."""
    return int(time.time() * 1000)


def _first(store: TrackingStore, condition: str) -> Run | None:
    runs = store.client.search_runs(
        [store.experiment_id], condition, max_results=1, order_by=["attributes.start_time ASC"]
    )
    return runs[0] if runs else None
