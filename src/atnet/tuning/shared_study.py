"""A study in a database that several machines search at the same time.

Each process reports every few seconds that it still runs its trials (Optuna's heartbeat). The trials of a process that
falls silent are queued again, and the next process that asks for a trial gets them.
"""

import contextlib
import logging
import os
import secrets
import threading
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import optuna
import sqlalchemy
from optuna.exceptions import StorageInternalError
from optuna.trial import FrozenTrial
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError

from atnet.config import TuneConfig
from atnet.errors import ConfigurationError, StoreError
from atnet.redaction import redact, remember_secrets

ADDRESS_VARIABLE = "ATNET_TUNE_STORAGE"
HEARTBEATS_PER_TIMEOUT = 4
WORKER = "worker"
"""User attribute of a trial that a process runs and reports on: which process of the study."""
CONNECT_SECONDS = 20
logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class StudyDatabase:
    """The database, and what distinguishes this process in it."""

    address: str
    timeout_seconds: float
    """After so long without a heartbeat, a process's trials are given to others."""
    worker: str = field(default_factory=lambda: secrets.token_hex(4))

    def open(self, requeue: Callable[[optuna.Study, FrozenTrial], None]) -> optuna.storages.RDBStorage:
        """Connect, and create Optuna's tables where they are missing.

        Args:
            requeue: called with each trial that is taken from a silent process.
        """
        with expected_warnings():
            return optuna.storages.RDBStorage(
                self.address,
                engine_kwargs={"pool_pre_ping": True},
                heartbeat_interval=max(1, round(self.timeout_seconds / HEARTBEATS_PER_TIMEOUT)),
                grace_period=max(2, round(self.timeout_seconds)),
                heartbeat_stale_trial_callback=requeue,
            )


def configured_database(config: TuneConfig) -> StudyDatabase | None:
    """Return the database that the environment or params.yaml names; None: the study is a file of this project.

    Raises:
        ConfigurationError: if the address is not one of a database, or if its driver is missing.
    """
    address = os.environ.get(ADDRESS_VARIABLE) or config.storage
    if not address:
        return None
    remember_secrets(address)
    try:
        sqlalchemy.make_url(address).get_dialect().import_dbapi()
    except (ArgumentError, NoSuchModuleError, ImportError) as error:
        raise ConfigurationError(
            f"{ADDRESS_VARIABLE} (or tune.storage) is {redact(address)}, which cannot be used ({redact(str(error))}). "
            "Set it to an address such as postgresql+psycopg://optuna@db.example.org/optuna, whose driver is installed "
            "(`make install TEAM=1`)."
        ) from None
    return StudyDatabase(address, config.worker_timeout_seconds)


@contextlib.contextmanager
def expected_warnings() -> Iterator[None]:
    """Hide that Optuna calls its heartbeat experimental, and meant for another loop than this project's."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        warnings.filterwarnings("ignore", message="Heartbeat of storage")
        yield


@contextlib.contextmanager
def database_errors(database: StudyDatabase | None) -> Iterator[None]:
    """Turn an error of the database into one message.

    Raises:
        StoreError: naming the database without its password.
    """
    try:
        yield
    except (StorageInternalError, SQLAlchemyError) as error:
        if database is None:
            raise
        cause = error.__cause__ or error
        raise StoreError(
            f"The study's database {redact(database.address)} cannot be used "
            f"({redact(str(cause).splitlines()[0])}). Finished trials are kept; run `atnet tune` again later."
        ) from error


class Heartbeat:
    """A thread that reports which trials this process still runs."""

    def __init__(self, storage: optuna.storages.RDBStorage) -> None:
        """Start reporting; there are no trials yet."""
        self._storage, self._trial_ids = storage, dict[int, int]()
        self._lock, self._stopped = threading.Lock(), threading.Event()
        threading.Thread(target=self._run, daemon=True).start()

    def begin(self, number: int, trial_id: int) -> None:
        """Report a trial from now on."""
        self._storage.record_heartbeat(trial_id)
        with self._lock:
            self._trial_ids[number] = trial_id

    def end(self, number: int) -> None:
        """Report a trial no longer."""
        with self._lock:
            self._trial_ids.pop(number, None)

    def numbers(self) -> list[int]:
        """Return the trials that are reported."""
        with self._lock:
            return sorted(self._trial_ids)

    def stop(self) -> None:
        """Report nothing any more."""
        self._stopped.set()

    def _run(self) -> None:
        interval = self._storage.get_heartbeat_interval()
        assert interval is not None
        while not self._stopped.wait(interval):
            with self._lock:
                trial_ids = list(self._trial_ids.values())
            for trial_id in trial_ids:
                try:
                    self._storage.record_heartbeat(trial_id)
                except (StorageInternalError, SQLAlchemyError) as error:
                    logger.warning("The study's database did not accept a heartbeat: %s", redact(str(error)))
