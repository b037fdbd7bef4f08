"""What was tried and what it gave, best first."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from atnet.tuning.space import Settings

Objective = Literal["validation_loss", "validation_accuracy"]
State = Literal["complete", "pruned", "failed"]
Curve = tuple[Mapping[str, float], ...]
"""What each epoch gave, in their order; the keys are those of `atnet.network.training.Epoch`."""
HIGHER_IS_BETTER: dict[Objective, bool] = {"validation_loss": False, "validation_accuracy": True}


@dataclass(frozen=True, slots=True)
class TrialResult:
    """A trial that has ended."""

    number: int
    settings: Settings
    state: State
    curve: Curve
    seconds: float
    note: str = ""
    """Why it failed, or which trial it repeats."""

    @property
    def kept(self) -> Mapping[str, float]:
        """The epoch whose weights training keeps: the lowest validation loss, the first of equals."""
        return kept_epoch(self.curve)

    @classmethod
    def from_record(cls, number: int, record: Mapping[str, Any]) -> "TrialResult":
        """Read a trial from what `record` gave."""
        return cls(**{**record, "number": number, "curve": tuple(record["curve"])})

    def record(self) -> dict[str, Any]:
        """Give the trial as JSON, without its number."""
        fields = ("settings", "state", "curve", "seconds", "note")
        return {name: getattr(self, name) for name in fields}


def kept_epoch(curve: Curve) -> Mapping[str, float]:
    """Choose the epoch that training keeps."""
    return min(curve, key=lambda epoch: epoch["validation_loss"])


def ranking(trials: Sequence[TrialResult], objective: Objective) -> list[TrialResult]:
    """Order the complete trials, best first; of equals the lower validation loss, then the earlier trial."""
    sign = -1 if HIGHER_IS_BETTER[objective] else 1
    complete = [trial for trial in trials if trial.state == "complete"]
    return sorted(
        complete, key=lambda trial: (sign * trial.kept[objective], trial.kept["validation_loss"], trial.number)
    )


def current_trial(trials: Sequence[TrialResult], current: Settings) -> TrialResult | None:
    """Find the complete trial of the current settings: the search begins with it, and a repeated one counts too."""
    return next((trial for trial in trials if trial.settings == current and trial.state == "complete"), None)
