"""Section `operate`: what `atnet watch`, `atnet doctor` and the schedules count as a fault."""

from atnet.config.section import OpenFraction, PositiveNumber, Section


class OperateConfig(Section):
    """The command `atnet watch`, and the limits that `atnet doctor` and the start-up sweep share with it."""

    poll_seconds: PositiveNumber
    max_pending_minutes: PositiveNumber
    grace_seconds: PositiveNumber
    max_backup_age_days: PositiveNumber
    min_free_disk: OpenFraction
