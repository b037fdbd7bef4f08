"""Those who are told how the search goes: the terminal, and MLflow."""

import sys
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType

from tqdm import tqdm

from atnet.tracking.tuning_run import TuningRun
from atnet.tuning.search import Callback
from atnet.tuning.space import Settings
from atnet.tuning.trial_tables import shown, trial_line
from atnet.tuning.trials import Objective, TrialResult, ranking


class ProgressCallback:
    """A line for each trial; on a terminal also a bar with the running ones."""

    def __init__(
        self, ended: Sequence[TrialResult], objective: Objective, total: int | None, tell: Callable[[str], None]
    ) -> None:
        self._trials, self._objective, self._tell = list(ended), objective, tell
        self._running: dict[int, str] = {}
        done = sum(trial.state != "failed" for trial in ended)
        # Without a terminal the lines are enough.
        self._bar = tqdm(total=total, initial=done, unit="trial", disable=not sys.stderr.isatty(), leave=False)

    def __enter__(self) -> "ProgressCallback":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.close()

    def started(self, number: int, settings: Settings) -> None:
        """Show the trial as running."""
        self._running[number] = f"{number}: starting"
        self._show()

    def epoch(self, number: int, epoch: Mapping[str, float]) -> None:
        """Show how far the trial is."""
        self._running[number] = f"{number}: epoch {epoch['epoch']:.0f}, {epoch['validation_loss']:.4f}"
        self._show()

    def ended(self, trial: TrialResult) -> None:
        """Print the trial's line."""
        self._trials.append(trial)
        is_best = ranking(self._trials, self._objective)[:1] == [trial]
        self._running.pop(trial.number, None)
        self._bar.clear()
        self._tell(trial_line(trial, is_best=is_best))
        self._bar.update(trial.state != "failed")
        self._show()

    def cut_short(self, number: int) -> None:
        """Say that the trial comes again."""
        self._bar.clear()
        self._tell(f"trial {number:>3}  stopped before its end; it is tried again when the search goes on")

    def _show(self) -> None:
        self._bar.set_postfix_str("  ".join(self._running.values()))


class MlflowCallback:
    """A nested run for each trial, and the best value so far on the parent."""

    def __init__(self, run: TuningRun, ended: Sequence[TrialResult], objective: Objective) -> None:
        self._run, self._objective = run, objective
        self._trials: list[TrialResult] = []
        absent = set(run.missing(trial.number for trial in ended))
        for trial in ended:
            if trial.number in absent:
                self._write_whole(trial)
            else:
                self._trials.append(trial)

    def started(self, number: int, settings: Settings) -> None:
        """Open the trial's run."""
        self._run.started(number, {name: shown(value) for name, value in settings.items()})

    def epoch(self, number: int, epoch: Mapping[str, float]) -> None:
        """Add to the trial's curves."""
        self._run.epoch(number, int(epoch["epoch"]), {name: epoch[name] for name in epoch if name != "epoch"})

    def ended(self, trial: TrialResult) -> None:
        """Close the trial's run and tell the parent the best value so far."""
        self._trials.append(trial)
        kept = {f"best/{name}": value for name, value in trial.kept.items()} if trial.curve else {}
        self._run.ended(trial.number, trial.state, {**kept, "seconds": trial.seconds}, trial.note)
        best = ranking(self._trials, self._objective)
        if best:
            names: tuple[Objective, ...] = ("validation_loss", "validation_accuracy")
            self._run.progress(trial.number, {f"best/{name}": best[0].kept[name] for name in names})

    def cut_short(self, number: int) -> None:
        """Close the trial's run as stopped."""
        self._run.cut_short(number)

    def _write_whole(self, trial: TrialResult) -> None:
        self.started(trial.number, trial.settings)
        for epoch in trial.curve:
            self.epoch(trial.number, epoch)
        self.ended(trial)


class CallbackList:
    """Tells everybody."""

    def __init__(self, watchers: Sequence[Callback]) -> None:
        self._watchers = watchers

    def started(self, number: int, settings: Settings) -> None:
        """A trial begins."""
        for watcher in self._watchers:
            watcher.started(number, settings)

    def epoch(self, number: int, epoch: Mapping[str, float]) -> None:
        """A trial has done an epoch."""
        for watcher in self._watchers:
            watcher.epoch(number, epoch)

    def ended(self, trial: TrialResult) -> None:
        """A trial has ended."""
        for watcher in self._watchers:
            watcher.ended(trial)

    def cut_short(self, number: int) -> None:
        """A trial was stopped."""
        for watcher in self._watchers:
            watcher.cut_short(number)
