"""The process that follows the model registry: downloads what an alias points at, verifies it, moves the pointer.

It alone imports MLflow, so the workers stay small and start fast, and a registry that hangs keeps no request waiting.
"""

import logging
import random
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from atnet.errors import StoreError
from atnet.registry.model_source import ModelSource
from atnet.registry.shadow_run import Agreement, log_agreement
from atnet.serving.alias_follower import AliasFollower
from atnet.serving.child import end_with_parent
from atnet.serving.files import stamp
from atnet.serving.logs import configure_logging
from atnet.serving.metrics import RegistryMetrics, summed_counter
from atnet.serving.model_folder import CHALLENGER, ModelFolder
from atnet.serving.prediction_files import delete_old_days, merge_day
from atnet.serving.settings import SQLITE, ServiceSettings
from atnet.serving.status import RegistryStatus

logger = logging.getLogger(__name__)

JITTER = 0.2
"""Share by which the time between two looks varies."""
HOUSEKEEPING_SECONDS = 3600.0


def main(settings_file: Path, stopping: threading.Event) -> None:
    """Follow the registry until told to stop."""
    settings = ServiceSettings.load(settings_file)
    config, models = settings.config, ModelFolder(settings.folder, settings.model)
    source = ModelSource(settings.registry_uri, settings.model)
    champion = AliasFollower(source, models, config.alias, config.poll_seconds)
    challenger = AliasFollower(source, models, CHALLENGER, config.poll_seconds) if settings.shadow else None
    process = RegistryProcess(settings, models, champion, challenger)
    while not stopping.is_set():
        process.look(time.monotonic())
        if process.database_replaced():
            # MLflow keeps its connections to the old file: another process opens the new one.
            logger.warning("The registry's database file was replaced; its process starts again.")
            return
        stopping.wait(config.poll_seconds * random.uniform(1 - JITTER, 1 + JITTER))


class RegistryProcess:
    """What happens at every look."""

    def __init__(
        self, settings: ServiceSettings, models: ModelFolder, champion: AliasFollower, challenger: AliasFollower | None
    ) -> None:
        self._settings, self._models = settings, models
        self._champion, self._challenger = champion, challenger
        self._metrics = RegistryMetrics()
        self._database = self._database_file()
        self._housekept: float | None = None
        self._report = ShadowReport(settings)

    def look(self, now: float) -> None:
        """Follow the aliases, tell the workers, and do what is due."""
        outcome = self._champion.look(now)
        self._metrics.polls[outcome].inc()
        self._metrics.reachable.set(outcome != "unreachable")
        rejection = self._champion.rejection
        self._metrics.rejected_version.set(rejection.version.number if rejection else 0)
        status = RegistryStatus(
            reachable=outcome != "unreachable",
            message=self._champion.message,
            rejected_version=rejection.version.number if rejection else None,
            rejected_reason=rejection.reason if rejection else None,
        )
        try:
            status.write(self._settings.folder)
            self._look_at_challenger(now)
            self._clean(now)
        except OSError as error:
            # A full disk; the workers go on with what they have.
            logger.error("The service's folder cannot be written (%s).", error.strerror or error)

    def _look_at_challenger(self, now: float) -> None:
        if self._challenger is None:
            return
        if self._challenger.look(now) in ("missing", "rejected"):
            self._models.point(CHALLENGER, None)
            self._challenger.version = None
        if self._champion.version is not None and self._challenger.version is not None:
            self._report.log(self._champion.version.number, self._challenger.version.number, now)

    def _clean(self, now: float) -> None:
        """Delete what is not pointed at, and once an hour merge and delete days of the prediction log."""
        followed = [self._settings.config.alias, *([CHALLENGER] if self._challenger else [])]
        self._models.remove_others({folder for alias in followed if (folder := self._models.pointed(alias))})
        logged = self._settings.config.prediction_log
        if logged is None or (self._housekept is not None and now - self._housekept < HOUSEKEEPING_SECONDS):
            return
        self._housekept = now
        folder, moment = self._settings.root / logged.folder, datetime.now(UTC)
        delete_old_days(folder, moment.date(), logged.retention_days)
        # Workers write yesterday's last rows at most `flush_seconds` after midnight.
        if moment - datetime.combine(moment.date(), datetime.min.time(), UTC) > timedelta(
            seconds=2 * logged.flush_seconds
        ):
            merge_day(folder, moment.date() - timedelta(days=1))

    def database_replaced(self) -> bool:
        """Tell whether the registry's SQLite file is not the one it was."""
        now = self._database_file()
        replaced = self._database is not None and now is not None and now != self._database
        self._database = self._database or now
        return replaced

    def _database_file(self) -> int | None:
        uri = self._settings.registry_uri
        version = stamp(Path(uri.removeprefix(SQLITE))) if uri.startswith(SQLITE) else None
        return version[0] if version else None


class ShadowReport:
    """Reports the agreement of the challenger with the champion to MLflow from time to time."""

    def __init__(self, settings: ServiceSettings) -> None:
        self._settings = settings
        self._pair: tuple[int, int] | None = None
        self._since = Agreement(0, 0, 0.0)
        self._logged = 0.0

    def log(self, champion: int, challenger: int, now: float) -> None:
        """Log what was counted since this pair was first seen, if it is time."""
        counted = self._counted()
        if self._pair != (champion, challenger):
            self._pair, self._since, self._logged = (champion, challenger), counted, now
        if now - self._logged < 60 * self._settings.config.shadow.mlflow_minutes:
            return
        self._logged = now
        try:
            log_agreement(self._settings.registry_uri, self._settings.experiment, self._pair, counted - self._since)
        except StoreError as error:
            logger.warning("%s The agreement is reported later.", error)

    def _counted(self) -> Agreement:
        texts = summed_counter(self._settings.metrics_folder, "atnet_shadow_texts")
        difference = summed_counter(self._settings.metrics_folder, "atnet_shadow_difference")
        return Agreement(int(texts.get("agree", 0)), int(texts.get("disagree", 0)), difference.get("", 0.0))


if __name__ == "__main__":
    configure_logging()
    main(Path(sys.argv[1]), end_with_parent())
