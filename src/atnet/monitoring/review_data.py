"""The data file that a review is merged into, and its version in DVC."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from atnet.config import Params
from atnet.config.yaml_text import parse_yaml
from atnet.errors import DataFileError, MonitoringError
from atnet.files import FLOW_LOCK
from atnet.git_dvc import run_dvc
from atnet.storage import exclusive_lock, project_root

LOCK_SECONDS = 5.0


def data_files(params: Params, root: Path) -> tuple[Path, Path]:
    """Return the file that contains the newest labels, and the file to write.

    A stage would overwrite its own output, so reviewed rows then go to a separate file.

    Raises:
        MonitoringError: if the data is imported, so that the next update would undo a correction.
        DataFileError: if the data file is missing.
    """
    path = root / params.data.path
    tracked = _tracking_file(root, path)
    if tracked is not None:
        if (parse_yaml(tracked.read_text(encoding="utf-8")) or {}).get("deps"):
            raise MonitoringError(
                f"{params.data.path} is imported ({tracked.relative_to(root)}), so the next update would undo a "
                "review. Correct the data at its source, or track a copy of your own with `dvc add`."
            )
        return path, path
    target = root / params.monitor.review.data_folder / path.name
    if not path.is_file() and not target.is_file():
        raise DataFileError(f"{params.data.path} is missing. Run `dvc repro`, or `dvc checkout`.")
    return (target if target.is_file() else path), target


def track_data(root: Path, target: Path) -> str:
    """Add a new version of a data file to DVC and return its MD5.

    Raises:
        StoreError: if DVC fails.
    """
    tracked = _tracking_file(root, target)
    name = str((tracked.with_suffix("") if tracked else target).relative_to(root))
    run_dvc(["add", name], root)
    content = parse_yaml((root / f"{name}.dvc").read_text(encoding="utf-8"))
    return str(content["outs"][0]["md5"])


@contextlib.contextmanager
def no_flow(root: Path) -> Iterator[None]:
    """Keep flows from reading the data while it is written.

    Raises:
        MonitoringError: if a flow is running.
    """
    message = "A flow is running in this project. Read the review when it has ended."
    lock = project_root(root) / FLOW_LOCK
    with exclusive_lock(lock, message, timeout_seconds=LOCK_SECONDS, error=MonitoringError):
        yield


def _tracking_file(root: Path, path: Path) -> Path | None:
    """Return the `.dvc` file that tracks a file or a folder that contains it; None if there is none."""
    for tracked in (path, *path.parents):
        if tracked == root or not tracked.is_relative_to(root):
            return None
        dvc_file = tracked.with_name(f"{tracked.name}.dvc")
        if dvc_file.is_file():
            return dvc_file
    return None
