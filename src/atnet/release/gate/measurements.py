"""Measure the challenger: arrays in, numbers out. Nothing is decided here.

Letters in array names: N rows.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from atnet.config import ReleaseConfig, SliceCheckConfig
from atnet.errors import ReleaseError
from atnet.evaluation.calibration import binned_reliability
from atnet.evaluation.metrics import count_classes
from atnet.evaluation.selective import SelectiveScores, selective_scores
from atnet.evaluation.slices import ColumnValues, Slice, length_slices, value_slices
from atnet.release.behavior.runner import BehaviorResult
from atnet.release.gate.alignment import PairedRows, ScoredRows, align, score_rows
from atnet.release.gate.gate_rows import GateRows, label_ids
from atnet.release.gate.result import CheckResult
from atnet.release.gate.scored_models import GateInputs, ScoredModel
from atnet.release.gate.significance import PairedComparison, Resampling, compare_paired, sign_test


@dataclass(frozen=True, slots=True)
class LabelChange:
    """How the labels of the two models differ."""

    common: tuple[str, ...]
    added: tuple[str, ...]
    removed: tuple[str, ...]
    other_label_rows: int
    """Test rows excluded because their label is not a common one."""


@dataclass(frozen=True, slots=True)
class SliceComparison:
    """Both models on one slice."""

    name: str
    rows: int
    wins: int
    """Rows on which only the challenger is right."""
    losses: int
    """Rows on which only the champion is right."""

    @property
    def p_worse(self) -> float:
        """One-sided p-value against "the challenger is right at least as often"."""
        return sign_test(self.wins, self.losses)


@dataclass(frozen=True, slots=True)
class ChampionMeasurements:
    """Challenger against champion."""

    labels: LabelChange
    rows: int
    """Rows that can be compared."""
    trained_on: int
    """Test rows excluded because the champion was trained on their text."""
    comparison: PairedComparison | None
    """None if labels or rows do not allow one."""
    slices: tuple[SliceComparison, ...]
    small_slices: int
    """Slices with too few rows to test."""


@dataclass(frozen=True, slots=True)
class GoldenMeasurements:
    """Both models on the golden set."""

    rows: int
    accuracy: float
    has_champion: bool
    excluded: int
    """Rows excluded from the comparison because one of the models was trained on their text."""
    comparison: PairedComparison | None
    """None without a champion, or if no row is left to compare."""


@dataclass(frozen=True, slots=True)
class Measurements:
    """The numbers that the checks evaluate."""

    challenger: str
    champion: str | None
    rows: int
    accuracy: float
    macro_f1: float
    calibration_error: float
    size_bytes: int
    challenger_ms: float | None
    champion_ms: float | None
    against_champion: ChampionMeasurements | None
    best_baseline: str | None
    against_baseline: PairedComparison | None
    selective: SelectiveScores | None
    """Measured for the challenger; None if it answers every text."""
    golden: GoldenMeasurements | None
    behavior: BehaviorResult
    servable: CheckResult


def measure(inputs: GateInputs, config: ReleaseConfig, rng: np.random.Generator) -> Measurements:
    """Compute every number the checks need; the same arguments give the same numbers.

    Raises:
        ReleaseError: if predictions and rows do not belong together.
    """
    # One generator per comparison, so that adding a golden set does not change the others.
    champion_rng, baseline_rng, golden_rng, selective_rng = rng.spawn(4)
    challenger, champion = inputs.challenger, inputs.champion
    scored = score_rows(inputs.test, challenger.predictions)
    counts = count_classes(scored.actual_N, scored.predicted_N, len(scored.labels))
    best, against_baseline = _compare_with_best_baseline(scored, inputs.baselines, config, baseline_rng)
    return Measurements(
        challenger=challenger.predictions.model,
        champion=champion.predictions.model if champion else None,
        rows=len(scored.actual_N),
        accuracy=float(counts.accuracy),
        macro_f1=float(counts.macro_f1),
        calibration_error=binned_reliability(
            scored.confidence_N, scored.predicted_N == scored.actual_N, config.calibration.calibration_bins
        ).expected_error,
        size_bytes=inputs.size_bytes,
        challenger_ms=challenger.latency_ms,
        champion_ms=champion.latency_ms if champion else None,
        against_champion=_compare_with_champion(inputs, champion, config, champion_rng) if champion else None,
        best_baseline=best,
        against_baseline=against_baseline,
        selective=_selective_scores(scored, challenger, config, selective_rng),
        golden=_measure_golden(inputs, config, golden_rng),
        behavior=inputs.behavior,
        servable=inputs.servable,
    )


def _compare_with_champion(
    inputs: GateInputs, champion: ScoredModel, config: ReleaseConfig, rng: np.random.Generator
) -> ChampionMeasurements:
    new, old = inputs.challenger.predictions, champion.predictions
    paired = align(inputs.test, new, old)
    labels = LabelChange(
        common=paired.labels,
        added=tuple(sorted(set(new.labels) - set(old.labels))),
        removed=tuple(sorted(set(old.labels) - set(new.labels))),
        other_label_rows=paired.other_labels,
    )
    same_labels = not labels.added and not labels.removed
    comparable = same_labels or (config.allow_label_change and len(labels.common) > 1)
    enough = len(paired.rows) >= config.min_compared_rows
    slices, small = _compare_slices(paired, config.slices) if comparable and enough else ((), 0)
    return ChampionMeasurements(
        labels=labels,
        rows=len(paired.rows),
        trained_on=paired.trained_on,
        comparison=_compare(paired, config, rng) if comparable and enough else None,
        slices=slices,
        small_slices=small,
    )


def _compare(paired: PairedRows, config: ReleaseConfig, rng: np.random.Generator) -> PairedComparison:
    resampling = Resampling(config.bootstrap_samples, config.confidence)
    return compare_paired(paired.actual_N, paired.challenger_N, paired.champion_N, len(paired.labels), resampling, rng)


def _compare_slices(paired: PairedRows, config: SliceCheckConfig) -> tuple[tuple[SliceComparison, ...], int]:
    slices = {f"{part.by}: {part.value}": part.rows_N for part in _slices(paired.rows, config)}
    large = {name: rows_N for name, rows_N in slices.items() if rows_N.sum() >= config.min_slice_rows}
    challenger_N, champion_N = paired.challenger_N == paired.actual_N, paired.champion_N == paired.actual_N
    compared = tuple(
        SliceComparison(
            name=name,
            rows=int(rows_N.sum()),
            wins=int((challenger_N & ~champion_N)[rows_N].sum()),
            losses=int((champion_N & ~challenger_N)[rows_N].sum()),
        )
        for name, rows_N in large.items()
    )
    return compared, len(slices) - len(large)


def _slices(rows: GateRows, config: SliceCheckConfig) -> list[Slice]:
    if len(rows) == 0:
        return []
    by_column = [part for column, values in rows.columns.items() for part in value_slices(column, values)]
    return [*by_column, *length_slices(rows.words_N, config.length_quantiles)]


def _compare_with_best_baseline(
    scored: ScoredRows, baselines: Mapping[str, ColumnValues], config: ReleaseConfig, rng: np.random.Generator
) -> tuple[str | None, PairedComparison | None]:
    for name, labels in baselines.items():
        if len(labels.name_N) != len(scored.actual_N):
            raise ReleaseError(
                f"Baseline {name} has predictions for {len(labels.name_N)} rows, the test split has "
                f"{len(scored.actual_N)}. Run `dvc repro`."
            )
    if not baselines:
        return None, None
    # One class more: a baseline may predict a label that the model does not have.
    classes = len(scored.labels) + 1
    predicted = {name: label_ids(labels, scored.labels) for name, labels in baselines.items()}
    macro_f1 = {name: float(count_classes(scored.actual_N, ids, classes).macro_f1) for name, ids in predicted.items()}
    best = max(macro_f1, key=lambda name: (macro_f1[name], name))
    resampling = Resampling(config.bootstrap_samples, config.confidence)
    return best, compare_paired(scored.actual_N, scored.predicted_N, predicted[best], classes, resampling, rng)


def _selective_scores(
    scored: ScoredRows, challenger: ScoredModel, config: ReleaseConfig, rng: np.random.Generator
) -> SelectiveScores | None:
    if challenger.reject_option is None:
        return None
    # In each row, class 0 is the predicted label: the probabilities of the others do not matter.
    return selective_scores(
        (scored.actual_N != scored.predicted_N).astype(np.int64),
        scored.confidence_N[:, None],
        challenger.reject_option,
        samples=config.bootstrap_samples,
        confidence=config.confidence,
        rng=rng,
    )


def _measure_golden(inputs: GateInputs, config: ReleaseConfig, rng: np.random.Generator) -> GoldenMeasurements | None:
    golden = inputs.golden
    if golden is None or config.golden is None:
        return None
    scored = score_rows(golden.rows, golden.challenger)
    rows = len(scored.actual_N)
    accuracy = float((scored.predicted_N == scored.actual_N).mean()) if rows else 0.0
    if golden.champion is None or inputs.champion is None:
        return GoldenMeasurements(rows, accuracy, has_champion=False, excluded=0, comparison=None)
    paired = align(golden.rows, golden.challenger, golden.champion)
    comparable = len(paired.rows) > 0 and len(paired.labels) > 1
    comparison = _compare(paired, config, rng) if comparable else None
    return GoldenMeasurements(rows, accuracy, has_champion=True, excluded=paired.trained_on, comparison=comparison)
