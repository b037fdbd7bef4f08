"""The adapter to MLflow's tracking store: the run of a training in progress, and the complete run of a finished one.

One MLflow run is one trained model, found by the hash of the model's files and never by a run id on disk.
"""

from atnet.tracking.collect import collect_run_contents
from atnet.tracking.publishing import publish, publish_from_files
from atnet.tracking.run_contents import PublishedRun
from atnet.tracking.store import TrackingStore, open_store
from atnet.tracking.training_run import TrainingRun, training_run
from atnet.tracking.ui import ui_address, ui_command

__all__ = [
    "PublishedRun",
    "TrackingStore",
    "TrainingRun",
    "collect_run_contents",
    "open_store",
    "publish",
    "publish_from_files",
    "training_run",
    "ui_address",
    "ui_command",
]
