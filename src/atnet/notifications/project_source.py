"""Observations from the project's folder: drift, free disk space, the age of the last backup."""

import json
import shutil
from datetime import datetime, timedelta
from pathlib import Path

from atnet.config import OperateConfig
from atnet.files import LAST_BACKUP
from atnet.monitoring.notifications import read_notifications
from atnet.notifications.alert import Alert, Condition, Observations
from atnet.registry.ledger_store import LOCAL_COPY


def observe_drift(folder: Path) -> Observations:
    """Observe the changes of state that monitoring has recorded.

    The flow `monitoring` marks them as sent for Prefect's page and starts trainings; this source keeps its own record.

    Args:
        folder: `monitor.output_folder`.
    """
    return Observations(
        events=tuple(
            Alert(
                f"drift {notification.id}",
                "warning" if notification.state == "alarm" else "success",
                f"Monitoring: {'drift' if notification.state == 'alarm' else 'no more drift'} in {notification.window}",
                notification.message,
            )
            for notification in read_notifications(folder)
        )
    )


def observe_disk(root: Path, config: OperateConfig) -> Observations:
    """Observe the free space of the disk."""
    usage = shutil.disk_usage(root)
    condition = Condition(
        key="disk",
        active=usage.free < config.min_free_disk * usage.total,
        title=f"Less than {config.min_free_disk:.0%} of the disk is free",
        text=f"{usage.free / 2**30:.1f} of {usage.total / 2**30:.0f} GB. Delete old backups, and cached outputs that "
        "are no longer used: `dvc gc --workspace`.",
        ended=f"More than {config.min_free_disk:.0%} of the disk is free again",
    )
    return Observations(conditions=(condition,))


def observe_backup(root: Path, config: OperateConfig, now: datetime) -> Observations:
    """Observe the age of the last verified backup; before the first release there is nothing to lose."""
    created = last_backup(root)
    limit = timedelta(days=config.max_backup_age_days)
    if created is not None:
        too_old, text = now - created > limit, f"It was written at {created:%Y-%m-%d %H:%M} UTC."
    else:
        too_old, text = (root / LOCAL_COPY).exists(), "None has been written yet."
    condition = Condition(
        key="backup",
        active=too_old,
        title=f"The last backup is older than {config.max_backup_age_days:g} days",
        text=f"{text} Run `atnet backup FOLDER`, preferably from a timer; it verifies each backup.",
        ended="There is a new backup",
    )
    return Observations(conditions=(condition,))


def last_backup(root: Path) -> datetime | None:
    """Return when the last verified backup was written; None if there is none."""
    try:
        values = json.loads((root / LAST_BACKUP).read_text(encoding="utf-8"))
        return datetime.fromisoformat(values["created"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
