"""Decide: every check is a function of measured numbers that returns one result."""

from collections.abc import Iterator

from atnet.config import BehaviorConfig, ReleaseConfig
from atnet.release.behavior.runner import BehaviorResult
from atnet.release.behavior.suites import TEST_TYPES, CheckListType
from atnet.release.gate.champion_checks import champion_checks, delta_with_bound, macro_f1_pair
from atnet.release.gate.measurements import GoldenMeasurements, Measurements
from atnet.release.gate.reject_option_check import reject_option_checks
from atnet.release.gate.result import CheckResult, GateResult, check_status, skipped
from atnet.release.gate.significance import PairedComparison
from atnet.report.sentences import display_name

DECIMALS = 6
MEGABYTE = 1_000_000


def decide(measured: Measurements, config: ReleaseConfig) -> GateResult:
    """Run every check, so that all reasons are named; one failed check rejects the challenger."""
    checks = tuple(_checks(measured, config))
    against = measured.against_champion
    return GateResult(
        decision="reject" if any(check.status == "failed" for check in checks) else "promote",
        rule=config.rule,
        checks=checks,
        challenger=measured.challenger,
        champion=measured.champion,
        rows_compared=against.rows if against else 0,
        rows_excluded=against.trained_on if against else 0,
        metrics={name: round(value, DECIMALS) for name, value in _metrics(measured).items()},
        behavior=measured.behavior,
    )


def unservable(check: CheckResult, config: ReleaseConfig, *, challenger: str, champion: str | None) -> GateResult:
    """Reject a challenger that does not load and predict; nothing else can be measured then."""
    return GateResult("reject", config.rule, (check,), challenger, champion, rows_compared=0, rows_excluded=0)


def _checks(measured: Measurements, config: ReleaseConfig) -> Iterator[CheckResult]:
    yield from champion_checks(measured.against_champion, config)
    yield minimum_check("accuracy", measured.accuracy, config.min_scores.accuracy, measured.rows)
    yield minimum_check("macro-F1", measured.macro_f1, config.min_scores.macro_f1, measured.rows)
    yield baseline_check(measured.best_baseline, measured.against_baseline, config)
    yield from golden_checks(measured.golden, config)
    yield from (behavior_check(test_type, measured.behavior, config.behavior) for test_type in TEST_TYPES)
    yield calibration_check(measured.calibration_error, config)
    yield from reject_option_checks(measured.selective, config)
    yield size_check(measured.size_bytes, config)
    yield latency_check(measured.challenger_ms, measured.champion_ms, config)
    yield measured.servable


def _metrics(measured: Measurements) -> dict[str, float]:
    metrics = {"accuracy": measured.accuracy, "macro_f1": measured.macro_f1}
    champion = measured.against_champion and measured.against_champion.comparison
    if champion:
        metrics |= {
            "champion_delta": champion.delta,
            "champion_delta_low": champion.low,
            "champion_macro_f1": champion.second,
            "mcnemar_p": champion.p_value,
        }
    if measured.against_baseline:
        metrics |= {
            "baseline_delta": measured.against_baseline.delta,
            "baseline_delta_low": measured.against_baseline.low,
        }
    if measured.selective:
        metrics["coverage"] = measured.selective.coverage.value
        if measured.selective.answered:
            metrics["selective_accuracy"] = measured.selective.accuracy.value
    return metrics


def minimum_check(name: str, value: float, minimum: float, rows: int) -> CheckResult:
    """Require a minimum score, whatever the champion scores."""
    return CheckResult(
        f"minimum {name}",
        check_status(value >= minimum),
        f"{value:.4f} on {rows:,} rows",
        f"at least {minimum:g}",
        f"{name} is {value:.4f}, the minimum is {minimum:g}.",
    )


def baseline_check(name: str | None, comparison: PairedComparison | None, config: ReleaseConfig) -> CheckResult:
    """Require a macro-F1 not below that of the best baseline."""
    margin = config.baseline.non_inferiority_margin
    required = f"macro-F1 at least the best baseline's, lower bound above -{margin:g}"
    if name is None or comparison is None:
        return skipped("baseline", required, "There are no baseline predictions for these rows.")
    passed = comparison.delta >= 0 and comparison.low > -margin
    return CheckResult(
        "baseline",
        check_status(passed, config.baseline.severity),
        f"{macro_f1_pair(comparison)} ({display_name(name)}): {delta_with_bound(comparison)}",
        required,
        f"The model is {'not below' if passed else 'below, or may be well below,'} the best baseline, "
        f"{display_name(name)}: the difference is {comparison.delta:+z.4f} and could be as low as "
        f"{comparison.low:+z.4f}.",
    )


def golden_checks(measured: GoldenMeasurements | None, config: ReleaseConfig) -> list[CheckResult]:
    """Require a minimum accuracy on the golden set, and that the challenger is not significantly worse there."""
    if measured is None or config.golden is None:
        return []
    minimum = config.golden.min_accuracy
    accuracy = CheckResult(
        "golden accuracy",
        check_status(measured.accuracy >= minimum),
        f"{measured.accuracy:.4f} on {measured.rows:,} rows",
        f"at least {minimum:g}",
        f"Accuracy on the golden set is {measured.accuracy:.4f}, the minimum is {minimum:g}.",
    )
    return [accuracy, _golden_champion_check(measured, config)] if measured.has_champion else [accuracy]


def _golden_champion_check(measured: GoldenMeasurements, config: ReleaseConfig) -> CheckResult:
    required = f"not right significantly less often than the champion (one-sided, {config.confidence:.0%})"
    comparison = measured.comparison
    if comparison is None:
        reason = "Both models were trained on every golden row, so there is nothing to compare."
        return skipped("golden champion", required, reason)
    passed = comparison.p_worse > 1 - config.confidence
    return CheckResult(
        "golden champion",
        check_status(passed),
        f"{macro_f1_pair(comparison)} on {comparison.rows:,} rows, {measured.excluded:,} excluded; one-sided "
        f"p = {comparison.p_worse:.4f}",
        required,
        f"On the golden set the challenger is {'not ' if passed else ''}right significantly less often: only the "
        f"challenger is right on {comparison.only_first_right:,} rows, only the champion on "
        f"{comparison.only_second_right:,}.",
    )


def behavior_check(test_type: CheckListType, result: BehaviorResult, config: BehaviorConfig) -> CheckResult:
    """Require the pass rate of one CheckList test type."""
    minimum = {"MFT": config.min_pass_rate.mft, "INV": config.min_pass_rate.inv, "DIR": config.min_pass_rate.dir}
    rate = minimum[test_type]
    name, required = f"behavior: {test_type}", f"at least {rate:.0%} of at least {config.min_cases} cases"
    if not config.suites:
        return skipped(name, required, "release.behavior.suites is empty.")
    cases, passed, not_run = result.cases(test_type), result.passed(test_type), result.skipped(test_type)
    observed = f"{passed} of {cases} cases" + (f", {not_run} skipped" if not_run else "")
    if cases < config.min_cases:
        reason = (
            f"Only {cases} cases use this model's labels ({not_run} do not). Add cases to a suite listed in "
            "release.behavior.suites, or map the suite's labels to yours."
        )
        status = check_status(False, "off" if config.severity == "off" else "warning")
        return CheckResult(name, status, observed, required, reason)
    weakest = f" Most failures: {result.weakest(test_type)}." if passed < cases else ""
    return CheckResult(
        name,
        check_status(passed / cases >= rate, config.severity),
        f"{observed}: {passed / cases:.1%}",
        required,
        f"{passed / cases:.1%} of the {test_type} cases pass; {rate:.0%} are required.{weakest}",
    )


def calibration_check(error: float, config: ReleaseConfig) -> CheckResult:
    """Require that stated confidence matches accuracy."""
    limit = config.calibration.max_error
    return CheckResult(
        "calibration",
        check_status(error <= limit, config.calibration.severity),
        f"expected calibration error {error:.4f}",
        f"at most {limit:g}",
        f"Stated confidence is off by {100 * error:.1f} points on average; {100 * limit:.1f} are allowed.",
    )


def size_check(size_bytes: int, config: ReleaseConfig) -> CheckResult:
    """Require model files below the size limit."""
    megabytes, limit = size_bytes / MEGABYTE, config.size.max_megabytes
    return CheckResult(
        "size",
        check_status(megabytes <= limit, config.size.severity),
        f"{megabytes:.1f} MB",
        f"at most {limit:g} MB",
        f"The model files take {megabytes:.1f} MB; {limit:g} MB are allowed.",
    )


def latency_check(challenger_ms: float | None, champion_ms: float | None, config: ReleaseConfig) -> CheckResult:
    """Require that one text does not take much longer than with the champion."""
    limit = config.latency.max_ratio
    required = f"at most {limit:g} times the champion's"
    if challenger_ms is None or champion_ms is None:
        return skipped("latency", required, "There is no champion to compare with.")
    ratio = challenger_ms / max(champion_ms, 1e-9)
    return CheckResult(
        "latency",
        check_status(ratio <= limit, config.latency.severity),
        f"{challenger_ms:.2f} ms against {champion_ms:.2f} ms: {ratio:.2f} times",
        required,
        f"One text takes {ratio:.2f} times as long as with the champion; {limit:g} times are allowed.",
    )
