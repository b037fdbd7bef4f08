"""Optuna's study in a SQLite file: what to try next, what to give up, and what an interrupted search left.

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
from atnet.tuning.space import Settings, drawn_settings
from atnet.tuning.trials import HIGHER_IS_BETTER, Curve, State, TrialResult, kept_epoch

RECORD, SETTINGS = "record", "settings"
STATES: dict[State, TrialState] = {
    "complete": TrialState.COMPLETE,
    "pruned": TrialState.PRUNED,
    "failed": TrialState.FAIL,
}
BUSY_SECONDS = 60
"""How long to wait for another process that writes to the study."""


@dataclass(frozen=True, slots=True)
class TrialRequest:
    """A trial to be run."""

    number: int
    settings: Settings


def study_key(settings: str, files: Iterable[Path]) -> str:
    """Name a search by all that its values depend on: settings, and the names and contents of files."""
    digest = hashlib.sha256(settings.encode())
    for path in files:
        digest.update(path.name.encode())
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()[:32]


class Study:
    """The trials of one search: the same history gives the same next trial, interrupted or not."""

    def __init__(
        self, path: Path, config: TuneConfig, within: Mapping[str, BaseDistribution], current: Settings
    ) -> None:
        """Open the study, or begin it with the current settings as its first trial.

        Raises:
            StoreError: if the file is no study.
        """
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        path.parent.mkdir(parents=True, exist_ok=True)
        self._config, self._within = config, within
        upwards = HIGHER_IS_BETTER[config.objective]
        try:
            storage = optuna.storages.RDBStorage(
                f"sqlite:///{path}", engine_kwargs={"connect_args": {"timeout": BUSY_SECONDS}}
            )
            self._study = optuna.create_study(
                storage=storage,
                study_name=path.stem,
                direction="maximize" if upwards else "minimize",
                pruner=_pruner(config.pruning),
                load_if_exists=True,
            )
        except (SQLAlchemyError, RuntimeError) as error:
            raise StoreError(
                f"{path} is no study that can be gone on with ({str(error).splitlines()[0]}). "
                "Move it aside; the search then begins anew."
            ) from error
        if not self._study.get_trials(deepcopy=False):
            self._enqueue(current, current)
        self.requeue_interrupted()

    def requeue_interrupted(self) -> list[int]:
        """Let the trials that were cut short be tried again, first of all; give their old numbers."""
        requeue_interrupted = []
        for trial in self._study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            if RECORD in trial.user_attrs:
                self.tell(TrialResult.from_record(trial.number, trial.user_attrs[RECORD]))
                continue
            requeue_interrupted.append(trial.number)
            self._study.tell(trial.number, state=TrialState.FAIL)
            if SETTINGS in trial.user_attrs:
                self._enqueue(trial.params, trial.user_attrs[SETTINGS])
        return requeue_interrupted

    def ask(self) -> TrialRequest:
        """Say what to try next."""
        # Seeded by the trial's place among those that count: a sampler made anew would draw its first values again.
        place = sum(trial.state is TrialState.RUNNING or RECORD in trial.user_attrs for trial in self._trials())
        self._study.sampler = optuna.samplers.TPESampler(seed=_seed(self._study.study_name, self._config.seed, place))
        trial = self._study.ask(dict(self._within))
        settings = trial.user_attrs.get(SETTINGS) or drawn_settings(trial.params, self._within)
        trial.set_user_attr(SETTINGS, settings)
        return TrialRequest(trial.number, settings)

    def should_prune(self, number: int, curve: Curve) -> bool:
        """Take in the newest epoch of a trial and say whether to give the trial up."""
        value = curve[-1][self._config.objective]
        if not math.isfinite(curve[-1]["validation_loss"]):
            return True
        trial = optuna.trial.Trial(self._study, self._trials()[number]._trial_id)
        trial.report(value, len(curve))
        return trial.should_prune()

    def tell(self, tried: TrialResult) -> None:
        """Take in how a trial ended."""
        trial = optuna.trial.Trial(self._study, self._trials()[tried.number]._trial_id)
        trial.set_user_attr(RECORD, tried.record())
        value = kept_epoch(tried.curve)[self._config.objective] if tried.state == "complete" else None
        self._study.tell(tried.number, value, state=STATES[tried.state])

    def ended(self) -> list[TrialResult]:
        """Give the trials that have ended, in their order; those that were only cut short are left out."""
        return [
            TrialResult.from_record(trial.number, trial.user_attrs[RECORD])
            for trial in self._trials()
            if trial.state.is_finished() and RECORD in trial.user_attrs
        ]

    def importances(self) -> dict[str, float]:
        """Give each parameter's share in what made the values differ; empty where it cannot be told.

        Functional ANOVA (Hutter et al., ICML 2014) over the complete trials.
        """
        complete = self._study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        if len(complete) < 4:
            return {}
        evaluator = optuna.importance.FanovaImportanceEvaluator(seed=self._config.seed)
        try:
            found = optuna.importance.get_param_importances(self._study, evaluator=evaluator)
        except RuntimeError:
            # All values are equal.
            return {}
        return {name: float(share) for name, share in found.items()}

    def _trials(self) -> list[optuna.trial.FrozenTrial]:
        return self._study.get_trials(deepcopy=False)

    def _enqueue(self, drawn: Mapping[str, object], settings: Settings) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            self._study.enqueue_trial(dict(drawn), user_attrs={SETTINGS: settings})


def repeated(asked: TrialRequest, ended: Iterable[TrialResult]) -> TrialResult | None:
    """Give the outcome of a trial whose settings have been tried before: training them again gives the same."""
    for trial in ended:
        if trial.settings == asked.settings and trial.state != "failed":
            return replace(trial, number=asked.number, seconds=0.0, note=f"same as trial {trial.number}")
    return None


def _seed(search: str, seed: int, place: int) -> int:
    # The search's own name: the next one, from the values this one found, must not draw the same again.
    return int.from_bytes(hashlib.sha256(f"{search} {seed} {place}".encode()).digest()[:4], "big")


def _pruner(config: PruningConfig | None) -> optuna.pruners.BasePruner:
    if config is None:
        return optuna.pruners.NopPruner()
    return optuna.pruners.MedianPruner(n_startup_trials=config.startup_trials, n_warmup_steps=config.warmup_epochs)
