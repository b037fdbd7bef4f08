"""Files that killed commands left in the project folder."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

from atnet.diagnosis.finding import Finding
from atnet.files import STATE
from atnet.schedules.live_runs import left_over_locks

CHECKPOINTS = STATE / "checkpoints"
OLD = timedelta(days=30)


def check_left_over(root: Path, now: datetime) -> Iterator[Finding]:
    """Report lock files of flow runs that have ended, and checkpoints of trainings that were not finished."""
    locks = left_over_locks(root)
    if locks:
        message = f"{len(locks)} lock files of flow runs that have ended. They block nothing; `--fix` deletes them."
        yield Finding("left-over", "note", message)
    for checkpoint in sorted((root / CHECKPOINTS).glob("*.npz")):
        age = now.timestamp() - checkpoint.stat().st_mtime
        name = checkpoint.relative_to(root)
        if age > OLD.total_seconds():
            message = f"{name}: an unfinished training of {age / 86400:.0f} days ago. If it is not needed: `rm {name}`."
        else:
            message = f"{name}: an unfinished training. `dvc repro` continues it if nothing has changed since."
        yield Finding("left-over", "note", message)
