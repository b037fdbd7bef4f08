"""Callbacks of the search: progress in the terminal, and runs in MLflow."""

import logging
import sys
from collections.abc import Mapping, Sequence
from types import TracebackType

from tqdm import tqdm

from atnet.tracking.tuning_run import TuningRun
from atnet.tuning.search import Callback
from atnet.tuning.space import Settings
from atnet.tuning.trial_tables import format_value, trial_line
from atnet.tuning.trials import Objective, TrialResult, ranking

OBJECTIVES: tuple[Objective, ...] = ("validation_loss", "validation_accuracy")
logger = logging.getLogger(__name__)


class ProgressCallback:
    """Logs a line per trial; on a terminal it also shows a bar with the running trials."""

    def __init__(self, ended: Sequence[TrialResult], objective: Objective, total: int | None) -> None:
        self._trials, self._objective = list(ended), objective
        self._running: dict[int, str] = {}
        done = sum(trial.status != "failed" for trial in ended)
        # Without a terminal the lines are enough.
        self._bar = tqdm(total=total, initial=done, unit="trial", disable=not sys.stderr.isatty(), leave=False)

    def __enter__(self) -> "ProgressCallback":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.close()

    def on_trial_begin(self, number: int, settings: Settings) -> None:
        """Show the trial as running."""
        self._running[number] = f"{number}: starting"
        self._refresh()

    def on_epoch_end(self, number: int, epoch: Mapping[str, float]) -> None:
        """Show the trial's last epoch."""
        self._running[number] = f"{number}: epoch {epoch['epoch']:.0f}, {epoch['validation_loss']:.4f}"
        self._refresh()

    def on_trial_end(self, trial: TrialResult) -> None:
        """Log the trial's line."""
        self._trials.append(trial)
        is_best = ranking(self._trials, self._objective)[:1] == [trial]
        self._running.pop(trial.number, None)
        self._bar.clear()
        logger.info(trial_line(trial, is_best=is_best))
        self._bar.update(trial.status != "failed")
        self._refresh()

    def on_trial_interrupt(self, number: int) -> None:
        """Log that the trial will be repeated."""
        self._bar.clear()
        logger.info("trial %3d  interrupted; its settings are tried again when the search continues", number)

    def _refresh(self) -> None:
        self._bar.set_postfix_str("  ".join(self._running.values()))


class MlflowCallback:
    """Writes a nested run per trial, and the best value so far to the parent run."""

    def __init__(self, run: TuningRun, ended: Sequence[TrialResult], objective: Objective) -> None:
        """Add the trials that ended while the store did not answer."""
        self._run, self._objective = run, objective
        self._trials: list[TrialResult] = []
        missing = set(run.missing_trials(trial.number for trial in ended))
        for trial in ended:
            if trial.number in missing:
                self._log_ended_trial(trial)
            else:
                self._trials.append(trial)

    def on_trial_begin(self, number: int, settings: Settings) -> None:
        """Create the trial's run."""
        self._run.start_trial(number, {name: format_value(value) for name, value in settings.items()})

    def on_epoch_end(self, number: int, epoch: Mapping[str, float]) -> None:
        """Log the epoch's metrics to the trial's run."""
        metrics = {name: value for name, value in epoch.items() if name != "epoch"}
        self._run.log_epoch(number, int(epoch["epoch"]), metrics)

    def on_trial_end(self, trial: TrialResult) -> None:
        """End the trial's run and log the best value so far to the parent."""
        self._trials.append(trial)
        best = {f"best/{name}": value for name, value in trial.best_epoch.items()} if trial.history else {}
        self._run.end_trial(trial.number, trial.status, {**best, "seconds": trial.seconds}, trial.note)
        leader = next(iter(ranking(self._trials, self._objective)), None)
        if leader is not None:
            self._run.log_best(trial.number, {f"best/{name}": leader.best_epoch[name] for name in OBJECTIVES})

    def on_trial_interrupt(self, number: int) -> None:
        """End the trial's run as interrupted."""
        self._run.interrupt_trial(number)

    def on_search_end(self, ended: Sequence[TrialResult]) -> None:
        """End the runs of ended trials whose process was killed between storing the result and ending the run."""
        by_number = {trial.number: trial for trial in ended}
        for number in self._run.claim_open_trials(by_number):
            self.on_trial_end(by_number[number])

    def _log_ended_trial(self, trial: TrialResult) -> None:
        self.on_trial_begin(trial.number, trial.settings)
        for epoch in trial.history:
            self.on_epoch_end(trial.number, epoch)
        self.on_trial_end(trial)


class CallbackList:
    """Calls several callbacks in turn."""

    def __init__(self, callbacks: Sequence[Callback]) -> None:
        self._callbacks = callbacks

    def on_trial_begin(self, number: int, settings: Settings) -> None:
        """Handle the start of a trial."""
        for callback in self._callbacks:
            callback.on_trial_begin(number, settings)

    def on_epoch_end(self, number: int, epoch: Mapping[str, float]) -> None:
        """Handle the metrics of a trial's epoch."""
        for callback in self._callbacks:
            callback.on_epoch_end(number, epoch)

    def on_trial_end(self, trial: TrialResult) -> None:
        """Handle the end of a trial."""
        for callback in self._callbacks:
            callback.on_trial_end(trial)

    def on_trial_interrupt(self, number: int) -> None:
        """Handle a trial that was interrupted."""
        for callback in self._callbacks:
            callback.on_trial_interrupt(number)
