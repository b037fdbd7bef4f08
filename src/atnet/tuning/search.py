"""The search loop: start trials, handle their epochs, prune, and stop when the budget is used."""

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from atnet.config import TrainConfig
from atnet.errors import AtnetError
from atnet.subprocesses import JsonMessage
from atnet.tuning.space import Settings, with_settings
from atnet.tuning.study import Study, TrialRequest, same_settings
from atnet.tuning.trials import TrialResult, TrialStatus
from atnet.tuning.worker_pool import WorkerMessage, WorkerPool

MAX_CONSECUTIVE_FAILURES = 3
"""After so many, the cause is not the settings."""
POLL_SECONDS = 1.0
"""Between two looks at a shared study while only other processes run trials."""
MAX_CONSECUTIVE_REPEATS = 20
"""After so many samples of settings that were tried before, hardly anything is left to try."""


@dataclass(frozen=True, slots=True)
class Budget:
    """When the search stops: whichever limit is reached first; None: no such limit."""

    trials: int | None
    """Complete and pruned trials of the whole study, those of earlier calls included."""
    minutes: float | None
    """Time limit of this call."""


class Callback(Protocol):
    """Follows the search."""

    def on_trial_begin(self, number: int, settings: Settings) -> None:
        """Handle the start of a trial."""

    def on_epoch_end(self, number: int, epoch: Mapping[str, float]) -> None:
        """Handle the metrics of a trial's epoch."""

    def on_trial_end(self, trial: TrialResult) -> None:
        """Handle the end of a trial."""

    def on_trial_interrupt(self, number: int) -> None:
        """Handle a trial that was interrupted; its settings are tried again when the search continues."""


@dataclass(slots=True)
class _RunningTrial:
    request: TrialRequest
    started: float
    history: list[dict[str, float]] = field(default_factory=list)


class Search:
    """One call of the search on a study."""

    def __init__(
        self,
        study: Study,
        train: TrainConfig,
        pool: WorkerPool,
        callback: Callback,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._study, self._train, self._pool, self._callback, self._clock = study, train, pool, callback, clock
        self._running: dict[int, _RunningTrial] = {}
        self._failures = self._repeats = 0

    def run(self, budget: Budget) -> None:
        """Search until the budget is used; trials that are interrupted then, or by Ctrl-C, are queued again.

        Raises:
            AtnetError: if trials fail one after another.
        """
        end = None if budget.minutes is None else self._clock() + 60 * budget.minutes
        try:
            while True:
                self._take_over()
                self._start_trials(budget.trials, end)
                if not self._running and not self._waits_for_others(budget.trials):
                    return
                message = self._pool.wait(self._wait_seconds(end))
                if message is not None:
                    self._handle(message)
                elif end is not None and self._clock() >= end:
                    return
        finally:
            self._interrupt_running()

    def _take_over(self) -> None:
        for number in self._study.take_over():
            self._callback.on_trial_interrupt(number)

    def _waits_for_others(self, trials: int | None) -> bool:
        """Return whether a trial of another process may still have to be repeated here."""
        if trials is None or self._counted_trials() >= trials or self._repeats >= MAX_CONSECUTIVE_REPEATS:
            return False
        return self._study.running_elsewhere() > 0

    def _wait_seconds(self, end: float | None) -> float | None:
        remaining = None if end is None else max(0.0, end - self._clock())
        if self._running and not self._study.is_shared:
            return remaining
        return POLL_SECONDS if remaining is None else min(POLL_SECONDS, remaining)

    def _start_trials(self, trials: int | None, end: float | None) -> None:
        for worker in range(self._pool.size):
            while worker not in self._running:
                started = self._counted_trials() + len(self._running) + self._study.running_elsewhere()
                if trials is not None and started >= trials:
                    return
                if self._repeats >= MAX_CONSECUTIVE_REPEATS or (end is not None and self._clock() >= end):
                    return
                self._start_trial(worker)

    def _counted_trials(self) -> int:
        return sum(trial.status != "failed" for trial in self._study.results())

    def _start_trial(self, worker: int) -> None:
        request = self._study.ask()
        self._callback.on_trial_begin(request.number, request.settings)
        repeated = same_settings(request, self._study.results())
        self._repeats = 0 if repeated is None else self._repeats + 1
        if repeated is not None:
            self._store(repeated)
            return
        self._running[worker] = _RunningTrial(request, self._clock())
        self._pool.start_training(worker, with_settings(self._train, request.settings))

    def _handle(self, message: WorkerMessage) -> None:
        running = self._running.get(message.worker)
        if running is None:
            return
        if message.content is None:
            self._end_trial(message.worker, "failed", f"its process ended: {self._pool.end_reason(message.worker)}")
        elif "error" in message.content:
            self._end_trial(message.worker, "failed", str(message.content["error"]))
        elif "done" in message.content:
            self._end_trial(message.worker, "complete")
        else:
            self._handle_epoch(message.worker, running, message.content)

    def _handle_epoch(self, worker: int, running: _RunningTrial, content: JsonMessage) -> None:
        running.history.append(content["epoch"])
        self._callback.on_epoch_end(running.request.number, content["epoch"])
        finite = math.isfinite(content["epoch"]["validation_loss"])
        # Pruning the last epoch would save nothing, and the value of a complete trial is worth knowing.
        prune = self._study.should_prune(running.request.number, tuple(running.history)) and not content["last"]
        self._pool.reply(worker, proceed=finite and not prune)
        if not finite or prune:
            self._end_trial(worker, "pruned", "" if finite else "the loss is not a finite number")

    def _end_trial(self, worker: int, status: TrialStatus, note: str = "") -> None:
        running = self._running.pop(worker)
        seconds = round(self._clock() - running.started, 1)
        request = running.request
        self._store(TrialResult(request.number, request.settings, status, tuple(running.history), seconds, note))

    def _store(self, trial: TrialResult) -> None:
        self._study.tell(trial)
        self._callback.on_trial_end(trial)
        self._failures = self._failures + 1 if trial.status == "failed" else 0
        if trial.status == "failed" and (trial.number == 0 or self._failures >= MAX_CONSECUTIVE_FAILURES):
            raise AtnetError(
                f"Trial {trial.number} failed: {trial.note} The search stops. Fix the cause and run `atnet tune` again."
            )

    def _interrupt_running(self) -> None:
        for running in self._running.values():
            self._callback.on_trial_interrupt(running.request.number)
        self._running.clear()
        self._study.requeue_interrupted()
