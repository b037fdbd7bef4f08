"""An evaluation as plain values for files: numbers for DVC's metrics, tables for DVC's plots."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from atnet.evaluation.bootstrap import Comparison, Interval
from atnet.evaluation.calibration import Reliability
from atnet.evaluation.evaluate import BaselineScore, Evaluation, best_baseline_score
from atnet.evaluation.metrics import Ints
from atnet.evaluation.predictions import SplitPredictions
from atnet.evaluation.slices import BY_LENGTH, Slice, SliceScore, length_slices
from atnet.schema import ID, LABEL

DECIMALS = 6
"""Enough for any reader, few enough that the order of a sum never shows."""


def metrics(evaluation: Evaluation, temperature: float) -> dict[str, Any]:
    """Give the headline numbers: what `dvc metrics show` should fit."""
    soft, calibration, best = evaluation.soft, evaluation.calibration, best_baseline_score(evaluation.baselines)
    return {
        "rows": evaluation.rows,
        "accuracy": _interval(evaluation.scores.accuracy),
        "macro_f1": _interval(evaluation.scores.macro_f1),
        "roc_auc": _number(soft.roc_auc.value),
        "average_precision": _number(soft.average_precision.value),
        "log_loss": _number(soft.log_loss.value),
        "brier": _number(soft.brier.value),
        "calibration": {
            "temperature": _number(temperature),
            "error_before": _number(calibration.before.expected_error),
            "error_after": _number(calibration.after.expected_error),
            "log_loss_before": _number(calibration.log_loss_before),
        },
        "baselines": {one.name: _baseline_values(one) for one in evaluation.baselines},
        "lead": {"over": best.name, **_comparison(best.lead)},
    }


def details(evaluation: Evaluation) -> dict[str, Any]:
    """Give the scores per label, the comparison with every baseline and the intervals that `metrics` leaves out."""
    soft = evaluation.soft
    return {
        "scores": {
            "roc_auc": _interval(soft.roc_auc),
            "average_precision": _interval(soft.average_precision),
            "log_loss": _interval(soft.log_loss),
            "brier": _interval(soft.brier),
        },
        "labels": {
            one.label: {
                "support": one.support,
                "precision": _number(one.precision),
                "recall": _number(one.recall),
                "f1": _interval(one.f1),
                "roc_auc": _number(one.roc_auc),
                "average_precision": _number(one.average_precision),
            }
            for one in evaluation.classes
        },
        "baselines": {
            one.name: {
                "accuracy": _interval(one.scores.accuracy),
                "macro_f1": _interval(one.scores.macro_f1),
                "lead": _comparison(one.lead),
            }
            for one in evaluation.baselines
        },
    }


def slice_values(evaluation: Evaluation) -> dict[str, dict[str, Any]]:
    """Give each slice's rows and scores by what it is parted by and its value; a small slice has rows only."""
    values: dict[str, dict[str, Any]] = {}
    for one in evaluation.slices:
        values.setdefault(one.by, {})[one.value] = _slice(one)
    return values


def prediction_table(table: pd.DataFrame, answers: SplitPredictions) -> pd.DataFrame:
    """Give each row's id, label, predicted label, confidence and the probability of every label."""
    names = np.array(answers.labels, dtype=object)
    columns: dict[str, Any] = {
        ID: table[ID].to_numpy(),
        LABEL: table[LABEL].to_numpy(),
        "predicted": names[answers.predicted],
        "score": answers.probabilities.max(axis=1),
    }
    columns |= {f"p_{label}": answers.probabilities[:, c] for c, label in enumerate(answers.labels)}
    return pd.DataFrame(columns)


def plot_tables(
    evaluation: Evaluation, answers: SplitPredictions, words_N: Ints, length_quantiles: Sequence[float]
) -> dict[str, pd.DataFrame]:
    """Give the tables that DVC draws, by file name without ending."""
    names = np.array(answers.labels, dtype=object)
    tables = {
        "confusion": pd.DataFrame({"actual": names[answers.actual], "predicted": names[answers.predicted]}),
        **_curve_tables(evaluation),
        # A file per line: DVC would draw a bin that only one of them fills as an accuracy of zero in the other.
        "reliability_before": _reliability_table(evaluation.calibration.before, "before"),
        "reliability_after": _reliability_table(evaluation.calibration.after, "after"),
        "reliability_ideal": pd.DataFrame({"confidence": [0.0, 1.0], "ideal": [0.0, 1.0]}),
        "length": _length_table(evaluation, length_slices(words_N, length_quantiles), words_N),
    }
    return {name: table.round(DECIMALS) for name, table in tables.items()}


def _curve_tables(evaluation: Evaluation) -> dict[str, pd.DataFrame]:
    found = evaluation.curves
    nothing = np.array([])
    grid = found.grid if found else nothing
    return {
        "roc": pd.DataFrame(
            {
                # The climb at false positive rate 0 starts at the origin.
                "false_positive_rate": np.append(0.0, grid),
                "true_positive_rate": np.append(0.0, found.true_positive_rate if found else nothing),
            }
        ),
        "precision_recall": pd.DataFrame({"recall": grid, "precision": found.precision if found else nothing}),
    }


def _reliability_table(found: Reliability, name: str) -> pd.DataFrame:
    seen = found.rows > 0
    return pd.DataFrame({"confidence": found.confidence[seen], name: found.accuracy[seen]})


def _length_table(evaluation: Evaluation, parts: Sequence[Slice], words_N: Ints) -> pd.DataFrame:
    found = [one for one in evaluation.slices if one.by == BY_LENGTH]
    rows = [
        (float(np.median(words_N[part.rows_N])), one.rows, one.accuracy.value, one.accuracy.low, one.accuracy.high)
        for one, part in zip(found, parts, strict=True)
        if one.accuracy is not None
    ]
    return pd.DataFrame(rows, columns=["median_words", "rows", "accuracy", "low", "high"])


def _number(value: float) -> float:
    return round(float(value), DECIMALS)


def _interval(found: Interval) -> dict[str, float]:
    return {"value": _number(found.value), "low": _number(found.low), "high": _number(found.high)}


def _comparison(found: Comparison) -> dict[str, Any]:
    return {
        "accuracy": _interval(found.accuracy),
        "macro_f1": _interval(found.macro_f1),
        "mcnemar_p": _number(found.p_value),
    }


def _baseline_values(one: BaselineScore) -> dict[str, float]:
    return {
        "accuracy": _number(one.scores.accuracy.value),
        "macro_f1": _number(one.scores.macro_f1.value),
    }


def _slice(one: SliceScore) -> Mapping[str, Any]:
    scores = {"accuracy": one.accuracy, "macro_f1": one.macro_f1, "lead": one.lead}
    return {"rows": one.rows} | {name: _interval(found) for name, found in scores.items() if found is not None}
