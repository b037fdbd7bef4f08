"""From predictions to the rows of the table."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from atnet.evaluation.bootstrap import Interval
from benchmarks.accuracy.models import ATNET, ATNET_PRETRAINED, BASELINES, LINEAR_SVM
from benchmarks.accuracy.runs import Runs, SplitName
from benchmarks.accuracy.scores import ModelScores, accuracy_difference, score_models

COMPARED = (ATNET, ATNET_PRETRAINED)


@dataclass(frozen=True, slots=True)
class BaselineComparison:
    """Accuracy of AtNet minus that of a baseline on the same texts."""

    model: str
    accuracy: Interval


@dataclass(frozen=True, slots=True)
class ResultRow:
    """A model's scores on a dataset; fractions, not percent."""

    set: str
    model: str
    seeds: tuple[int, ...]
    rows: int
    """Texts scored."""
    accuracy: Interval
    macro_f1: Interval
    calibration_error: float
    seconds: float
    """Of one training, mean over the seeds."""
    parameters: int
    against: BaselineComparison | None = None
    """Of AtNet, not as published: the comparison with the baseline of the highest accuracy on these texts."""
    against_svm: BaselineComparison | None = None
    """The comparison with the linear SVM."""

    def as_result(self) -> dict[str, Any]:
        """Return what the ledger records besides dataset, model and seeds."""
        return {name: value for name, value in asdict(self).items() if name not in ("set", "model", "seeds")}


def row_from_result(dataset: str, model: str, seeds: tuple[int, ...], result: Mapping[str, Any]) -> ResultRow:
    """Build a row from what the ledger records."""
    return ResultRow(
        set=dataset,
        model=model,
        seeds=seeds,
        **{
            **result,
            "accuracy": Interval(**result["accuracy"]),
            "macro_f1": Interval(**result["macro_f1"]),
            **{name: _comparison(result.get(name)) for name in ("against", "against_svm")},
        },
    )


def _comparison(result: Mapping[str, Any] | None) -> BaselineComparison | None:
    return None if result is None else BaselineComparison(result["model"], Interval(**result["accuracy"]))


def result_rows(dataset: str, runs: Runs, split: SplitName) -> list[ResultRow]:
    """Score all models of a dataset on the same rows."""
    scores, rows = _scores(runs, split)
    baselines = [name for name in scores if name in BASELINES]
    best = max(baselines, key=lambda name: scores[name].accuracy.value, default=None)
    table = []
    for model, model_runs in runs.items():
        score, facts = scores[model.name], [run.facts for run in model_runs]
        rivals = (best, LINEAR_SVM if LINEAR_SVM in scores else None) if model.name in COMPARED else (None, None)
        against, against_svm = (
            name and BaselineComparison(name, accuracy_difference(score, scores[name])) for name in rivals
        )
        table.append(
            ResultRow(
                set=dataset,
                model=model.name,
                seeds=model.seeds,
                rows=rows,
                accuracy=score.accuracy,
                macro_f1=score.macro_f1,
                calibration_error=score.calibration_error,
                seconds=float(np.mean([fact["seconds"] for fact in facts])),
                parameters=int(facts[0]["parameters"]),
                against=against or None,
                against_svm=against_svm or None,
            )
        )
    return table


def variant_differences(runs: Runs, split: SplitName) -> dict[str, tuple[Interval, Interval]]:
    """Return each variant's accuracy and its difference from the first variant's."""
    scores, _ = _scores(runs, split, paired_seeds=True)
    first = next(iter(scores.values()))
    return {name: (score.accuracy, accuracy_difference(score, first)) for name, score in scores.items()}


def _scores(runs: Runs, split: SplitName, *, paired_seeds: bool = False) -> tuple[dict[str, ModelScores], int]:
    actual_N = np.zeros(0, np.int64)
    predicted: dict[str, Sequence[np.ndarray]] = {}
    for model, model_runs in runs.items():
        predictions = [run.predictions(split) for run in model_runs]
        actual_N = predictions[0][0]
        predicted[model.name] = [values_NC for _, values_NC in predictions]
    return score_models(actual_N, predicted, paired_seeds=paired_seeds), len(actual_N)
