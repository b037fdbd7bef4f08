"""Serialization of an evaluation: numbers for DVC's metrics, tables for DVC's plots."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from atnet.evaluation.bootstrap import Comparison, Interval
from atnet.evaluation.calibration import Reliability
from atnet.evaluation.evaluate import BaselineScore, Evaluation, best_baseline_score
from atnet.evaluation.metrics import Ints, row_blocks
from atnet.evaluation.predictions import PredictedBatch, SplitPredictions
from atnet.evaluation.selective import SelectiveScores
from atnet.evaluation.slices import BY_LENGTH, Slice, SliceScore, length_slices
from atnet.schema import ID, LABEL

DECIMALS = 6
"""Precise enough for any reader, and coarse enough to hide differences in the order of summation."""


def metrics(evaluation: Evaluation, temperature: float) -> dict[str, Any]:
    """Return the main metrics, few enough for `dvc metrics show` to display."""
    soft, calibration, best = evaluation.soft, evaluation.calibration, best_baseline_score(evaluation.baselines)
    selective = {} if evaluation.selective is None else {"selective": _selective(evaluation.selective)}
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
        "baselines": {baseline.name: _baseline_values(baseline) for baseline in evaluation.baselines},
        "lead": {"over": best.name, **_comparison(best.lead)},
        **selective,
    }


def details(evaluation: Evaluation) -> dict[str, Any]:
    """Return the metrics by label, the comparison with every baseline and the intervals that `metrics` omits."""
    soft = evaluation.soft
    return {
        "scores": {
            "roc_auc": _interval(soft.roc_auc),
            "average_precision": _interval(soft.average_precision),
            "log_loss": _interval(soft.log_loss),
            "brier": _interval(soft.brier),
        },
        "labels": {
            label_score.label: {
                "support": label_score.support,
                "precision": _number(label_score.precision),
                "recall": _number(label_score.recall),
                "f1": _interval(label_score.f1),
                "roc_auc": _number(label_score.roc_auc),
                "average_precision": _number(label_score.average_precision),
            }
            for label_score in evaluation.classes
        },
        "baselines": {
            baseline.name: {
                "accuracy": _interval(baseline.scores.accuracy),
                "macro_f1": _interval(baseline.scores.macro_f1),
                "lead": _comparison(baseline.lead),
            }
            for baseline in evaluation.baselines
        },
    }


def slice_values(evaluation: Evaluation) -> dict[str, dict[str, Any]]:
    """Return the rows and metrics of each slice, by criterion and value; a small slice has only its rows."""
    values: dict[str, dict[str, Any]] = {}
    for slice_score in evaluation.slices:
        values.setdefault(slice_score.by, {})[slice_score.value] = _slice(slice_score)
    return values


def prediction_table(batch: PredictedBatch) -> pd.DataFrame:
    """Return each row's id, label, predicted label, confidence and the probability of every label."""
    table, predictions = batch.table, batch.predictions
    names = np.array(predictions.labels, dtype=object)
    columns: dict[str, Any] = {
        ID: table[ID].to_numpy(),
        LABEL: table[LABEL].to_numpy(),
        "predicted": names[predictions.probabilities.argmax(axis=1)],
        "score": predictions.probabilities.max(axis=1),
    }
    columns |= {f"p_{label}": predictions.probabilities[:, c] for c, label in enumerate(predictions.labels)}
    return pd.DataFrame(columns)


def confusion_tables(predictions: SplitPredictions) -> Iterator[pd.DataFrame]:
    """Yield the actual and the predicted label of every row, in batches: DVC draws the confusion matrix itself."""
    names = np.array(predictions.labels, dtype=object)
    for rows in row_blocks(len(predictions.actual)):
        actual, predicted = names[predictions.actual[rows]], names[predictions.predicted[rows]]
        yield pd.DataFrame({"actual": actual, "predicted": predicted})


def plot_tables(evaluation: Evaluation, words_N: Ints, length_quantiles: Sequence[float]) -> dict[str, pd.DataFrame]:
    """Return the tables of DVC's other plots, by file name without suffix."""
    tables = {
        **_curve_tables(evaluation),
        # One file per curve: DVC would draw a bin that is empty in one of them with accuracy 0.
        "reliability_before": _reliability_table(evaluation.calibration.before, "before"),
        "reliability_after": _reliability_table(evaluation.calibration.after, "after"),
        "reliability_ideal": pd.DataFrame({"confidence": [0.0, 1.0], "ideal": [0.0, 1.0]}),
        "length": _length_table(evaluation, length_slices(words_N, length_quantiles), words_N),
    }
    return {name: table.round(DECIMALS) for name, table in tables.items()}


def _curve_tables(evaluation: Evaluation) -> dict[str, pd.DataFrame]:
    curves = evaluation.curves
    empty = np.array([])
    grid = curves.grid if curves else empty
    return {
        "roc": pd.DataFrame(
            {
                # The vertical part at false positive rate 0 starts at the origin.
                "false_positive_rate": np.append(0.0, grid),
                "true_positive_rate": np.append(0.0, curves.true_positive_rate if curves else empty),
            }
        ),
        "precision_recall": pd.DataFrame({"recall": grid, "precision": curves.precision if curves else empty}),
    }


def _reliability_table(reliability: Reliability, name: str) -> pd.DataFrame:
    filled = reliability.rows > 0
    return pd.DataFrame({"confidence": reliability.confidence[filled], name: reliability.accuracy[filled]})


def _length_table(evaluation: Evaluation, slices: Sequence[Slice], words_N: Ints) -> pd.DataFrame:
    scores = [slice_score for slice_score in evaluation.slices if slice_score.by == BY_LENGTH]
    rows = [
        (float(np.median(words_N[part.rows_N])), score.rows, accuracy.value, accuracy.low, accuracy.high)
        for score, part in zip(scores, slices, strict=True)
        if (accuracy := score.accuracy) is not None
    ]
    return pd.DataFrame(rows, columns=["median_words", "rows", "accuracy", "low", "high"])


def _number(value: float) -> float:
    return round(float(value), DECIMALS)


def _interval(interval: Interval) -> dict[str, float]:
    return {"value": _number(interval.value), "low": _number(interval.low), "high": _number(interval.high)}


def _comparison(comparison: Comparison) -> dict[str, Any]:
    return {
        "accuracy": _interval(comparison.accuracy),
        "macro_f1": _interval(comparison.macro_f1),
        "mcnemar_p": _number(comparison.p_value),
    }


def _baseline_values(baseline: BaselineScore) -> dict[str, float]:
    return {
        "accuracy": _number(baseline.scores.accuracy.value),
        "macro_f1": _number(baseline.scores.macro_f1.value),
    }


def _selective(scores: SelectiveScores) -> dict[str, Any]:
    return {
        "target_accuracy": _number(scores.option.target_accuracy),
        "min_confidence": _number(scores.option.min_confidence),
        "coverage": _interval(scores.coverage),
        # Without an answer there is no accuracy, and JSON has no NaN.
        **({"accuracy": _interval(scores.accuracy)} if scores.answered else {}),
    }


def _slice(slice_score: SliceScore) -> Mapping[str, Any]:
    metrics = {"accuracy": slice_score.accuracy, "macro_f1": slice_score.macro_f1, "lead": slice_score.lead}
    values = {name: _interval(interval) for name, interval in metrics.items() if interval is not None}
    calibration = slice_score.calibration
    if calibration is None:
        return {"rows": slice_score.rows, **values}
    return {
        "rows": slice_score.rows,
        **values,
        "confidence": _number(calibration.mean_confidence),
        "calibration_error": _number(calibration.expected_error),
    }
