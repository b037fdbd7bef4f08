"""The checkpoint of a finished training, kept until DVC has recorded the model.

`dvc repro` can fail after the stage has ended, for example because another DVC command holds DVC's lock. It then
deletes the outputs and runs the stage again, which must not train again.
"""

import os
from pathlib import Path

from atnet.files import DVC_LOCK, WEIGHTS
from atnet.git_dvc import locked_outputs
from atnet.tracking.collect import file_md5

FOLDER = "finished"


def restore_finished(checkpoint: Path, root: Path) -> None:
    """Move the checkpoint of the same training back unless its model was recorded; delete those of other trainings."""
    finished = checkpoint.parent / FOLDER / checkpoint.name
    if finished.exists() and not checkpoint.exists() and not _is_recorded(_weights_md5(finished), root):
        os.replace(finished, checkpoint)
    for path in finished.parent.glob("*"):
        path.unlink(missing_ok=True)


def keep_finished(checkpoint: Path, root: Path) -> None:
    """Keep the checkpoint of a training whose model has been written."""
    finished = checkpoint.parent / FOLDER / checkpoint.name
    finished.parent.mkdir(parents=True, exist_ok=True)
    finished.with_suffix(".md5").write_text(file_md5(root / WEIGHTS), encoding="utf-8")
    os.replace(checkpoint, finished)


def _weights_md5(finished: Path) -> str:
    try:
        return finished.with_suffix(".md5").read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""


def _is_recorded(md5: str, root: Path) -> bool:
    """Return whether the weights are in dvc.lock, or still in the model folder, which DVC empties before the stage."""
    lock, weights = root / DVC_LOCK, root / WEIGHTS
    if lock.exists() and locked_outputs(lock.read_text(encoding="utf-8")).get(str(WEIGHTS)) == md5:
        return True
    return weights.exists() and file_md5(weights) == md5
