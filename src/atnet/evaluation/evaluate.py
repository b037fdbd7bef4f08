"""Judge a model's answers on the test split: scores, baselines, calibration, slices, curves.

Letters in array names: N rows, C classes, B resamples.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from atnet.config import EvaluateConfig
from atnet.evaluation.bootstrap import Comparison, Interval, Scores, compare, interval, resample_rows, score
from atnet.evaluation.calibration import Reliability, reliability
from atnet.evaluation.metrics import Floats, Ints, brier_scores, confusion_matrix, count_classes, log_losses
from atnet.evaluation.predictions import SplitPredictions
from atnet.evaluation.ranking import Curves, Ranking, defined_mean, mean_curves, rank, rank_classes
from atnet.evaluation.slices import (
    Slice,
    SliceScore,
    column_slices,
    count_words,
    length_slices,
    score_slice,
    unknown_slices,
)
from atnet.schema import TEXT, slice_columns


@dataclass(frozen=True, slots=True)
class ClassScore:
    """How good the model is on one label."""

    label: str
    support: int
    precision: float
    recall: float
    f1: Interval
    roc_auc: float
    average_precision: float


@dataclass(frozen=True, slots=True)
class SoftScores:
    """How good the probabilities are; ranking scores of more than two labels are means of one against the rest."""

    roc_auc: Interval
    average_precision: Interval
    log_loss: Interval
    brier: Interval


@dataclass(frozen=True, slots=True)
class Calibration:
    """Stated against kept confidence, before and after temperature scaling."""

    before: Reliability
    after: Reliability
    log_loss_before: float


@dataclass(frozen=True, slots=True)
class BaselineScore:
    """How good a baseline is, and how far the model leads on the same rows."""

    name: str
    scores: Scores
    lead: Comparison


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Everything that is known about a model on its test split."""

    labels: tuple[str, ...]
    rows: int
    scores: Scores
    soft: SoftScores
    classes: tuple[ClassScore, ...]
    calibration: Calibration
    baselines: tuple[BaselineScore, ...]
    slices: tuple[SliceScore, ...]
    confusion: Ints
    """(C, C): actual down, predicted across."""
    curves: Curves | None
    """None when the test rows have one label only."""


def evaluate(
    table: pd.DataFrame, answers: SplitPredictions, unknown_share_N: Floats, config: EvaluateConfig
) -> Evaluation:
    """Judge the answers; the same arguments give the same numbers.

    Args:
        table: the test split, in the answers' order.
        answers: of the model and of at least one baseline.
        unknown_share_N: share of each text's tokens that the vocabulary does not hold.
        config: resamples, confidence, bins, slices.
    """
    # One stream of chance per part, so that one slice more does not move the other intervals.
    for_scores, for_soft, for_baselines, for_slices = np.random.default_rng(config.seed).spawn(4)
    rankings = rank_classes(answers.actual, answers.probabilities)
    scores = _score(answers, answers.predicted, config, for_scores)
    baselines = tuple(_baseline(name, answers, config, for_baselines) for name in answers.baselines)
    return Evaluation(
        labels=answers.labels,
        rows=len(table),
        scores=scores,
        soft=_soft_scores(answers, rankings, config, for_soft),
        classes=_class_scores(answers, scores),
        calibration=_calibration(answers, config),
        baselines=baselines,
        slices=_slice_scores(
            all_slices(table, unknown_share_N, config.length_quantiles),
            answers,
            answers.baselines[best_baseline_score(baselines).name],
            config,
            for_slices,
        ),
        confusion=confusion_matrix(answers.actual, answers.predicted, len(answers.labels)),
        curves=mean_curves(rankings),
    )


def best_baseline_score(baselines: Sequence[BaselineScore]) -> BaselineScore:
    """Pick the baseline with the highest macro-F1, then accuracy, on the test rows."""
    return max(baselines, key=lambda one: (one.scores.macro_f1.value, one.scores.accuracy.value))


def all_slices(table: pd.DataFrame, unknown_share_N: Floats, length_quantiles: Sequence[float]) -> list[Slice]:
    """Part the rows by every slice column, by length and by unknown words."""
    by_column = [part for column in slice_columns(table) for part in column_slices(table, column)]
    return [
        *by_column,
        *length_slices(count_words(table[TEXT]), length_quantiles),
        *unknown_slices(unknown_share_N),
    ]


def _score(answers: SplitPredictions, predicted_N: Ints, config: EvaluateConfig, rng: np.random.Generator) -> Scores:
    return score(
        answers.actual,
        predicted_N,
        len(answers.labels),
        samples=config.bootstrap_samples,
        confidence=config.confidence,
        rng=rng,
    )


def _baseline(name: str, answers: SplitPredictions, config: EvaluateConfig, rng: np.random.Generator) -> BaselineScore:
    predicted_N = answers.baselines[name]
    lead = compare(
        answers.actual,
        answers.predicted,
        predicted_N,
        len(answers.labels),
        samples=config.bootstrap_samples,
        confidence=config.confidence,
        rng=rng,
    )
    return BaselineScore(name, _score(answers, predicted_N, config, rng), lead)


def _slice_scores(
    parts: Sequence[Slice],
    answers: SplitPredictions,
    reference_N: Ints,
    config: EvaluateConfig,
    rng: np.random.Generator,
) -> tuple[SliceScore, ...]:
    classes = len(answers.labels)
    return tuple(
        score_slice(part, answers.actual, answers.predicted, reference_N, classes, config=config, rng=rng)
        for part in parts
    )


def _soft_scores(
    answers: SplitPredictions, rankings: Sequence[Ranking], config: EvaluateConfig, rng: np.random.Generator
) -> SoftScores:
    losses_N = log_losses(answers.actual, answers.probabilities)
    brier_N = brier_scores(answers.actual, answers.probabilities)
    resampled = []
    for weight_BN in resample_rows(len(losses_N), samples=config.bootstrap_samples, rng=rng):
        drawn = rank_classes(answers.actual, answers.probabilities, weight_BN)
        means_B2 = weight_BN @ np.column_stack([losses_N, brier_N]) / len(losses_N)
        resampled.append(np.vstack([_mean_auc(drawn), _mean_precision(drawn), means_B2.T]))
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


def _class_scores(answers: SplitPredictions, scores: Scores) -> tuple[ClassScore, ...]:
    counts = count_classes(answers.actual, answers.predicted, len(answers.labels))
    one_N = np.ones((1, len(answers.actual)))
    ranked = [rank(answers.actual == c, answers.probabilities[:, c], one_N) for c in range(len(answers.labels))]
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
        for c, label in enumerate(answers.labels)
    )


def _calibration(answers: SplitPredictions, config: EvaluateConfig) -> Calibration:
    return Calibration(
        before=reliability(answers.actual, answers.uncalibrated, config.calibration_bins),
        after=reliability(answers.actual, answers.probabilities, config.calibration_bins),
        log_loss_before=float(log_losses(answers.actual, answers.uncalibrated).mean()),
    )
