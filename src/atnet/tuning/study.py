"""Optuna's study in a SQLite file: which trial comes next, which is pruned, and what an interrupted search left.

Sampling: tree-structured Parzen estimator (Bergstra et al., NeurIPS 2011). Pruning: the median rule (Golovin et al.,
KDD 2017).
"""

import hashlib
import math
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import optuna
from optuna.distributions import BaseDistribution
from optuna.trial import TrialState
from sqlalchemy.exc import SQLAlchemyError

from atnet.config import TuneConfig
from atnet.config.tune import PruningConfig
from atnet.errors import StoreError
from atnet.storage import sqlite_address
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
        self, path: Path, config: TuneConfig, space: Mapping[str, BaseDistribution], current: Settings
    ) -> None:
        """Open the study, or create it with the current settings as its first trial.

        Raises:
            StoreError: if the file is not a study.
        """
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        path.parent.mkdir(parents=True, exist_ok=True)
        self._config, self._space = config, space
        try:
            self._study = optuna.create_study(
                storage=_storage(path),
                study_name=path.stem,
                direction="maximize" if HIGHER_IS_BETTER[config.objective] else "minimize",
                pruner=_pruner(config.pruning),
                load_if_exists=True,
            )
        except (SQLAlchemyError, RuntimeError) as error:
            raise StoreError(
                f"{path} is not a usable study ({str(error).splitlines()[0]}). "
                "Move it aside; the search then starts from the beginning."
            ) from error
        if not self._study.get_trials(deepcopy=False):
            self._enqueue(current, current)
        self.requeue_interrupted()

    def requeue_interrupted(self) -> list[int]:
        """Queue the trials that were interrupted, to be run first, and return their old numbers."""
        numbers = []
        for trial in self._study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            if RECORD in trial.user_attrs:
                self.tell(TrialResult.from_record(trial.number, trial.user_attrs[RECORD]))
                continue
            numbers.append(trial.number)
            self._study.tell(trial.number, state=TrialState.FAIL)
            if SETTINGS in trial.user_attrs:
                self._enqueue(trial.params, trial.user_attrs[SETTINGS])
        return numbers

    def ask(self) -> TrialRequest:
        """Return the next trial to run."""
        # Seeded by the trial's position among those that count: a new sampler would repeat its first draws.
        position = sum(trial.state is TrialState.RUNNING or RECORD in trial.user_attrs for trial in self._trials())
        seed = _sampler_seed(self._study.study_name, self._config.seed, position)
        self._study.sampler = optuna.samplers.TPESampler(seed=seed)
        trial = self._study.ask(dict(self._space))
        settings = trial.user_attrs.get(SETTINGS) or round_settings(trial.params, self._space)
        trial.set_user_attr(SETTINGS, settings)
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
        self._study.tell(result.number, value, state=OPTUNA_STATES[result.status])

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

    def _trials(self) -> list[optuna.trial.FrozenTrial]:
        return self._study.get_trials(deepcopy=False)

    def _optuna_trial(self, number: int) -> optuna.trial.Trial:
        return optuna.trial.Trial(self._study, self._trials()[number]._trial_id)

    def _enqueue(self, sampled: Mapping[str, object], settings: Settings) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            self._study.enqueue_trial(dict(sampled), user_attrs={SETTINGS: settings})


def same_settings(request: TrialRequest, results: Iterable[TrialResult]) -> TrialResult | None:
    """Return the result of an earlier trial with the same settings: training again would give the same."""
    for result in results:
        if result.settings == request.settings and result.status != "failed":
            return replace(result, number=request.number, seconds=0.0, note=f"same as trial {result.number}")
    return None


def _storage(path: Path) -> optuna.storages.RDBStorage:
    return optuna.storages.RDBStorage(sqlite_address(path), engine_kwargs={"connect_args": {"timeout": BUSY_SECONDS}})


def _sampler_seed(study_name: str, seed: int, position: int) -> int:
    # The name is part of it: a later study, started from this one's best values, must not repeat its draws.
    return int.from_bytes(hashlib.sha256(f"{study_name} {seed} {position}".encode()).digest()[:4], "big")


def _pruner(config: PruningConfig | None) -> optuna.pruners.BasePruner:
    if config is None:
        return optuna.pruners.NopPruner()
    return optuna.pruners.MedianPruner(n_startup_trials=config.startup_trials, n_warmup_steps=config.warmup_epochs)
