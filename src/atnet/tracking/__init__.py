"""The door to MLflow's tracking store: the live run of a training, and the complete run of a finished one.

One MLflow run is one trained model, found by the hash of the model's files and never by a run id on disk.
"""

from atnet.publishing import PublishedRun
from atnet.tracking.files import Folders, read_publication
from atnet.tracking.live import LiveRun, live_run
from atnet.tracking.publication import publish, publish_from_files
from atnet.tracking.store import TrackingStore, open_store, ui_address, ui_command

__all__ = [
    "Folders",
    "LiveRun",
    "PublishedRun",
    "TrackingStore",
    "live_run",
    "open_store",
    "publish",
    "publish_from_files",
    "read_publication",
    "ui_address",
    "ui_command",
]
