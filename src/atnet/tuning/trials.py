"""The results of trials, and which is best."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from atnet.tuning.space import Settings

Objective = Literal["validation_loss", "validation_accuracy"]
TrialStatus = Literal["complete", "pruned", "failed"]
EpochHistory = tuple[Mapping[str, float], ...]
"""The metrics of each epoch, in order; the keys are the fields of `atnet.network.training.Epoch`."""
HIGHER_IS_BETTER: dict[Objective, bool] = {"validation_loss": False, "validation_accuracy": True}


@dataclass(frozen=True, slots=True)
class TrialResult:
    """A trial that has ended."""

    number: int
    settings: Settings
    status: TrialStatus
    history: EpochHistory
    seconds: float
    note: str = ""
    """Why it failed or was pruned, or which trial had the same settings."""

    @property
    def best_epoch(self) -> Mapping[str, float]:
        """Return the epoch whose weights training keeps."""
        return best_epoch(self.history)

    @classmethod
    def from_record(cls, number: int, record: Mapping[str, Any]) -> "TrialResult":
        """Build a trial from what `to_record` returned."""
        return cls(**{**record, "number": number, "history": tuple(record["history"])})

    def to_record(self) -> dict[str, Any]:
        """Return the trial as JSON values, without its number."""
        fields = ("settings", "status", "history", "seconds", "note")
        return {name: getattr(self, name) for name in fields}


def best_epoch(history: EpochHistory) -> Mapping[str, float]:
    """Return the epoch with the lowest validation loss, the first of several."""
    return min(history, key=lambda epoch: epoch["validation_loss"])


def ranking(trials: Sequence[TrialResult], objective: Objective) -> list[TrialResult]:
    """Sort the complete trials, best first; ties go to the lower validation loss, then to the earlier trial."""
    sign = -1 if HIGHER_IS_BETTER[objective] else 1
    complete = [trial for trial in trials if trial.status == "complete"]
    return sorted(
        complete,
        key=lambda trial: (sign * trial.best_epoch[objective], trial.best_epoch["validation_loss"], trial.number),
    )


def current_trial(trials: Sequence[TrialResult], current: Settings) -> TrialResult | None:
    """Return the complete trial that has the current settings, None if there is none yet."""
    return next((trial for trial in trials if trial.settings == current and trial.status == "complete"), None)
