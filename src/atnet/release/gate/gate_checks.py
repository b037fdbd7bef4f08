"""The gate's single rules: each looks at one thing and says what it found, what was asked for, and why it matters."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from atnet.config import (
    BehaviorConfig,
    CalibrationCheckConfig,
    LatencyCheckConfig,
    MinScoresConfig,
    ReleaseConfig,
    Severity,
    SizeCheckConfig,
    SliceCheckConfig,
)
from atnet.evaluation.calibration import expected_calibration_error
from atnet.evaluation.metrics import Ints, count_classes
from atnet.evaluation.slices import Slice, column_slices, count_words, length_slices
from atnet.release.behavior.runner import KINDS, BehaviorResult, Kind
from atnet.release.gate.alignment import PairedRows, ScoredRows, label_ids
from atnet.release.gate.result import CheckResult, CheckStatus, Latency
from atnet.release.gate.significance import PairedComparison, duel, holm, sign_test
from atnet.report.sentences import display_name
from atnet.schema import TEXT, slice_columns

MEGABYTE = 1_000_000
NAMED_SLICES = 5
"""Slices named in a reason; the rest are counted."""


def outcome(good: bool, severity: Severity = "critical") -> CheckStatus:
    """Turn a finding into what it means."""
    if severity == "off":
        return "not checked"
    if good:
        return "passed"
    return "failed" if severity == "critical" else "warning"


def not_checked(name: str, required: str, reason: str) -> CheckResult:
    """Say that there was nothing to look at."""
    return CheckResult(name, "not checked", "-", required, reason)


def minimum_checks(own: ScoredRows, config: MinScoresConfig) -> list[CheckResult]:
    """Ask for the absolute minima on all test rows."""
    counts = count_classes(own.actual_N, own.predicted_N, len(own.labels))
    scores = {
        "accuracy": (float(counts.accuracy), config.accuracy),
        "macro-F1": (float(counts.macro_f1), config.macro_f1),
    }
    return [
        CheckResult(
            f"minimum {name}",
            outcome(value >= least),
            f"{value:.4f} on {len(own.actual_N):,} rows",
            f"at least {least:g}",
            f"{name} is {value:.4f}, the minimum {least:g}.",
        )
        for name, (value, least) in scores.items()
    ]


def champion_check(found: PairedComparison, config: ReleaseConfig) -> CheckResult:
    """Ask whether the challenger is better than the champion (superior) or not worse by the margin (not_worse)."""
    least = 0.0 if config.rule == "superiority" else -config.non_inferiority_margin
    good = found.low > least
    wanted = (
        "better than the champion"
        if config.rule == "superiority"
        else f"within {config.non_inferiority_margin:g} of the champion"
    )
    return CheckResult(
        "champion",
        outcome(good),
        f"macro-F1 {found.first:.4f} against {found.second:.4f}: {found.lead:+z.4f}, lower bound {found.low:+z.4f}",
        f"lower bound ({config.confidence:.0%}, one-sided) above {least:+z.4f}",
        f"On {found.rows:,} rows the challenger is {'' if good else 'not '}shown to be {wanted}: "
        f"the difference is {found.lead:+z.4f}, and could be as low as {found.low:+z.4f}.",
    )


def mcnemar_check(found: PairedComparison, confidence: float) -> CheckResult:
    """Show McNemar's exact test beside the rule: a warning where the challenger is right on too few rows."""
    good = found.p_worse > 1 - confidence
    return CheckResult(
        "McNemar",
        outcome(good, "warning"),
        f"only the challenger is right on {found.only_first_right:,} rows, only the champion on "
        f"{found.only_second_right:,}; exact p = {found.p_value:.4f}",
        "beside the rule, never decides",
        "The exact test of accuracy does not speak against the challenger."
        if good
        else f"The challenger is right on significantly fewer rows (one-sided p = {found.p_worse:.4f}).",
    )


def baseline_check(
    own: ScoredRows, baselines: Mapping[str, Sequence[str]], config: ReleaseConfig, found: PairedComparison | None
) -> CheckResult:
    """Ask that the challenger is not below the best baseline, `found` being the comparison with it."""
    required = f"macro-F1 at least the best baseline's, lower bound above -{config.baseline.non_inferiority_margin:g}"
    if found is None:
        return not_checked("baseline", required, "There are no baseline answers on these rows.")
    name = display_name(best_baseline(own, baselines))
    good = found.lead >= 0 and found.low > -config.baseline.non_inferiority_margin
    return CheckResult(
        "baseline",
        outcome(good, config.baseline.severity),
        f"macro-F1 {found.first:.4f} against {found.second:.4f} ({name}): {found.lead:+z.4f}, "
        f"lower bound {found.low:+z.4f}",
        required,
        f"The model is {'not below' if good else 'below, or may be well below,'} the best baseline, {name}: "
        f"the difference is {found.lead:+z.4f}, and could be as low as {found.low:+z.4f}.",
    )


def best_baseline(own: ScoredRows, baselines: Mapping[str, Sequence[str]]) -> str:
    """Name the baseline with the highest macro-F1 on the rows."""
    classes = len(own.labels) + 1
    scores = {
        name: float(count_classes(own.actual_N, label_ids(given, own.labels), classes).macro_f1)
        for name, given in baselines.items()
    }
    return max(scores, key=lambda name: (scores[name], name))


def compare_with_best_baseline(
    own: ScoredRows, baselines: Mapping[str, Sequence[str]], config: ReleaseConfig, rng: np.random.Generator
) -> PairedComparison | None:
    """Compare the challenger with the best baseline on all test rows; None without baselines."""
    if not baselines:
        return None
    given_N = label_ids(baselines[best_baseline(own, baselines)], own.labels)
    return compare_models(own.actual_N, own.predicted_N, given_N, len(own.labels) + 1, config, rng)


def compare_models(
    actual_N: Ints, first_N: Ints, second_N: Ints, classes: int, config: ReleaseConfig, rng: np.random.Generator
) -> PairedComparison:
    """Compare with the gate's own confidence and resamples."""
    return duel(
        actual_N, first_N, second_N, classes, samples=config.bootstrap_samples, confidence=config.confidence, rng=rng
    )


def slice_check(found: PairedRows, config: SliceCheckConfig, confidence: float) -> CheckResult:
    """Ask that on no slice the challenger is right significantly less often than the champion (Holm over slices)."""
    parts = {f"{part.by}: {part.value}": part.rows_N for part in _slices(found.table, config)}
    tested = {name: rows_N for name, rows_N in parts.items() if rows_N.sum() >= config.min_slice_rows}
    required = f"none significantly worse, at level {1 - confidence:.2g} over all slices (Holm)"
    if not tested:
        return not_checked("slices", required, f"No slice has {config.min_slice_rows} rows.")
    challenger_N, champion_N = found.challenger_N == found.actual_N, found.champion_N == found.actual_N
    wins = {name: int((challenger_N & ~champion_N)[rows_N].sum()) for name, rows_N in tested.items()}
    losses = {name: int((champion_N & ~challenger_N)[rows_N].sum()) for name, rows_N in tested.items()}
    worse = holm({name: sign_test(wins[name], losses[name]) for name in tested}, 1 - confidence)
    named = [
        f"{name} ({wins[name] - losses[name]:+d} right of {int(tested[name].sum()):,}, adjusted p = {p_value:.4f})"
        for name, p_value in worse.items()
    ]
    more = f" and {len(named) - NAMED_SLICES} more" if len(named) > NAMED_SLICES else ""
    return CheckResult(
        "slices",
        outcome(not worse, config.severity),
        f"{len(worse)} of {len(tested)} slices worse; {len(parts) - len(tested)} too small to test",
        required,
        f"Significantly worse than the champion on {'; '.join(named[:NAMED_SLICES])}{more}."
        if worse
        else "On no slice is the challenger significantly worse than the champion.",
    )


def calibration_check(own: ScoredRows, config: CalibrationCheckConfig) -> CheckResult:
    """Ask that stated confidence is kept."""
    error = expected_calibration_error(own.actual_N, own.probabilities_NC, config.calibration_bins)
    return CheckResult(
        "calibration",
        outcome(error <= config.max_error, config.severity),
        f"expected calibration error {error:.4f}",
        f"at most {config.max_error:g}",
        f"Stated confidence is off by {100 * error:.1f} points on average; {100 * config.max_error:.1f} are allowed.",
    )


def size_check(size_bytes: int, config: SizeCheckConfig) -> CheckResult:
    """Ask that the model's files are small enough."""
    megabytes = size_bytes / MEGABYTE
    return CheckResult(
        "size",
        outcome(megabytes <= config.max_megabytes, config.severity),
        f"{megabytes:.1f} MB",
        f"at most {config.max_megabytes:g} MB",
        f"The model's files hold {megabytes:.1f} MB; {config.max_megabytes:g} MB are allowed.",
    )


def latency_check(found: Latency | None, config: LatencyCheckConfig) -> CheckResult:
    """Ask that one text does not take much longer than with the champion."""
    required = f"at most {config.max_ratio:g} times the champion's"
    if found is None or found.champion_ms is None:
        return not_checked("latency", required, "There is no champion's time to compare with.")
    ratio = found.challenger_ms / max(found.champion_ms, 1e-9)
    return CheckResult(
        "latency",
        outcome(ratio <= config.max_ratio, config.severity),
        f"{found.challenger_ms:.2f} ms against {found.champion_ms:.2f} ms: {ratio:.2f} times",
        required,
        f"One text takes {ratio:.2f} times as long as with the champion; {config.max_ratio:g} times are allowed.",
    )


def behavior_checks(result: BehaviorResult, config: BehaviorConfig) -> list[CheckResult]:
    """Ask for the pass rate of each kind."""
    rates = config.min_pass_rate
    least: dict[Kind, float] = {"MFT": rates.mft, "INV": rates.inv, "DIR": rates.dir}
    return [_behaviour_check(kind, least[kind], result, config) for kind in KINDS]


def _behaviour_check(kind: Kind, least: float, result: BehaviorResult, config: BehaviorConfig) -> CheckResult:
    name, required = f"behavior: {kind}", f"at least {least:.0%} of at least {config.min_cases} cases"
    if not config.suites:
        return not_checked(name, required, "release.behavior.suites names no suite.")
    cases, passed, skipped = result.cases(kind), result.passed(kind), result.skipped(kind)
    observed = f"{passed} of {cases} cases" + (f", {skipped} skipped" if skipped else "")
    if cases < config.min_cases:
        reason = (
            f"Only {cases} cases speak of this model's labels ({skipped} do not). Add cases to a suite named in "
            "release.behavior.suites, or map its labels to yours."
        )
        return CheckResult(
            name, outcome(False, "off" if config.severity == "off" else "warning"), observed, required, reason
        )
    rate = passed / cases
    weakest = f" Most failures: {result.weakest(kind)}." if passed < cases else ""
    return CheckResult(
        name,
        outcome(rate >= least, config.severity),
        f"{observed}: {rate:.1%}",
        required,
        f"{rate:.1%} of the {kind} cases pass; {least:.0%} are asked for.{weakest}",
    )


def _slices(table: pd.DataFrame, config: SliceCheckConfig) -> list[Slice]:
    by_column = [part for column in slice_columns(table) for part in column_slices(table, column)]
    if table.empty:
        return []
    return [*by_column, *length_slices(count_words(table[TEXT]), config.length_quantiles)]
