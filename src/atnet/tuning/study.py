"""Optuna's study, in a file or a shared database: which trial is next, which is pruned, what was interrupted.

Sampling: tree-structured Parzen estimator (Bergstra et al., NeurIPS 2011). Pruning: the median rule (Golovin et al.,
KDD 2017).
"""

import hashlib
import math
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import optuna
from optuna.distributions import BaseDistribution
from optuna.study import StudyDirection
from optuna.trial import TrialState
from sqlalchemy.exc import SQLAlchemyError

from atnet.config import TuneConfig
from atnet.config.tune import PruningConfig
from atnet.errors import StoreError
from atnet.storage import sqlite_address
from atnet.tuning.shared_study import WORKER, Heartbeat, StudyDatabase, expected_warnings
from atnet.tuning.space import Settings, round_settings
from atnet.tuning.trials import HIGHER_IS_BETTER, EpochHistory, TrialResult, TrialStatus, best_epoch

RECORD, SETTINGS = "record", "settings"
"""User attributes of an Optuna trial."""
OPTUNA_STATES: dict[TrialStatus, TrialState] = {
    "complete": TrialState.COMPLETE,
    "pruned": TrialState.PRUNED,
    "failed": TrialState.FAIL,
}
BUSY_SECONDS = 60
"""How long to wait for another process that writes to the study."""
MIN_TRIALS_FOR_IMPORTANCES = 4
FIRST_TRIAL_SECONDS = 10
"""How long another process may take from creating a shared study to queueing its first trial."""


@dataclass(frozen=True, slots=True)
class TrialRequest:
    """A trial to be run."""

    number: int
    settings: Settings


def study_key(settings: str, files: Iterable[Path]) -> str:
    """Return a hash of all that a trial's result depends on: settings, and the names and contents of files."""
    digest = hashlib.sha256(settings.encode())
    for path in files:
        digest.update(path.name.encode())
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()[:32]


class Study:
    """The trials of one search: the same history gives the same next trial, interrupted or not."""

    def __init__(
        self,
        path: Path,
        config: TuneConfig,
        space: Mapping[str, BaseDistribution],
        current: Settings,
        database: StudyDatabase | None = None,
    ) -> None:
        """Open the study, or create it with the current settings as its first trial.

        Args:
            path: the file, whose name is the name of the study.
            config: the search.
            space: what is varied.
            current: the settings of params.yaml.
            database: where the study is instead of in the file, shared with other processes.

        Raises:
            StoreError: if the file is not a study.
        """
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._config, self._space, self._database = config, space, database
        self._given_back: list[int] = []
        self._heartbeat: Heartbeat | None = None
        if database is None:
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                self._open(_file_storage(path), path.stem, current)
            except (SQLAlchemyError, RuntimeError) as error:
                raise StoreError(
                    f"{path} is not a usable study ({str(error).splitlines()[0]}). "
                    "Move it aside; the search then starts from the beginning."
                ) from error
            self.requeue_interrupted()
        else:
            storage = database.open(self._take_back)
            self._open(storage, path.stem, current)
            self._heartbeat = Heartbeat(storage)

    @property
    def is_shared(self) -> bool:
        """Return whether other processes may search the study at the same time."""
        return self._database is not None

    def close(self) -> None:
        """End the thread of a shared study."""
        if self._heartbeat is not None:
            self._heartbeat.stop()

    def requeue_interrupted(self) -> list[int]:
        """Queue the interrupted trials, of a shared study only this process's, and return their old numbers."""
        numbers = []
        own = None if self._heartbeat is None else self._heartbeat.numbers()
        for trial in self._study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            if own is not None and trial.number not in own:
                continue
            if RECORD in trial.user_attrs:
                self.tell(TrialResult.from_record(trial.number, trial.user_attrs[RECORD]))
                continue
            numbers.append(trial.number)
            self._study.tell(trial.number, state=TrialState.FAIL)
            self._requeue(trial)
        return numbers

    def take_over(self) -> list[int]:
        """Queue the trials of processes that have fallen silent, and return their numbers."""
        self._given_back.clear()
        if self._database is not None:
            with expected_warnings():
                optuna.storages.fail_stale_trials(self._study)
        return list(self._given_back)

    def running_elsewhere(self) -> int:
        """Count the trials that other processes run."""
        if self._heartbeat is None:
            return 0
        own = self._heartbeat.numbers()
        running = self._study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
        return sum(trial.number not in own and WORKER in trial.user_attrs for trial in running)

    def ask(self) -> TrialRequest:
        """Return the next trial to run."""
        # Seeded by the trial's position among those that count: a new sampler would repeat its first draws.
        position = sum(trial.state is TrialState.RUNNING or RECORD in trial.user_attrs for trial in self._trials())
        # Processes that share a study may ask at the same position.
        worker = "" if self._database is None else self._database.worker
        seed = _sampler_seed(f"{self._study.study_name}{worker}", self._config.seed, position)
        self._study.sampler = optuna.samplers.TPESampler(seed=seed)
        with expected_warnings():
            trial = self._study.ask(dict(self._space))
        settings = trial.user_attrs.get(SETTINGS) or round_settings(trial.params, self._space)
        trial.set_user_attr(SETTINGS, settings)
        if self._heartbeat is not None:
            self._heartbeat.begin(trial.number, trial._trial_id)
            trial.set_user_attr(WORKER, worker)
        return TrialRequest(trial.number, settings)

    def should_prune(self, number: int, history: EpochHistory) -> bool:
        """Report the last epoch of a trial and return whether to stop the trial."""
        value = history[-1][self._config.objective]
        if not math.isfinite(history[-1]["validation_loss"]):
            return True
        trial = self._optuna_trial(number)
        trial.report(value, len(history))
        return trial.should_prune()

    def tell(self, result: TrialResult) -> None:
        """Store the result of a trial."""
        self._optuna_trial(result.number).set_user_attr(RECORD, result.to_record())
        value = best_epoch(result.history)[self._config.objective] if result.status == "complete" else None
        self._study.tell(result.number, value, state=OPTUNA_STATES[result.status], skip_if_finished=True)
        if self._heartbeat is not None:
            self._heartbeat.end(result.number)

    def results(self) -> list[TrialResult]:
        """Return the trials that have ended, in order, without those that were interrupted."""
        return [
            TrialResult.from_record(trial.number, trial.user_attrs[RECORD])
            for trial in self._trials()
            if trial.state.is_finished() and RECORD in trial.user_attrs
        ]

    def importances(self) -> dict[str, float]:
        """Compute each parameter's share of the variance of the objective; empty if there are too few trials.

        Functional ANOVA (Hutter et al., ICML 2014) over the complete trials.
        """
        complete = self._study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        if len(complete) < MIN_TRIALS_FOR_IMPORTANCES:
            return {}
        evaluator = optuna.importance.FanovaImportanceEvaluator(seed=self._config.seed)
        try:
            importances = optuna.importance.get_param_importances(self._study, evaluator=evaluator)
        except RuntimeError:
            # All values are equal.
            return {}
        return {name: float(share) for name, share in importances.items()}

    def _open(self, storage: optuna.storages.RDBStorage, name: str, current: Settings) -> None:
        higher = HIGHER_IS_BETTER[self._config.objective]
        direction = StudyDirection.MAXIMIZE if higher else StudyDirection.MINIMIZE
        pruner = _pruner(self._config.pruning)
        try:
            self._study = optuna.create_study(storage=storage, study_name=name, direction=direction, pruner=pruner)
        except optuna.exceptions.DuplicatedStudyError:
            self._study = optuna.load_study(storage=storage, study_name=name, pruner=pruner)
            # Whoever has created the study queues its first trial; unless it was killed before.
            end = time.monotonic() + (0 if self._database is None else FIRST_TRIAL_SECONDS)
            while not self._trials() and time.monotonic() < end:
                time.sleep(0.2)
        if not self._trials():
            self._enqueue(current, current)

    def _take_back(self, _study: optuna.Study, trial: optuna.trial.FrozenTrial) -> None:
        self._given_back.append(trial.number)
        self._requeue(trial)

    def _requeue(self, trial: optuna.trial.FrozenTrial) -> None:
        if SETTINGS in trial.user_attrs:
            self._enqueue(trial.params, trial.user_attrs[SETTINGS])

    def _trials(self) -> list[optuna.trial.FrozenTrial]:
        return self._study.get_trials(deepcopy=False)

    def _optuna_trial(self, number: int) -> optuna.trial.Trial:
        return optuna.trial.Trial(self._study, self._trials()[number]._trial_id)

    def _enqueue(self, sampled: Mapping[str, object], settings: Settings) -> None:
        with expected_warnings():
            self._study.enqueue_trial(dict(sampled), user_attrs={SETTINGS: settings})


def same_settings(request: TrialRequest, results: Iterable[TrialResult]) -> TrialResult | None:
    """Return the result of an earlier trial with the same settings: training again would give the same."""
    for result in results:
        if result.settings == request.settings and result.status != "failed":
            return replace(result, number=request.number, seconds=0.0, note=f"same as trial {result.number}")
    return None


def _file_storage(path: Path) -> optuna.storages.RDBStorage:
    return optuna.storages.RDBStorage(sqlite_address(path), engine_kwargs={"connect_args": {"timeout": BUSY_SECONDS}})


def _sampler_seed(study_name: str, seed: int, position: int) -> int:
    # The name is part of it: a later study, started from this one's best values, must not repeat its draws.
    return int.from_bytes(hashlib.sha256(f"{study_name} {seed} {position}".encode()).digest()[:4], "big")


def _pruner(config: PruningConfig | None) -> optuna.pruners.BasePruner:
    if config is None:
        return optuna.pruners.NopPruner()
    return optuna.pruners.MedianPruner(n_startup_trials=config.startup_trials, n_warmup_steps=config.warmup_epochs)
