"""From answers to the rows of the table."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from atnet.evaluation.bootstrap import Interval
from benchmarks.accuracy.models import ATNET, BASELINES, Entrant
from benchmarks.accuracy.scores import Judged, difference, judge
from benchmarks.accuracy.tasks import Run, SplitName


@dataclass(frozen=True, slots=True)
class Against:
    """Accuracy of AtNet as it is by default minus that of another model on the same texts."""

    model: str
    accuracy: Interval


@dataclass(frozen=True, slots=True)
class Row:
    """A model's figures on a set; shares, not percent."""

    set: str
    model: str
    seeds: tuple[int, ...]
    rows: int
    """Texts judged."""
    accuracy: Interval
    macro_f1: Interval
    calibration_error: float
    seconds: float
    """Mean over the seeds."""
    parameters: int
    against: Against | None = None
    """Of AtNet by default: the baseline with the highest accuracy on these texts."""

    def as_result(self) -> dict[str, Any]:
        """Give what the ledger keeps beside set, model and seeds."""
        return {name: value for name, value in asdict(self).items() if name not in ("set", "model", "seeds")}


def row_from_result(name: str, model: str, seeds: tuple[int, ...], result: Mapping[str, Any]) -> Row:
    """Read back what the ledger keeps."""
    against = result["against"]
    return Row(
        set=name,
        model=model,
        seeds=seeds,
        **{
            **result,
            "accuracy": Interval(**result["accuracy"]),
            "macro_f1": Interval(**result["macro_f1"]),
            "against": against and Against(against["model"], Interval(**against["accuracy"])),
        },
    )


def rows_of(name: str, runs: Mapping[Entrant, Sequence[Run]], split: SplitName) -> list[Row]:
    """Judge all models of a set on the same rows."""
    judged, rows = _judged(runs, split)
    best = max((one for one in judged if one in BASELINES), key=lambda one: judged[one].accuracy.value, default=None)
    made = []
    for entrant, its_runs in runs.items():
        found, facts = judged[entrant.name], [one.facts for one in its_runs]
        compared = entrant.name == ATNET and best is not None
        made.append(
            Row(
                set=name,
                model=entrant.name,
                seeds=entrant.seeds,
                rows=rows,
                accuracy=found.accuracy,
                macro_f1=found.macro_f1,
                calibration_error=found.calibration_error,
                seconds=float(np.mean([one["seconds"] for one in facts])),
                parameters=int(facts[0]["parameters"]),
                against=Against(best, difference(found, judged[best])) if compared and best else None,
            )
        )
    return made


def differences(runs: Mapping[Entrant, Sequence[Run]], split: SplitName) -> dict[str, tuple[Interval, Interval]]:
    """Give each variant's accuracy and its difference from the first one's."""
    judged, _ = _judged(runs, split, paired_seeds=True)
    first = next(iter(judged.values()))
    return {name: (found.accuracy, difference(found, first)) for name, found in judged.items()}


def _judged(
    runs: Mapping[Entrant, Sequence[Run]], split: SplitName, *, paired_seeds: bool = False
) -> tuple[dict[str, Judged], int]:
    actual_N = np.zeros(0, np.int64)
    given = {}
    for entrant, its_runs in runs.items():
        answers = [one.probabilities(split) for one in its_runs]
        actual_N = answers[0][0]
        given[entrant.name] = [shares_NC for _, shares_NC in answers]
    return judge(actual_N, given, paired_seeds=paired_seeds), len(actual_N)
