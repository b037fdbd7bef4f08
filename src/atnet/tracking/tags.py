"""Tags by which the project finds its runs again, and their common queries."""

import contextlib
import getpass
import time
from collections.abc import Mapping

from mlflow.entities import Param, Run

from atnet.git_dvc import GitState
from atnet.model_verification import MODEL_TAG as MODEL_TAG
from atnet.redaction import redact
from atnet.tracking.store import TrackingStore

TRAINING_TAG = "training.key"
"""Identifies the training, like its checkpoint."""
PROCESS_TAG = "training.process"
"""Machine and process that write the run, to distinguish orphaned runs from active ones."""
DUPLICATE_TAG = "duplicate.of"
"""The run that has the same model."""
NOTE_TAG = "mlflow.note.content"
REBUILT_TAG = "rebuilt"
"""The run was rebuilt from the files: its times are not those of the training."""
DIRTY_TAG = "git.dirty"
LOCK_TAG = "dvc.lock.sha256"
ENDED_TAGS = frozenset({MODEL_TAG, DUPLICATE_TAG})
"""A run with one of these has ended and is not resumed."""

PARAMS_PER_REQUEST = 100
"""MLflow accepts no more in one request."""


def finished_run(store: TrackingStore, model_sha256: str) -> Run | None:
    """Return the finished run of this model, the oldest if there are two; None if there is none."""
    return _first(store, f"tags.`{MODEL_TAG}` = '{model_sha256}' and attributes.status = 'FINISHED'")


def run_of_model(store: TrackingStore, model_sha256: str) -> Run | None:
    """Return the run of this model, finished or partly published; a finished one takes precedence."""
    return finished_run(store, model_sha256) or _first(store, f"tags.`{MODEL_TAG}` = '{model_sha256}'")


def origin_tags(state: GitState) -> dict[str, str]:
    """Return tags for the user and the code of a run."""
    tags = {DIRTY_TAG: str(state.dirty).lower(), "mlflow.source.name": "dvc.yaml", "mlflow.source.type": "LOCAL"}
    # The user of a container may have no name.
    with contextlib.suppress(OSError, KeyError):
        tags["mlflow.user"] = getpass.getuser()
    if state.commit is not None:
        tags |= {"git.commit": state.commit, "mlflow.source.git.commit": state.commit}
    return tags


def write_absent_params(store: TrackingStore, run_id: str, params: Mapping[str, str]) -> None:
    """Write the parameters the run does not have: MLflow refuses another value for one it has."""
    logged = store.client.get_run(run_id).data.params
    absent = [Param(name, redact(value)) for name, value in params.items() if name not in logged]
    for start in range(0, len(absent), PARAMS_PER_REQUEST):
        store.client.log_batch(run_id, params=absent[start : start + PARAMS_PER_REQUEST])


def milliseconds() -> int:
    """Return the current time in milliseconds, MLflow's unit."""
    return int(time.time() * 1000)


def _first(store: TrackingStore, condition: str) -> Run | None:
    runs = store.client.search_runs(
        [store.experiment_id], condition, max_results=1, order_by=["attributes.start_time ASC"]
    )
    return runs[0] if runs else None
