"""Evaluate a model's predictions on the test split: metrics, baselines, calibration, slices, curves.

Letters in array names: N rows, C classes, B resamples.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from atnet.config import EvaluateConfig
from atnet.evaluation.bootstrap import Comparison, Interval, Scores, compare, interval, resample_rows, score
from atnet.evaluation.calibration import Reliability, binned_reliability, reliability
from atnet.evaluation.metrics import Floats, Ints, brier_scores, confusion_matrix, count_classes, log_losses
from atnet.evaluation.predictions import SplitPredictions
from atnet.evaluation.ranking import Curves, Ranking, defined_mean, mean_curves, rank, rank_classes
from atnet.evaluation.row_features import RowFeatures
from atnet.evaluation.selective import SelectiveScores, selective_scores
from atnet.evaluation.slices import (
    Slice,
    SliceScore,
    length_slices,
    score_slice,
    unknown_slices,
    value_slices,
)


@dataclass(frozen=True, slots=True)
class ClassScore:
    """Metrics of one label."""

    label: str
    support: int
    precision: float
    recall: float
    f1: Interval
    roc_auc: float
    average_precision: float


@dataclass(frozen=True, slots=True)
class SoftScores:
    """Metrics of the probabilities; with more than two labels, ranking metrics are averaged one against the rest."""

    roc_auc: Interval
    average_precision: Interval
    log_loss: Interval
    brier: Interval


@dataclass(frozen=True, slots=True)
class Calibration:
    """Reliability before and after temperature scaling."""

    before: Reliability
    after: Reliability
    log_loss_before: float


@dataclass(frozen=True, slots=True)
class BaselineScore:
    """Metrics of a baseline, and the model's lead over it on the same rows."""

    name: str
    scores: Scores
    lead: Comparison


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The complete evaluation of a model on its test split."""

    labels: tuple[str, ...]
    rows: int
    scores: Scores
    soft: SoftScores
    classes: tuple[ClassScore, ...]
    calibration: Calibration
    baselines: tuple[BaselineScore, ...]
    slices: tuple[SliceScore, ...]
    confusion: Ints
    """(C, C): actual labels in rows, predicted labels in columns."""
    curves: Curves | None
    """None if all test rows have the same label."""
    selective: SelectiveScores | None
    """None if the model answers every text."""


def evaluate(features: RowFeatures, predictions: SplitPredictions, config: EvaluateConfig) -> Evaluation:
    """Evaluate the predictions; the same arguments give the same numbers.

    Args:
        features: of the test rows, in the order of the predictions.
        predictions: of the model and of at least one baseline.
        config: resamples, confidence, bins, slices.
    """
    # One random stream per part, so that an additional slice does not change the other intervals.
    for_scores, for_soft, for_baselines, for_slices, for_selective = np.random.default_rng(config.seed).spawn(5)
    rankings = rank_classes(predictions.actual, predictions.probabilities)
    scores = _score(predictions, predictions.predicted, config, for_scores)
    baselines = tuple(_baseline(name, predictions, config, for_baselines) for name in predictions.baselines)
    return Evaluation(
        labels=predictions.labels,
        rows=len(predictions.actual),
        scores=scores,
        soft=_soft_scores(predictions, rankings, config, for_soft),
        classes=_class_scores(predictions, scores),
        calibration=_calibration(predictions, config),
        baselines=baselines,
        slices=_slice_scores(
            all_slices(features, config.length_quantiles),
            predictions,
            predictions.baselines[best_baseline_score(baselines).name],
            config,
            for_slices,
        ),
        confusion=confusion_matrix(predictions.actual, predictions.predicted, len(predictions.labels)),
        curves=mean_curves(rankings),
        selective=_selective_scores(predictions, config, for_selective),
    )


def best_baseline_score(baselines: Sequence[BaselineScore]) -> BaselineScore:
    """Return the baseline with the highest macro-F1, then accuracy, on the test rows."""
    return max(baselines, key=lambda baseline: (baseline.scores.macro_f1.value, baseline.scores.accuracy.value))


def all_slices(features: RowFeatures, length_quantiles: Sequence[float]) -> list[Slice]:
    """Slice the rows by every slice column, by length and by unknown words."""
    return [
        *(part for column, values in features.columns.items() for part in value_slices(column, values)),
        *length_slices(features.words_N, length_quantiles),
        *unknown_slices(features.unknown_share_N),
    ]


def _score(
    predictions: SplitPredictions, predicted_N: Ints, config: EvaluateConfig, rng: np.random.Generator
) -> Scores:
    return score(
        predictions.actual,
        predicted_N,
        len(predictions.labels),
        samples=config.bootstrap_samples,
        confidence=config.confidence,
        rng=rng,
    )


def _baseline(
    name: str, predictions: SplitPredictions, config: EvaluateConfig, rng: np.random.Generator
) -> BaselineScore:
    predicted_N = predictions.baselines[name]
    lead = compare(
        predictions.actual,
        predictions.predicted,
        predicted_N,
        len(predictions.labels),
        samples=config.bootstrap_samples,
        confidence=config.confidence,
        rng=rng,
    )
    return BaselineScore(name, _score(predictions, predicted_N, config, rng), lead)


def _slice_scores(
    parts: Sequence[Slice],
    predictions: SplitPredictions,
    reference_N: Ints,
    config: EvaluateConfig,
    rng: np.random.Generator,
) -> tuple[SliceScore, ...]:
    classes, actual_N = len(predictions.labels), predictions.actual
    scores = (
        score_slice(part, actual_N, predictions.predicted, reference_N, classes, config=config, rng=rng)
        for part in parts
    )
    return tuple(
        slice_score
        if slice_score.accuracy is None
        else replace(slice_score, calibration=_slice_reliability(part, predictions, config))
        for part, slice_score in zip(parts, scores, strict=True)
    )


def _slice_reliability(part: Slice, predictions: SplitPredictions, config: EvaluateConfig) -> Reliability:
    rows_N = part.rows_N
    right_N = predictions.predicted[rows_N] == predictions.actual[rows_N]
    return binned_reliability(predictions.probabilities.max(axis=1)[rows_N], right_N, config.calibration_bins)


def _soft_scores(
    predictions: SplitPredictions, rankings: Sequence[Ranking], config: EvaluateConfig, rng: np.random.Generator
) -> SoftScores:
    losses_N = log_losses(predictions.actual, predictions.probabilities)
    brier_N = brier_scores(predictions.actual, predictions.probabilities)
    resampled = []
    for weight_BN in resample_rows(len(losses_N), samples=config.bootstrap_samples, rng=rng):
        rankings_B = rank_classes(predictions.actual, predictions.probabilities, weight_BN)
        means_B2 = weight_BN @ np.column_stack([losses_N, brier_N]) / len(losses_N)
        resampled.append(np.vstack([_mean_auc(rankings_B), _mean_precision(rankings_B), means_B2.T]))
    auc_B, precision_B, loss_B, brier_B = np.hstack(resampled)
    return SoftScores(
        roc_auc=interval(_mean_auc(rankings).item(), auc_B, config.confidence),
        average_precision=interval(_mean_precision(rankings).item(), precision_B, config.confidence),
        log_loss=interval(losses_N.mean(), loss_B, config.confidence),
        brier=interval(brier_N.mean(), brier_B, config.confidence),
    )


def _mean_auc(rankings: Sequence[Ranking]) -> Floats:
    return defined_mean([ranking.roc_auc for ranking in rankings])


def _mean_precision(rankings: Sequence[Ranking]) -> Floats:
    return defined_mean([ranking.average_precision for ranking in rankings])


def _class_scores(predictions: SplitPredictions, scores: Scores) -> tuple[ClassScore, ...]:
    counts = count_classes(predictions.actual, predictions.predicted, len(predictions.labels))
    weight_BN = np.ones((1, len(predictions.actual)))
    ranked = [
        rank(predictions.actual == c, predictions.probabilities[:, c], weight_BN)
        for c in range(len(predictions.labels))
    ]
    return tuple(
        ClassScore(
            label=label,
            support=int(counts.support[c]),
            precision=float(counts.precision[c]),
            recall=float(counts.recall[c]),
            f1=scores.f1[c],
            roc_auc=ranked[c].roc_auc.item(),
            average_precision=ranked[c].average_precision.item(),
        )
        for c, label in enumerate(predictions.labels)
    )


def _selective_scores(
    predictions: SplitPredictions, config: EvaluateConfig, rng: np.random.Generator
) -> SelectiveScores | None:
    if predictions.reject_option is None:
        return None
    return selective_scores(
        predictions.actual,
        predictions.probabilities,
        predictions.reject_option,
        samples=config.bootstrap_samples,
        confidence=config.confidence,
        rng=rng,
    )


def _calibration(predictions: SplitPredictions, config: EvaluateConfig) -> Calibration:
    return Calibration(
        before=reliability(predictions.actual, predictions.uncalibrated, config.calibration_bins),
        after=reliability(predictions.actual, predictions.probabilities, config.calibration_bins),
        log_loss_before=float(log_losses(predictions.actual, predictions.uncalibrated).mean()),
    )
