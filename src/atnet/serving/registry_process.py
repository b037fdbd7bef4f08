"""The process that follows the model registry: it downloads and verifies versions and moves the pointers.

Only this process imports MLflow, so the workers stay small and start fast, and no request waits for a slow registry.
"""

import logging
import random
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from atnet.environment import prepare_process
from atnet.errors import StoreError
from atnet.registry.model_source import ModelSource
from atnet.registry.shadow_run import Agreement, log_agreement
from atnet.serving.alias_poller import AliasPoller
from atnet.serving.child_process import stop_with_parent
from atnet.serving.json_log import log_as_json
from atnet.serving.model_copies import CHALLENGER, ModelCopies
from atnet.serving.prediction_files import delete_old_days, merge_day
from atnet.serving.registry_status import RegistryStatus
from atnet.serving.service_metrics import RegistryMetrics, summed_counter
from atnet.serving.service_settings import SQLITE, ServiceSettings
from atnet.serving.state_files import file_stamp

logger = logging.getLogger(__name__)

JITTER = 0.2
"""Fraction by which the time between two polls varies."""
HOUSEKEEPING_SECONDS = 3600.0


def main(settings_file: Path, stopping: threading.Event) -> None:
    """Follow the registry until the supervisor stops this process."""
    settings = ServiceSettings.load(settings_file)
    poll_seconds = settings.config.poll_seconds
    process = RegistryProcess(settings)
    while not stopping.is_set():
        process.poll(time.monotonic())
        if process.database_replaced():
            # MLflow keeps its connections to the old file: a new process opens the new one.
            logger.warning("The registry's database file was replaced; the registry process restarts.")
            return
        stopping.wait(poll_seconds * random.uniform(1 - JITTER, 1 + JITTER))


class RegistryProcess:
    """The work of the registry process at every poll."""

    def __init__(self, settings: ServiceSettings) -> None:
        config = settings.config
        self._settings, self._copies = settings, ModelCopies(settings.folder, settings.model)
        source = ModelSource(settings.registry_uri, settings.model)
        self._champion = AliasPoller(source, self._copies, config.alias, config.poll_seconds)
        self._challenger = (
            AliasPoller(source, self._copies, CHALLENGER, config.poll_seconds) if settings.shadow else None
        )
        self._metrics = RegistryMetrics()
        self._database = self._database_inode()
        self._last_housekeeping: float | None = None
        self._report = ShadowReport(settings)

    def poll(self, now: float) -> None:
        """Follow the aliases, write the status for the workers, and clean up."""
        result = self._champion.poll(now)
        self._metrics.polls[result].inc()
        self._metrics.reachable.set(result != "unreachable")
        rejection = self._champion.rejection
        self._metrics.rejected_version.set(rejection.version.number if rejection else 0)
        status = RegistryStatus(
            reachable=result != "unreachable",
            message=self._champion.message,
            rejected_version=rejection.version.number if rejection else None,
            rejected_reason=rejection.reason if rejection else None,
        )
        try:
            status.write(self._settings.folder)
            self._poll_challenger(now)
            self._clean_up(now)
        except OSError as error:
            # A full disk; the workers continue with what they have.
            logger.error("The service's folder cannot be written (%s).", error.strerror or error)

    def _poll_challenger(self, now: float) -> None:
        if self._challenger is None:
            return
        if self._challenger.poll(now) in ("missing", "rejected"):
            self._copies.point(CHALLENGER, None)
            self._challenger.version = None
        if self._champion.version is not None and self._challenger.version is not None:
            self._report.log_if_due(self._champion.version.number, self._challenger.version.number, now)

    def _clean_up(self, now: float) -> None:
        """Delete copies without a pointer; once an hour, merge and delete days of the prediction log."""
        aliases = [self._settings.config.alias, *([CHALLENGER] if self._challenger else [])]
        self._copies.delete_others({copy for alias in aliases if (copy := self._copies.current(alias))})
        log = self._settings.config.prediction_log
        if log is None or (
            self._last_housekeeping is not None and now - self._last_housekeeping < HOUSEKEEPING_SECONDS
        ):
            return
        self._last_housekeeping = now
        folder, moment = self._settings.root / log.folder, datetime.now(UTC)
        delete_old_days(folder, moment.date(), log.retention_days)
        # Workers write yesterday's last rows at most `flush_seconds` after midnight.
        if moment - datetime.combine(moment.date(), datetime.min.time(), UTC) > timedelta(
            seconds=2 * log.flush_seconds
        ):
            merge_day(folder, moment.date() - timedelta(days=1))

    def database_replaced(self) -> bool:
        """Return whether the registry's SQLite file was replaced by another file."""
        inode = self._database_inode()
        replaced = self._database is not None and inode is not None and inode != self._database
        self._database = self._database or inode
        return replaced

    def _database_inode(self) -> int | None:
        uri = self._settings.registry_uri
        stamp = file_stamp(Path(uri.removeprefix(SQLITE))) if uri.startswith(SQLITE) else None
        return stamp[0] if stamp else None


class ShadowReport:
    """Reports how often the challenger agrees with the champion to MLflow, every `report_minutes`."""

    def __init__(self, settings: ServiceSettings) -> None:
        self._settings = settings
        self._versions: tuple[int, int] | None = None
        self._start = Agreement(0, 0, 0.0)
        """Counts when this pair of versions was first seen."""
        self._logged = 0.0

    def log_if_due(self, champion: int, challenger: int, now: float) -> None:
        """Log the counts since this pair of versions was first seen, if the last report is long enough ago."""
        counts = self._counts()
        if self._versions != (champion, challenger):
            self._versions, self._start, self._logged = (champion, challenger), counts, now
        if now - self._logged < 60 * self._settings.config.shadow.report_minutes:
            return
        self._logged = now
        uri, experiment = self._settings.registry_uri, self._settings.operations_experiment
        try:
            log_agreement(uri, experiment, self._versions, counts - self._start, now=datetime.now(UTC))
        except StoreError as error:
            logger.warning("%s The next report includes it.", error)

    def _counts(self) -> Agreement:
        texts = summed_counter(self._settings.metrics_folder, "atnet_shadow_texts")
        difference = summed_counter(self._settings.metrics_folder, "atnet_shadow_difference")
        return Agreement(int(texts.get("agree", 0)), int(texts.get("disagree", 0)), difference.get("", 0.0))


if __name__ == "__main__":
    prepare_process()
    log_as_json()
    main(Path(sys.argv[1]), stop_with_parent())
