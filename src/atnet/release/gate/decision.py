"""The gate: may the challenger take the champion's place? Every rule is asked, so all reasons are named."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from atnet.config import ReleaseConfig
from atnet.errors import ReleaseError
from atnet.evaluation.metrics import count_classes
from atnet.release.behavior.runner import BehaviorResult
from atnet.release.gate import gate_checks
from atnet.release.gate.alignment import PairedRows, contest, side
from atnet.release.gate.result import CheckResult, GateResult, Golden, Latency, ModelPredictions

DECIMALS = 6
NO_CHAMPION = "There is no champion yet: the minima, the baseline and the other checks decide."


def judge(
    config: ReleaseConfig,
    *,
    test: pd.DataFrame,
    challenger: ModelPredictions,
    champion: ModelPredictions | None,
    champion_train_hashes: frozenset[str],
    baselines: Mapping[str, Sequence[str]],
    behavior: BehaviorResult,
    size_bytes: int,
    latency: Latency | None,
    golden: Golden | None,
    servable: CheckResult,
    rng: np.random.Generator,
    challenger_train_hashes: frozenset[str] = frozenset(),
) -> GateResult:
    """Judge the challenger; the same arguments give the same verdict.

    Args:
        config: the rule and the limits.
        test: the challenger's test split (canonical table).
        challenger, champion: answers on its rows, in its order; without a champion the rules that need one are
            "not checked".
        champion_train_hashes: hashes of the texts the champion was trained on.
        baselines: labels given by each baseline, in the order of `test`.
        behavior: of the challenger.
        size_bytes: of the challenger's files together.
        latency: of both models; None where it was not measured.
        golden: a frozen set with the answers on it, if there is one.
        servable: what came of loading the challenger in a fresh process; taken over as it is.
        rng: chance for the resampling.
        challenger_train_hashes: hashes of the texts the challenger was trained on, for the golden set.

    Raises:
        ReleaseError: if answers and rows do not belong together.
    """
    if champion is not None and champion.model == challenger.model:
        return _unchanged(config, challenger)
    # One stream of chance per comparison, so that a golden set more does not move the others.
    for_champion, for_baseline, for_golden = rng.spawn(3)
    own = side(test, challenger)
    _check_lengths(test, baselines)
    fair = contest(test, challenger, champion, champion_train_hashes) if champion is not None else None
    against, numbers = _against_champion(config, challenger, champion, fair, for_champion)
    baseline = gate_checks.compare_with_best_baseline(own, baselines, config, for_baseline)
    counts = count_classes(own.actual_N, own.predicted_N, len(own.labels))
    numbers |= {"accuracy": float(counts.accuracy), "macro_f1": float(counts.macro_f1)}
    if baseline is not None:
        numbers |= {"baseline_lead": baseline.lead, "baseline_lead_low": baseline.low}
    learned = champion_train_hashes | challenger_train_hashes
    checks = (
        *against,
        *gate_checks.minimum_checks(own, config.min_scores),
        gate_checks.baseline_check(own, baselines, config, baseline),
        *_golden_checks(config, golden, learned, for_golden),
        *gate_checks.behavior_checks(behavior, config.behavior),
        gate_checks.calibration_check(own, config.calibration),
        gate_checks.size_check(size_bytes, config.size),
        gate_checks.latency_check(latency, config.latency),
        servable,
    )
    return GateResult(
        decision="reject" if any(check.outcome == "failed" for check in checks) else "promote",
        rule=config.rule,
        checks=checks,
        challenger=challenger.model,
        champion=champion.model if champion else None,
        rows_compared=len(fair.table) if fair else 0,
        rows_left_out=fair.left_out if fair else 0,
        numbers={name: round(value, DECIMALS) for name, value in numbers.items()},
        behavior=behavior,
    )


def _unchanged(config: ReleaseConfig, challenger: ModelPredictions) -> GateResult:
    same = CheckResult(
        "model", "passed", challenger.model[:8], "another model", "The challenger is the champion itself."
    )
    return GateResult("no change", config.rule, (same,), challenger.model, challenger.model, 0, 0)


def _against_champion(
    config: ReleaseConfig,
    challenger: ModelPredictions,
    champion: ModelPredictions | None,
    fair: PairedRows | None,
    rng: np.random.Generator,
) -> tuple[list[CheckResult], dict[str, float]]:
    """Ask the rules that compare with the champion; give their numbers too."""
    names = ("champion", "McNemar", "slices")
    if champion is None or fair is None:
        return [gate_checks.not_checked(name, "a champion", NO_CHAMPION) for name in names], {}
    labels = _label_check(config, challenger, champion, fair)
    if labels.outcome == "failed":
        reason = "The labels differ, so nothing was compared."
        return [labels, *(gate_checks.not_checked(name, "the same labels", reason) for name in names)], {}
    rows = _row_check(config, fair)
    if rows.outcome == "failed":
        reason = "Too few rows are left to compare."
        return [labels, rows, *(gate_checks.not_checked(name, "enough rows", reason) for name in names)], {}
    found = gate_checks.compare_models(fair.actual_N, fair.challenger_N, fair.champion_N, len(fair.labels), config, rng)
    numbers = {
        "champion_lead": found.lead,
        "champion_lead_low": found.low,
        "champion_macro_f1": found.second,
        "mcnemar_p": found.p_value,
    }
    checks = [
        labels,
        rows,
        gate_checks.champion_check(found, config),
        gate_checks.mcnemar_check(found, config.confidence),
        gate_checks.slice_check(fair, config.slices, config.confidence),
    ]
    return checks, numbers


def _label_check(
    config: ReleaseConfig, challenger: ModelPredictions, champion: ModelPredictions, fair: PairedRows
) -> CheckResult:
    new = sorted(set(challenger.labels) - set(champion.labels))
    gone = sorted(set(champion.labels) - set(challenger.labels))
    required = "the champion's labels" if not config.allow_label_change else "at least two labels in common"
    if not new and not gone:
        return CheckResult(
            "labels", "passed", f"{len(challenger.labels)} labels, the same", required, "The labels agree."
        )
    changes = [f"{word} {', '.join(names)}" for word, names in (("new:", new), ("gone:", gone)) if names]
    observed = f"{len(fair.labels)} labels in common; {'; '.join(changes)}"
    if not config.allow_label_change:
        reason = f"The labels changed ({'; '.join(changes)}). If that is meant, set release.allow_label_change."
        return CheckResult("labels", "failed", observed, required, reason)
    if len(fair.labels) < 2:
        return CheckResult(
            "labels", "failed", observed, required, "Fewer than two labels in common: nothing to compare."
        )
    reason = (
        f"The labels changed ({'; '.join(changes)}). Both models were compared over the common labels "
        f"{', '.join(fair.labels)} only; {fair.other_labels:,} rows with other labels were left out."
    )
    return CheckResult("labels", "warning", observed, required, reason)


def _row_check(config: ReleaseConfig, fair: PairedRows) -> CheckResult:
    rows = len(fair.table)
    good = rows >= config.min_compared_rows
    learned = f"{fair.left_out:,} of {rows + fair.left_out + fair.other_labels:,} test rows were left out for both, "
    advice = (
        "" if good else f" Only {rows:,} are left; give the test split more rows, or lower release.min_compared_rows."
    )
    return CheckResult(
        "rows",
        gate_checks.outcome(good),
        f"{rows:,} compared, {fair.left_out:,} left out",
        f"at least {config.min_compared_rows:,} that the champion was not trained on",
        f"{learned}because the champion was trained on their texts.{advice}",
    )


def _golden_checks(
    config: ReleaseConfig, golden: Golden | None, learned: frozenset[str], rng: np.random.Generator
) -> list[CheckResult]:
    """Ask for the minimum on the frozen set, and that the challenger is not significantly worse there."""
    if golden is None or config.golden is None:
        return []
    least = config.golden.min_accuracy
    own = side(golden.table, golden.challenger)
    accuracy = float((own.predicted_N == own.actual_N).mean()) if len(own.actual_N) else 0.0
    checks = [
        CheckResult(
            "golden accuracy",
            gate_checks.outcome(accuracy >= least),
            f"{accuracy:.4f} on {len(own.actual_N):,} rows",
            f"at least {least:g}",
            f"Accuracy on the golden set is {accuracy:.4f}, the minimum {least:g}.",
        )
    ]
    if golden.champion is None:
        return checks
    fair = contest(golden.table, golden.challenger, golden.champion, learned)
    return [*checks, _golden_duel_check(config, fair, rng)]


def _golden_duel_check(config: ReleaseConfig, fair: PairedRows, rng: np.random.Generator) -> CheckResult:
    required = f"not right significantly less often than the champion (one-sided, {config.confidence:.0%})"
    if len(fair.table) == 0 or len(fair.labels) < 2:
        return gate_checks.not_checked(
            "golden champion", required, "No golden row is left that neither model was trained on."
        )
    found = gate_checks.compare_models(fair.actual_N, fair.challenger_N, fair.champion_N, len(fair.labels), config, rng)
    good = found.p_worse > 1 - config.confidence
    return CheckResult(
        "golden champion",
        gate_checks.outcome(good),
        f"macro-F1 {found.first:.4f} against {found.second:.4f} on {found.rows:,} rows, {fair.left_out:,} left out; "
        f"one-sided p = {found.p_worse:.4f}",
        required,
        f"On the golden set the challenger is {'not ' if good else ''}right significantly less often: only it is "
        f"right on {found.only_first_right:,} rows, only the champion on {found.only_second_right:,}.",
    )


def _check_lengths(test: pd.DataFrame, baselines: Mapping[str, Sequence[str]]) -> None:
    for name, given in baselines.items():
        if len(given) != len(test):
            raise ReleaseError(
                f"Baseline {name} answered {len(given)} rows, the test split has {len(test)}. Run `dvc repro`."
            )
