"""The search itself: hand out trials, take in epochs, give up what is worse, end in time."""

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from atnet.config import TrainConfig
from atnet.errors import AtnetError
from atnet.tuning.space import Settings, with_settings
from atnet.tuning.study import Study, TrialRequest, repeated
from atnet.tuning.trials import TrialResult
from atnet.tuning.worker_pool import WorkerMessage, WorkerPool

FAILURES_IN_A_ROW = 3
"""After so many the fault is not in the settings."""
REPEATS_IN_A_ROW = 20
"""After so many draws of settings already tried there is hardly anything left to try."""


@dataclass(frozen=True, slots=True)
class Budget:
    """When the search ends: whichever comes first; None: no such limit."""

    trials: int | None
    """Complete and pruned trials of the whole study, those of earlier calls included."""
    minutes: float | None
    """Of this call."""


class Callback(Protocol):
    """Whoever is told how the search goes."""

    def started(self, number: int, settings: Settings) -> None:
        """A trial begins."""

    def epoch(self, number: int, epoch: Mapping[str, float]) -> None:
        """A trial has done an epoch."""

    def ended(self, trial: TrialResult) -> None:
        """A trial has ended."""

    def cut_short(self, number: int) -> None:
        """A trial was stopped before its end; it will be tried again when the search goes on."""


@dataclass(slots=True)
class _Running:
    asked: TrialRequest
    since: float
    curve: list[dict[str, float]] = field(default_factory=list)


class Search:
    """One call of the search over a study."""

    def __init__(
        self,
        study: Study,
        train: TrainConfig,
        worker_pool: WorkerPool,
        watcher: Callback,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._study, self._train, self._crew, self._watcher, self._clock = study, train, worker_pool, watcher, clock
        self._running: dict[int, _Running] = {}
        self._failures = self._repeats = 0

    def run(self, budget: Budget) -> None:
        """Search until the budget is used; what is cut short then, or by an interrupt, is tried again next time.

        Raises:
            AtnetError: if trials fail one after another.
        """
        end = None if budget.minutes is None else self._clock() + 60 * budget.minutes
        try:
            while True:
                self._hand_out(budget.trials, end)
                if not self._running:
                    return
                said = self._crew.wait(None if end is None else max(0.0, end - self._clock()))
                if said is None:
                    return
                self._take_in(said)
        finally:
            self._cut_short()

    def _hand_out(self, trials: int | None, end: float | None) -> None:
        for worker in range(self._crew.size):
            while worker not in self._running:
                if trials is not None and self._counted() + len(self._running) >= trials:
                    return
                if self._repeats >= REPEATS_IN_A_ROW or (end is not None and self._clock() >= end):
                    return
                self._begin(worker)

    def _counted(self) -> int:
        return sum(trial.state != "failed" for trial in self._study.ended())

    def _begin(self, worker: int) -> None:
        asked = self._study.ask()
        self._watcher.started(asked.number, asked.settings)
        same = repeated(asked, self._study.ended())
        self._repeats = 0 if same is None else self._repeats + 1
        if same is not None:
            self._end(same)
            return
        self._running[worker] = _Running(asked, self._clock())
        self._crew.train(worker, with_settings(self._train, asked.settings))

    def _take_in(self, said: WorkerMessage) -> None:
        running = self._running.get(said.worker)
        if running is None:
            return
        if said.message is None:
            self._leave(said.worker, "failed", f"its process ended: {self._crew.last_log_line(said.worker)}")
        elif "error" in said.message:
            self._leave(said.worker, "failed", str(said.message["error"]))
        elif "done" in said.message:
            self._leave(said.worker, "complete")
        else:
            self._take_epoch(said.worker, running, said.message)

    def _take_epoch(self, worker: int, running: _Running, message: dict[str, Any]) -> None:
        running.curve.append(message["epoch"])
        self._watcher.epoch(running.asked.number, message["epoch"])
        finite = math.isfinite(message["epoch"]["validation_loss"])
        # At its last epoch there is nothing left to save, and its value is worth knowing.
        worse = self._study.should_prune(running.asked.number, tuple(running.curve)) and not message["last"]
        self._crew.answer(worker, go=finite and not worse)
        if not finite or worse:
            self._leave(worker, "pruned", "" if finite else "the loss is no number any more")

    def _leave(self, worker: int, state: Any, note: str = "") -> None:
        running = self._running.pop(worker)
        seconds = round(self._clock() - running.since, 1)
        asked = running.asked
        self._end(TrialResult(asked.number, asked.settings, state, tuple(running.curve), seconds, note))

    def _end(self, trial: TrialResult) -> None:
        self._study.tell(trial)
        self._watcher.ended(trial)
        self._failures = self._failures + 1 if trial.state == "failed" else 0
        if trial.state == "failed" and (trial.number == 0 or self._failures >= FAILURES_IN_A_ROW):
            raise AtnetError(f"Trial {trial.number} failed: {trial.note} The search stops; run it again when mended.")

    def _cut_short(self) -> None:
        for running in self._running.values():
            self._watcher.cut_short(running.asked.number)
        self._running.clear()
        self._study.requeue_interrupted()
